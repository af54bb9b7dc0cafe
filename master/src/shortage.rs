//! What the system is out of, and how to get more: an error alone says neither which limit was reached nor who sets it.

use std::{fmt, io};

use rustix::process::{Resource, getrlimit};

/// An I/O error, and what to do about it where that can be told.
#[derive(Debug)]
pub struct Told<'a>(pub &'a io::Error);

impl fmt::Display for Told<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match hint(self.0) {
            Some(hint) => write!(f, "{} ({hint})", self.0),
            None => self.0.fmt(f),
        }
    }
}

/// Which limit was reached, and who sets it, if it was one on open files.
#[must_use]
pub fn hint(error: &io::Error) -> Option<String> {
    match error.raw_os_error()? {
        libc::EMFILE => Some(format!(
            "the limit on open files is reached (ulimit -n: {}): start the master with a higher one, by `ulimit -Hn` in the shell \
             or LimitNOFILE= in its unit",
            limit()
        )),
        libc::ENFILE => Some(
            "the machine's limit on open files is reached: raise it with `sysctl fs.file-max`, or find who holds so many".into(),
        ),
        _ => None,
    }
}

/// Why no thread or process can be started, if it is because this process's children are to be in another namespace of processes
/// than itself. The kernel allows such a process no threads, and no further child once the first one has ended.
#[must_use]
pub fn apart_from_children() -> Option<&'static str> {
    let namespace = |whose| std::fs::read_link(format!("/proc/self/ns/{whose}"));
    // It has no name before the first child.
    let of_children = namespace("pid_for_children").ok();
    (namespace("pid").ok()? != of_children.unwrap_or_default()).then_some(
        "the master's children are to be in another namespace of processes than the master itself, as after `unshare --pid` \
         without `--fork`: start it with `unshare --pid --fork --mount-proc`",
    )
}

fn limit() -> String {
    let now = getrlimit(Resource::Nofile).current;
    now.map_or_else(|| "none".to_owned(), |limit| limit.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(errno: i32) -> String {
        Told(&io::Error::from_raw_os_error(errno)).to_string()
    }

    #[test]
    fn a_limit_is_named_with_its_value_and_who_sets_it() {
        let (text, limit) = (told(libc::EMFILE), limit());
        assert!(text.starts_with("Too many open files"), "{text}");
        assert!(text.contains(&format!("(ulimit -n: {limit})")), "{text}");
        assert!(text.contains("LimitNOFILE="), "{text}");
        assert!(told(libc::ENFILE).contains("fs.file-max"));
    }

    #[test]
    fn what_is_no_matter_of_limits_stays_as_it_is() {
        let denied = io::Error::from_raw_os_error(libc::EACCES);
        assert_eq!(Told(&denied).to_string(), denied.to_string());
    }
}
