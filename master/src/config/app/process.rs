//! What a worker's process is: as whom it runs, and how much of the machine it may use. Said in the process file,
//! [looked up](User) once when that is read, and done by the shim before the program begins.

use std::{collections::BTreeMap, path::PathBuf};

use serde::{Deserialize, Serialize};

/// What was said of an app's processes; what was not is as the master has it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ProcessAttributes {
    /// As whom they run.
    pub user: Option<User>,
    /// Their group, instead of the user's own.
    pub group: Option<Group>,
    /// Their file mode creation mask.
    pub umask: Option<u32>,
    /// Their niceness, from -20 to 19.
    pub nice: Option<i32>,
    /// Their resource limits.
    pub limits: BTreeMap<LimitKind, Limit>,
    /// The cores they may run on.
    pub cpu_affinity: Option<Affinity>,
    /// The bounds of each worker's control group.
    pub cgroup: Option<CgroupLimits>,
}

/// A user, as the user database had it when the process file was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// The name; the number again for one without an entry.
    pub name: String,
    /// The number.
    pub uid: u32,
    /// The primary group; for a user without an entry, the group of the same number.
    pub gid: u32,
    /// All groups, the primary one among them.
    pub groups: Vec<u32>,
    /// The home directory, if there is an entry.
    pub home: Option<PathBuf>,
}

/// A group, as the group database had it when the process file was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// The number.
    pub gid: u32,
}

/// The identity that a process takes on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Credentials {
    /// Real, effective and saved user; `None` stays who it is.
    pub uid: Option<u32>,
    /// Real, effective and saved group.
    pub gid: u32,
    /// Supplementary groups.
    pub groups: Vec<u32>,
}

/// A resource limit, by the name that `ulimit` and systemd have for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[expect(
    missing_docs,
    reason = "each is RLIMIT_ and its name, see setrlimit(2)"
)]
pub enum LimitKind {
    As,
    Core,
    Cpu,
    Data,
    Fsize,
    Locks,
    Memlock,
    Msgqueue,
    Nice,
    Nofile,
    Nproc,
    Rss,
    Rtprio,
    Rttime,
    Sigpending,
    Stack,
}

/// In what a limit is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LimitUnit {
    /// Bytes.
    Bytes,
    /// Things.
    Count,
    /// Seconds of processor time.
    Seconds,
    /// Microseconds of processor time.
    Micros,
}

/// A limit's two values; `None` is no limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limit {
    /// What holds.
    pub soft: Option<u64>,
    /// How far the process itself may raise it.
    pub hard: Option<u64>,
}

/// The cores that workers may run on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Affinity {
    /// All of them on these.
    Cores(Vec<u32>),
    /// Each on one: slot 0 on the first core that the master may use, and so on, again from the first after the last.
    PerSlot,
}

/// Bounds of one worker's control group; `None` is no bound.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CgroupLimits {
    /// Bytes of memory (`memory.max`).
    pub memory_max: Option<u64>,
    /// Cores (`cpu.max`, in periods of 100 ms).
    pub cpu_max: Option<f64>,
    /// Processes and threads (`pids.max`).
    pub pids_max: Option<u32>,
}

impl ProcessAttributes {
    /// These, and `base` where they say nothing; limits one by one.
    #[must_use]
    pub fn or(self, base: Self) -> Self {
        let mut limits = base.limits;
        limits.extend(self.limits);
        Self {
            user: self.user.or(base.user),
            group: self.group.or(base.group),
            umask: self.umask.or(base.umask),
            nice: self.nice.or(base.nice),
            limits,
            cpu_affinity: self.cpu_affinity.or(base.cpu_affinity),
            cgroup: self.cgroup.or(base.cgroup),
        }
    }

    /// The identity that workers take on; `None` is the master's own.
    #[must_use]
    pub fn credentials(&self) -> Option<Credentials> {
        let gid = self.group.as_ref().map(|group| group.gid);
        match &self.user {
            Some(user) => {
                let gid = gid.unwrap_or(user.gid);
                let mut groups = user.groups.clone();
                if !groups.contains(&gid) {
                    groups.push(gid);
                }
                let uid = Some(user.uid);
                Some(Credentials { uid, gid, groups })
            }
            None => gid.map(|gid| Credentials {
                uid: None,
                gid,
                groups: vec![gid],
            }),
        }
    }
}

impl LimitKind {
    /// Every one.
    pub const ALL: [Self; 16] = [
        Self::As,
        Self::Core,
        Self::Cpu,
        Self::Data,
        Self::Fsize,
        Self::Locks,
        Self::Memlock,
        Self::Msgqueue,
        Self::Nice,
        Self::Nofile,
        Self::Nproc,
        Self::Rss,
        Self::Rtprio,
        Self::Rttime,
        Self::Sigpending,
        Self::Stack,
    ];

    /// Its name in the process file.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::As => "as",
            Self::Core => "core",
            Self::Cpu => "cpu",
            Self::Data => "data",
            Self::Fsize => "fsize",
            Self::Locks => "locks",
            Self::Memlock => "memlock",
            Self::Msgqueue => "msgqueue",
            Self::Nice => "nice",
            Self::Nofile => "nofile",
            Self::Nproc => "nproc",
            Self::Rss => "rss",
            Self::Rtprio => "rtprio",
            Self::Rttime => "rttime",
            Self::Sigpending => "sigpending",
            Self::Stack => "stack",
        }
    }

    /// In what it is counted.
    #[must_use]
    pub fn unit(self) -> LimitUnit {
        match self {
            Self::As
            | Self::Core
            | Self::Data
            | Self::Fsize
            | Self::Memlock
            | Self::Msgqueue
            | Self::Rss
            | Self::Stack => LimitUnit::Bytes,
            Self::Cpu => LimitUnit::Seconds,
            Self::Rttime => LimitUnit::Micros,
            Self::Locks
            | Self::Nice
            | Self::Nofile
            | Self::Nproc
            | Self::Rtprio
            | Self::Sigpending => LimitUnit::Count,
        }
    }
}
