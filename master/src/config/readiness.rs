//! How readiness is written: "auto", "notify", "sdk", "delay(2s)", "http(ADDRESS PATH)", "tcp(ADDRESS)".

use std::{fmt, path::Path, str::FromStr, time::Duration};

use super::{
    app::{
        Readiness,
        probe::{Check, Probe, Target},
    },
    errors::Wrong,
    units,
};

/// From one answer to the next question, where nothing else is said.
pub const PROBE_INTERVAL: Duration = Duration::from_millis(200);

/// How long an answer may take, where nothing else is said.
pub const PROBE_TIMEOUT: Duration = Duration::from_secs(2);

impl FromStr for Readiness {
    type Err = Wrong;

    fn from_str(text: &str) -> Result<Self, Wrong> {
        let text = text.trim();
        let (way, inside) = match text.strip_suffix(')').and_then(|rest| rest.split_once('(')) {
            Some((way, inside)) => (way, Some(inside.trim())),
            None => (text, None),
        };
        match (way, inside) {
            ("auto", None) => Ok(Self::Auto),
            ("notify", None) => Ok(Self::Notify),
            ("sdk", None) => Ok(Self::Sdk),
            ("delay", Some(delay)) => units::duration(delay).map(Self::Delay),
            ("http", Some(inside)) => http(inside).map(Self::Probe),
            ("tcp", Some(inside)) => tcp(inside).map(Self::Probe),
            ("http" | "tcp", None) => Err(nowhere(text)),
            _ => Err(Wrong::new(
                format!("{text:?} is not a way to be ready"),
                "use \"auto\", \"notify\", \"sdk\", \"delay(2s)\", \"http(unix:/run/web-{id}.sock /ready)\" or \"tcp(unix:/run/web-{id}.sock)\"",
            )),
        }
    }
}

fn http(inside: &str) -> Result<Probe, Wrong> {
    match inside.rsplit_once(char::is_whitespace) {
        Some((at, path)) if path.starts_with('/') => Ok(probe(Check::Http {
            at: target(at)?,
            path: path.to_owned(),
            status: Vec::new(),
        })),
        _ => Err(nowhere(&format!("http({inside})"))),
    }
}

fn tcp(inside: &str) -> Result<Probe, Wrong> {
    let at = target(inside)?;
    Ok(probe(Check::Tcp { at }))
}

fn probe(check: Check) -> Probe {
    Probe {
        check,
        interval: PROBE_INTERVAL,
        timeout: PROBE_TIMEOUT,
    }
}

/// An address, checked as the first worker's. Relative paths of Unix sockets are the caller's to complete.
pub(super) fn target(text: &str) -> Result<Target, Wrong> {
    let target = Target::Address(text.trim().to_owned());
    target.of(0, 1)?;
    Ok(target)
}

fn nowhere(text: &str) -> Wrong {
    Wrong::new(
        format!("{text:?} does not say where to ask"),
        "name an address that is each worker's own: \"http(unix:/run/web-{id}.sock /ready)\" or \"tcp(unix:/run/web-{id}.sock)\"",
    )
}

/// Completes a relative path of a Unix socket.
pub(super) fn absolute(text: &str, base: &Path) -> String {
    match text.trim().strip_prefix("unix:") {
        Some(path) => format!("unix:{}", base.join(path).display()),
        None => text.trim().to_owned(),
    }
}

impl fmt::Display for Readiness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::Notify => f.write_str("notify"),
            Self::Sdk => f.write_str("sdk"),
            Self::Delay(delay) => write!(f, "delay({})", units::exact(*delay)),
            Self::Probe(probe) => write!(f, "{}", probe.check),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_reads_back() {
        for text in [
            "auto",
            "notify",
            "sdk",
            "delay(2s)",
            "http(127.0.0.1:8100 /ready?x=(1))",
            "tcp(unix:/run/web-{id}.sock)",
        ] {
            let readiness: Readiness = text.parse().unwrap_or_else(|wrong| panic!("{wrong}"));
            assert_eq!(readiness.to_string(), text);
        }
    }

    #[test]
    fn a_probe_without_an_address_is_refused() {
        for text in ["http", "tcp", "http(/ready)", "http(127.0.0.1:1 ready)"] {
            let wrong = text.parse::<Readiness>().expect_err(text);
            assert!(wrong.problem.contains("where to ask"), "{wrong}");
        }
        for text in ["tcp()", "tcp(nowhere)", "sdk(1)", "delay", "soon"] {
            assert!(text.parse::<Readiness>().is_err(), "{text}");
        }
    }
}
