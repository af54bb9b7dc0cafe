//! Other people's clients, as their users call them, and what they say at the end: siege, loadtest, artillery.

use std::{
    net::SocketAddr,
    process::{Child, Command, Output, Stdio},
};

use super::Absent;
use crate::{bench::system::found, harness::PrivateDir};

/// No client runs longer, in seconds; for `timeout`.
const LONGEST: &str = "25";

/// One of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stranger {
    /// `siege -c250 -t10S`.
    Siege,
    /// `loadtest -n 100 -c 100 --rps 200`.
    Loadtest,
    /// `artillery quick --count 10 -n 20`.
    Artillery,
}

/// A client under way. Killed on drop.
#[derive(Debug)]
pub struct Visit {
    stranger: Stranger,
    child: Option<Child>,
    _home: PrivateDir,
}

impl Stranger {
    /// As its user calls it.
    #[must_use]
    pub fn words(self) -> &'static [&'static str] {
        match self {
            Self::Siege => &["siege", "-c250", "-t10S"],
            Self::Loadtest => &["loadtest", "-n", "100", "-c", "100", "--rps", "200"],
            Self::Artillery => &["artillery", "quick", "--count", "10", "-n", "20"],
        }
    }

    /// What its summary says, of what counts here: how each line begins.
    #[must_use]
    pub fn lines(self) -> &'static [&'static str] {
        match self {
            Self::Siege => &[
                "transactions",
                "availability",
                "transaction_rate",
                "failed_transactions",
                "longest_transaction",
            ],
            Self::Loadtest => &[
                "Completed requests",
                "Total errors",
                "Mean latency",
                "Effective rps",
            ],
            Self::Artillery => &[
                "http.codes.200",
                "http.request_rate",
                "mean",
                "p99",
                "vusers.completed",
                "vusers.failed",
            ],
        }
    }

    /// Starts it, with a home of its own: what users set for themselves has no part here.
    ///
    /// # Errors
    /// If it isn't installed.
    pub fn visit(self, address: SocketAddr) -> Result<Visit, Absent> {
        let home = PrivateDir::new();
        let [program, args @ ..] = self.words() else {
            return Err("no program".into());
        };
        let mut command = Command::new(found("timeout")?);
        command
            .args(["-k", "1", LONGEST])
            .arg(installed(program)?)
            .args(args)
            .arg(format!("http://{address}/"))
            .env("HOME", home.path())
            .env("ARTILLERY_DISABLE_TELEMETRY", "true")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null());
        if self == Self::Siege {
            // It gives up after 1,024 failed connections otherwise, and waits half a minute for an answer that never comes.
            let settings = "verbose = false\nquiet = false\njson_output = true\nlogging = false\nlimit = 255\n\
                            protocol = HTTP/1.1\nconnection = close\nparser = false\nfailures = 10000000\ntimeout = 10\n";
            command.env("SIEGERC", home.write("siegerc", settings));
        }
        let child = command.spawn().map_err(|e| format!("{program}: {e}"))?;
        Ok(Visit {
            stranger: self,
            child: Some(child),
            _home: home,
        })
    }
}

impl Visit {
    /// Waits for its end; gives what each of its [lines](Stranger::lines) says, or nothing where it isn't there.
    ///
    /// # Errors
    /// If it can't be waited for, or said nothing.
    pub fn summary(mut self) -> Result<Vec<String>, String> {
        let child = self.child.take().ok_or("no process")?;
        let Output { stdout, status, .. } = child.wait_with_output().map_err(|e| e.to_string())?;
        let text = String::from_utf8_lossy(&stdout);
        let said = self.stranger.lines().iter().map(|name| value(&text, name));
        let said: Vec<Option<String>> = said.collect();
        if said.iter().all(Option::is_none) {
            return Err(format!("{:?} ended with {status}: {text}", self.stranger));
        }
        Ok(said.into_iter().map(Option::unwrap_or_default).collect())
    }
}

impl Drop for Visit {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            // It may have ended by itself.
            child.kill().ok();
            child.wait().ok();
        }
    }
}

/// What stands after a name at the beginning of the last such line: a summary comes at the end.
fn value(text: &str, name: &str) -> Option<String> {
    let of = |line: &str| {
        let line = line.trim_start_matches(['"', ' ', '\t', '{', '|', '-']);
        let rest = line.strip_prefix(name)?.trim_start_matches('"');
        let rest = rest.strip_prefix([':', '.'])?;
        let said = rest.trim_start_matches([':', '.', ' ']);
        Some(said.trim_matches([' ', '\t', ',']).to_owned())
    };
    text.lines().filter_map(of).next_back()
}

/// Where a client is: in the path, or in the folder into which `tests/bench/setup.sh` puts those of npm.
fn installed(program: &str) -> Result<String, Absent> {
    found(program).or_else(|why| {
        let folder = std::env::temp_dir().join("ostler-clients/node_modules/.bin");
        let path = folder.join(program);
        match path.exists() {
            true => Ok(path.to_string_lossy().into_owned()),
            false => Err(why),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn summaries_are_read_as_each_client_writes_them() {
        let siege =
            "{\t\"transactions\":\t\t\t        5488,\n\t\"availability\":\t\t\t      100.00,\n}";
        assert_eq!(value(siege, "transactions").as_deref(), Some("5488"));
        assert_eq!(value(siege, "availability").as_deref(), Some("100.00"));
        let loadtest = "Completed requests:  7\nCompleted requests:  100\nTotal errors:        0\n";
        assert_eq!(
            value(loadtest, "Completed requests").as_deref(),
            Some("100")
        );
        let artillery =
            "http.codes.200: ........... 200\nhttp.response_time:\n  mean: ....... 1.5\n";
        assert_eq!(value(artillery, "http.codes.200").as_deref(), Some("200"));
        assert_eq!(value(artillery, "mean").as_deref(), Some("1.5"));
        assert_eq!(value(artillery, "vusers.failed"), None);
    }
}
