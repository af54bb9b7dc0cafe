//! Signals by name, and the kill ladder that is made of them.

use std::str::FromStr as _;

use nix::sys::signal::Signal;

use super::{app::Rung, errors::Wrong, suggest, units};

/// Reads a signal's name, with or without `SIG`, in either case.
///
/// # Errors
/// If there is no such signal.
pub fn number(name: &str) -> Result<i32, Wrong> {
    let upper = name.trim().to_ascii_uppercase();
    let long = match upper.strip_prefix("SIG") {
        Some(_) => upper,
        None => format!("SIG{upper}"),
    };
    Signal::from_str(&long)
        .map(|signal| signal as i32)
        .map_err(|_| {
            let names: Vec<&str> = Signal::iterator().map(|s| &s.as_str()[3..]).collect();
            Wrong::new(
                format!("{name:?} is not a signal"),
                match suggest::closest(long.trim_start_matches("SIG"), names) {
                    Some(near) => format!("did you mean {near:?}?"),
                    None => "use a name such as \"TERM\", \"INT\", \"QUIT\" or \"KILL\"".into(),
                },
            )
        })
}

/// A signal's name without `SIG`; its number where it has none (real-time signals).
#[must_use]
pub fn name(number: i32) -> String {
    match Signal::try_from(number) {
        Ok(signal) => signal.as_str()[3..].to_owned(),
        Err(_) => number.to_string(),
    }
}

/// Reads a rung: "TERM:30s", or a signal alone.
///
/// # Errors
/// If the signal or the duration can't be used.
pub fn rung(text: &str) -> Result<Rung, Wrong> {
    let (signal, wait) = match text.split_once(':') {
        Some((signal, wait)) => (signal, Some(units::duration(wait)?)),
        None => (text, None),
    };
    let signal = number(signal)?;
    let pauses = [Signal::SIGSTOP, Signal::SIGTSTP, Signal::SIGCONT];
    if pauses.iter().any(|pause| *pause as i32 == signal) {
        return Err(Wrong::new(
            format!("{} does not end a process", name(signal)),
            "use a signal that does, such as \"TERM:30s\"",
        ));
    }
    Ok(Rung { signal, wait })
}

/// Checks a ladder as a whole: each rung but the last has a wait, and the last is `KILL`, the one that always works.
///
/// # Errors
/// With the first fault found.
pub fn check_ladder(ladder: &[Rung]) -> Result<(), Wrong> {
    let Some((last, others)) = ladder.split_last() else {
        return Err(Wrong::new(
            "the ladder is empty",
            "write at least [\"KILL\"]; the default is [\"TERM:30s\", \"KILL\"]",
        ));
    };
    if let Some(rung) = others.iter().find(|rung| rung.wait.is_none()) {
        let name = name(rung.signal);
        return Err(Wrong::new(
            format!("{name:?} does not say how long to wait before the next rung"),
            format!("write \"{name}:10s\""),
        ));
    }
    let is_kill = |rung: &Rung| rung.signal == libc::SIGKILL;
    if others.iter().any(is_kill) {
        return Err(Wrong::new(
            "\"KILL\" stands before the end",
            "make it the last rung: nothing survives it",
        ));
    }
    if is_kill(last) && last.wait.is_some() {
        return Err(Wrong::new(
            "\"KILL\" has a time to wait",
            "write \"KILL\" alone: no rung comes after it",
        ));
    }
    if !is_kill(last) {
        return Err(Wrong::new(
            "the ladder does not end with \"KILL\"",
            "add \"KILL\" as the last rung: a worker may ignore every other signal",
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals_go_by_name() {
        for text in ["TERM", "SIGTERM", "term", "sigTerm"] {
            assert_eq!(number(text), Ok(libc::SIGTERM), "{text}");
        }
        assert_eq!(name(libc::SIGUSR2), "USR2");
        assert_eq!(number("TREM").unwrap_err().fix, "did you mean \"TERM\"?");
        assert_eq!(number("15").unwrap_err().problem, "\"15\" is not a signal");
    }

    #[test]
    fn ladders_are_checked_as_a_whole() {
        let check = |texts: &[&str]| {
            let rungs: Vec<Rung> = texts.iter().map(|text| rung(text).unwrap()).collect();
            check_ladder(&rungs).map_err(|wrong| wrong.problem)
        };
        assert_eq!(check(&["INT:3s", "SIGTERM:2s", "KILL"]), Ok(()));
        assert_eq!(check(&["KILL"]), Ok(()));
        assert_eq!(check(&[]), Err("the ladder is empty".into()));
        assert_eq!(
            check(&["TERM:30s"]),
            Err("the ladder does not end with \"KILL\"".into())
        );
        assert_eq!(
            check(&["TERM:1s", "KILL:1s"]),
            Err("\"KILL\" has a time to wait".into())
        );
        assert_eq!(
            check(&["KILL:1s", "KILL"]),
            Err("\"KILL\" stands before the end".into())
        );
        assert_eq!(
            check(&["TERM", "KILL"]),
            Err("\"TERM\" does not say how long to wait before the next rung".into())
        );
        assert_eq!(
            rung("STOP:1s").unwrap_err().problem,
            "STOP does not end a process"
        );
    }
}
