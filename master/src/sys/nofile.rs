//! The limit on open files. The master needs many descriptors; a worker gets back the limit that the master was
//! started with, because programs that use `select` break above 1024.

use std::io;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// The soft limit before and after it was raised; `None` is no limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OpenFiles {
    /// What the master was started with: workers get it back.
    pub before: Option<u64>,
    /// What the master has now.
    pub now: Option<u64>,
}

/// Raises the soft limit to the hard one.
///
/// # Errors
/// If the kernel refuses; the limit is unchanged then.
pub fn raise_open_files() -> io::Result<OpenFiles> {
    let limit = getrlimit(Resource::Nofile);
    setrlimit(
        Resource::Nofile,
        Rlimit {
            current: limit.maximum,
            maximum: limit.maximum,
        },
    )?;
    Ok(OpenFiles {
        before: limit.current,
        now: limit.maximum,
    })
}

/// Sets the soft limit, never above the hard one.
///
/// # Errors
/// If the kernel refuses.
pub fn set_soft_open_files(soft: u64) -> io::Result<()> {
    let maximum = getrlimit(Resource::Nofile).maximum;
    let current = Some(maximum.map_or(soft, |hard| soft.min(hard)));
    Ok(setrlimit(Resource::Nofile, Rlimit { current, maximum })?)
}
