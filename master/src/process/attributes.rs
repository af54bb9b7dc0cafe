//! What the shim makes of its process before it becomes the worker. In this order, because each step needs rights that a
//! later one gives up: control group, resource limits, niceness, cores, supplementary groups, group, user, file mode mask,
//! working directory.

use std::{
    ffi::OsString,
    io,
    os::{fd::AsFd, unix::ffi::OsStrExt},
    path::{Path, PathBuf},
};

use nix::unistd::{Gid, Uid};
use rustix::{
    process::{Resource, Rlimit},
    thread::CpuSet,
};
use serde::{Deserialize, Serialize};

use super::{Failure, shim::During};
use crate::config::app::process::{Credentials, Limit, LimitKind};

/// How the worker's process differs from the master's.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attributes {
    /// The directory of the control group that it joins.
    pub cgroup: Option<PathBuf>,
    /// Its resource limits.
    pub limits: Vec<(LimitKind, Limit)>,
    /// Its niceness, from -20 to 19.
    pub nice: Option<i32>,
    /// The cores it may run on; empty: the master's.
    pub cores: Vec<u32>,
    /// As whom it runs.
    pub credentials: Option<Credentials>,
    /// Its file mode creation mask.
    pub umask: Option<u32>,
    /// Its working directory.
    pub cwd: Option<OsString>,
}

impl Attributes {
    /// Gives them to this process.
    pub(super) fn apply(&self) -> Result<(), Failure> {
        if let Some(group) = &self.cgroup {
            join(group).during(|| format!("join the control group {}", group.display()))?;
        }
        for (kind, limit) in &self.limits {
            let doing = || format!("limit {} to {}", kind.name(), shown(*limit));
            set_limit(*kind, *limit).during(doing)?;
        }
        if let Some(nice) = self.nice {
            rustix::process::setpriority_process(None, nice)
                .during(|| format!("set the niceness to {nice}"))?;
        }
        if !self.cores.is_empty() {
            run_on(&self.cores).during(|| format!("keep to the cores {:?}", self.cores))?;
        }
        if let Some(credentials) = &self.credentials {
            become_one(credentials)?;
        }
        if let Some(mask) = self.umask {
            rustix::process::umask(rustix::fs::Mode::from_raw_mode(mask));
        }
        if let Some(cwd) = &self.cwd {
            rustix::process::chdir(cwd.as_bytes())
                .during(|| format!("change directory to {cwd:?}"))?;
        }
        Ok(())
    }
}

fn join(group: &Path) -> io::Result<()> {
    // 0 is whoever writes it.
    std::fs::write(group.join("cgroup.procs"), "0")
}

fn shown(limit: Limit) -> String {
    let one = |value: Option<u64>| value.map_or("unlimited".into(), |value| value.to_string());
    match limit.soft == limit.hard {
        true => one(limit.soft),
        false => format!("{} (soft), {} (hard)", one(limit.soft), one(limit.hard)),
    }
}

fn set_limit(kind: LimitKind, limit: Limit) -> io::Result<()> {
    let limit = Rlimit {
        current: limit.soft,
        maximum: limit.hard,
    };
    Ok(rustix::process::setrlimit(resource(kind), limit)?)
}

fn resource(kind: LimitKind) -> Resource {
    match kind {
        LimitKind::As => Resource::As,
        LimitKind::Core => Resource::Core,
        LimitKind::Cpu => Resource::Cpu,
        LimitKind::Data => Resource::Data,
        LimitKind::Fsize => Resource::Fsize,
        LimitKind::Locks => Resource::Locks,
        LimitKind::Memlock => Resource::Memlock,
        LimitKind::Msgqueue => Resource::Msgqueue,
        LimitKind::Nice => Resource::Nice,
        LimitKind::Nofile => Resource::Nofile,
        LimitKind::Nproc => Resource::Nproc,
        LimitKind::Rss => Resource::Rss,
        LimitKind::Rtprio => Resource::Rtprio,
        LimitKind::Rttime => Resource::Rttime,
        LimitKind::Sigpending => Resource::Sigpending,
        LimitKind::Stack => Resource::Stack,
    }
}

fn run_on(cores: &[u32]) -> io::Result<()> {
    let mut set = CpuSet::new();
    for core in cores {
        set.set(*core as usize);
    }
    Ok(rustix::thread::sched_setaffinity(None, &set)?)
}

/// Takes on an identity for good. One that is its own already needs no rights, so nothing is asked for then.
fn become_one(wanted: &Credentials) -> Result<(), Failure> {
    let (uid, gid) = (nix::unistd::geteuid(), nix::unistd::getegid());
    let wanted_uid = wanted.uid.map_or(uid, Uid::from_raw);
    let wanted_gid = Gid::from_raw(wanted.gid);
    if !uid.is_root() && (wanted_uid, wanted_gid) == (uid, gid) {
        return Ok(());
    }
    // Else the worker could write to its standard output, but not open it as /dev/stdout.
    for fd in [io::stdout().as_fd(), io::stderr().as_fd()] {
        let owner = rustix::process::Uid::from_raw(wanted_uid.as_raw());
        // One who may not will be told at the next step.
        let _ = rustix::fs::fchown(fd, Some(owner), None);
    }
    let groups: Vec<Gid> = wanted.groups.iter().copied().map(Gid::from_raw).collect();
    nix::unistd::setgroups(&groups).during(|| format!("take on the groups {:?}", wanted.groups))?;
    nix::unistd::setresgid(wanted_gid, wanted_gid, wanted_gid)
        .during(|| format!("become group {wanted_gid}"))?;
    nix::unistd::setresuid(wanted_uid, wanted_uid, wanted_uid)
        .during(|| format!("become user {wanted_uid}"))
}
