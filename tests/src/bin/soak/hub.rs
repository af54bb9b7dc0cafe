//! The hub, as a process of its own: its memory is then nobody else's.

use std::{
    io::Read,
    os::unix::net::UnixListener,
    path::Path,
    process::{Child, Command, ExitCode, Stdio},
};

use ostler_bus::{
    Limits,
    hub::{Admission, HistoryRule, Hub, HubOptions, Rules},
};
use tokio::io::{AsyncBufReadExt, BufReader};

/// What all queues together may hold: little, so that the bound is met.
pub(crate) const MEMORY_BYTES: usize = 48 << 20;

/// Serves at `path` until standard input ends.
pub(crate) fn serve(path: &Path) -> ExitCode {
    let options = HubOptions {
        name: "soak".into(),
        limits: Limits {
            memory_bytes: MEMORY_BYTES,
            retained_bytes: MEMORY_BYTES / 8,
            history_bytes: MEMORY_BYTES / 4,
            mailbox_bytes: MEMORY_BYTES / 16,
            ..Limits::default()
        },
        rules: Rules::allow_all(),
        builtins: Vec::new(),
        history: vec![HistoryRule::last("soak.kept.>", 20_000)],
    };
    let served = UnixListener::bind(path).and_then(|listener| {
        let (hub, _notices) = Hub::start(options)?;
        hub.listen(listener, Admission::default())?;
        println!("ready");
        std::io::stdin().read_to_end(&mut Vec::new())?;
        Ok(hub)
    });
    match served {
        Ok(_) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {}: {error}", path.display());
            ExitCode::FAILURE
        }
    }
}

/// A running hub; killed if it is dropped before [`stop`](Self::stop).
pub(crate) struct HubProcess(Child);

impl HubProcess {
    pub(crate) async fn start(path: &Path) -> Result<Self, String> {
        let own = std::env::current_exe().map_err(|error| error.to_string())?;
        let mut child = Command::new(own)
            .arg("--hub")
            .arg(path)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| format!("the hub's process: {error}"))?;
        let stdout = child.stdout.take().ok_or("no output")?;
        let hub = Self(child);
        let stdout = tokio::process::ChildStdout::from_std(stdout).map_err(|e| e.to_string())?;
        let said = BufReader::new(stdout).lines().next_line().await;
        match said {
            Ok(Some(line)) if line == "ready" => Ok(hub),
            said => Err(format!("the hub's process said {said:?}")),
        }
    }

    /// Resident memory, in bytes.
    pub(crate) fn resident(&self) -> Result<usize, String> {
        let path = format!("/proc/{}/statm", self.0.id());
        let text = std::fs::read_to_string(&path).map_err(|e| format!("the hub has gone: {e}"))?;
        let pages: Option<usize> = text.split(' ').nth(1).and_then(|pages| pages.parse().ok());
        Ok(pages.ok_or(path)? * rustix::param::page_size())
    }

    /// Lets it end.
    pub(crate) fn stop(mut self) -> Result<(), String> {
        drop(self.0.stdin.take());
        let status = self.0.wait().map_err(|error| error.to_string())?;
        match status.success() {
            true => Ok(()),
            false => Err(format!("the hub ended with {status}")),
        }
    }
}

impl Drop for HubProcess {
    fn drop(&mut self) {
        // It has ended, or it is in the way.
        let _ = self.0.kill().and_then(|()| self.0.wait());
    }
}
