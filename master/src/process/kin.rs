//! Whose a process is, when the worker that it came from has gone: workers leave children, and children of children, some of
//! them in sessions of their own, where no signal to a process group reaches them.
//!
//! The master adopts orphans (it is a subreaper), so whatever a worker leaves is found among the master's own children and
//! below them. It is the worker's if it
//! - has its mark in the environment that it was started with: [`MASTER_PID`] and [`WORKER_ID`];
//! - has no mark and is of the worker's session, or was started by a process that is the worker's.
//!
//! A mark of another worker, or of another master, makes it theirs, with all below it: it is left alone. So is what has
//! neither a mark nor a living forebear. Processes are held by pidfd from before they are looked at, so that no stranger is
//! signalled under a number that has become free.

use std::{
    fs, io,
    os::fd::{AsFd, OwnedFd},
    path::PathBuf,
    time::Duration,
};

use ostler_bus::WorkerId;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use tokio::io::Interest;

use crate::sys;

/// Which master started it: its process id.
pub(super) const MASTER_PID: &str = "OSTLER_MASTER_PID";

/// Which of that master's workers it is.
pub(super) const WORKER_ID: &str = "OSTLER_WORKER_ID";

/// No more processes than this are looked at in one go: a worker that forks without end must not hold the master up.
const MOST: usize = 4096;

/// How long killed processes may take to end.
const OVER_WITHIN: Duration = Duration::from_secs(2);

/// Who claims processes.
#[derive(Clone, Copy, Debug)]
pub(super) enum Claim {
    /// The worker of this id, by its mark.
    Worker(WorkerId),
    /// The leader of this session, which has ended and isn't reaped: what is of its session, and below that.
    Session(u32),
    /// This living process: all below it, whatever mark of this master it has.
    Forebear(u32),
}

/// A process that is somebody's.
#[derive(Debug)]
pub(super) struct Kin {
    pid: u32,
    session: u32,
    fd: OwnedFd,
}

impl Kin {
    /// Whether it has ended: a zombie has.
    pub(super) fn is_over(&self) -> bool {
        let mut fds = [PollFd::new(&self.fd, PollFlags::IN)];
        matches!(poll(&mut fds, Some(&Timespec::default())), Ok(1..))
    }

    /// Kills it.
    pub(super) fn kill(&self) {
        // ESRCH: it has ended by itself.
        let _ = sys::send_signal(self.fd.as_fd(), libc::SIGKILL);
    }

    /// The session it is in.
    pub(super) fn session(&self) -> u32 {
        self.session
    }

    /// Its process id, while it has not been reaped.
    pub(super) fn pid(&self) -> u32 {
        self.pid
    }

    /// Waits for its end.
    async fn over(self) {
        // A pidfd that can't be watched: there is nothing to wait on.
        if !self.is_over()
            && let Ok(fd) = sys::watch_fd(self.fd, Interest::READABLE)
        {
            let _ended = fd.readable().await;
        }
    }
}

/// Kills what is the worker's by its mark, until there is nothing more, and waits for its end and that of `kin`, which was
/// killed already.
pub(super) async fn end_all(
    worker: WorkerId,
    mut kin: Vec<Kin>,
    is_watched: impl Fn(u32) -> bool,
) -> Cleared {
    let mut cleared = Cleared {
        count: kin.len(),
        all: true,
    };
    let clear = async {
        loop {
            let mut more = find(Claim::Worker(worker), &is_watched);
            more.retain(|one| kin.iter().all(|known| known.pid != one.pid));
            if kin.is_empty() && more.is_empty() {
                return;
            }
            cleared.count += more.len();
            kin.extend(more);
            kin.iter().for_each(Kin::kill);
            for one in kin.drain(..) {
                one.over().await;
            }
            // What forks faster than it dies must not keep the clock from being looked at.
            tokio::task::yield_now().await;
        }
    };
    cleared.all = tokio::time::timeout(OVER_WITHIN, clear).await.is_ok();
    cleared
}

/// Waits until these, which were killed, have ended, within reason.
pub(super) async fn until_over(kin: Vec<Kin>) {
    let all = async {
        for one in kin {
            one.over().await;
        }
    };
    // What hangs in the kernel may take its time.
    let _in_time = tokio::time::timeout(OVER_WITHIN, all).await;
}

/// What became of the processes that a worker left behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cleared {
    /// How many there were.
    pub count: usize,
    /// All of them have ended.
    pub all: bool,
}

/// The living processes that are the claimant's. `is_watched` are children of this process that are no orphans: workers, and
/// commands beside them.
pub(super) fn find(claim: Claim, is_watched: impl Fn(u32) -> bool) -> Vec<Kin> {
    let own = std::process::id();
    let mut next: Vec<Seen> = match claim {
        Claim::Worker(_) | Claim::Session(_) => below(own, false),
        Claim::Forebear(pid) => below(pid, true),
    };
    next.retain(|seen| seen.parent != own || !is_watched(seen.pid));
    let (mut found, mut looked_at) = (Vec::new(), 0);
    while let Some(seen) = next.pop() {
        looked_at += 1;
        let Some((kin, belongs)) = look(&seen, claim, own).filter(|_| looked_at <= MOST) else {
            continue;
        };
        next.extend(below(seen.pid, belongs));
        if belongs && !kin.is_over() {
            found.push(kin);
        }
    }
    found
}

/// A process that stood among another's children.
struct Seen {
    pid: u32,
    parent: u32,
    /// That other is the claimant's.
    of_kin: bool,
}

fn below(parent: u32, of_kin: bool) -> Vec<Seen> {
    let pids = sys::children(parent).unwrap_or_default().into_iter();
    pids.map(|pid| Seen {
        pid,
        parent,
        of_kin,
    })
    .collect()
}

/// Looks at a process: whether it is the claimant's; `None` if it is another's, or has gone.
fn look(seen: &Seen, claim: Claim, own: u32) -> Option<(Kin, bool)> {
    let fd = sys::pidfd_open(seen.pid).ok()?;
    let stat = Stat::of(seen.pid).ok()?;
    // An orphan since, or somebody else under a number that has become free.
    if stat.parent != seen.parent && stat.parent != own {
        return None;
    }
    let belongs = match (Mark::of(seen.pid, own), claim) {
        (Mark::Foreign, _) => return None,
        (Mark::Worker(id), Claim::Worker(claimant)) if id != claimant => return None,
        (Mark::Worker(_), Claim::Worker(_)) => true,
        (Mark::Worker(_), Claim::Session(leader)) => seen.of_kin || stat.session == leader,
        (Mark::Worker(_), Claim::Forebear(_)) => true,
        (Mark::None, Claim::Worker(_) | Claim::Forebear(_)) => seen.of_kin,
        (Mark::None, Claim::Session(leader)) => seen.of_kin || stat.session == leader,
    };
    let (pid, session) = (seen.pid, stat.session);
    Some((Kin { pid, session, fd }, belongs))
}

/// What stood in a process's environment when its program began.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mark {
    /// Nothing of ours; or it can't be read.
    None,
    /// This master's, and this worker.
    Worker(WorkerId),
    /// Another master's.
    Foreign,
}

impl Mark {
    fn of(pid: u32, own: u32) -> Self {
        match fs::read(PathBuf::from(format!("/proc/{pid}/environ"))) {
            Ok(environment) => Self::read(&environment, own),
            Err(_) => Self::None,
        }
    }

    fn read(environment: &[u8], own: u32) -> Self {
        let number = |name: &str| -> Option<u64> {
            let mut pairs = environment.split(|byte| *byte == 0);
            let value = pairs.find_map(|pair| {
                let value = pair.strip_prefix(name.as_bytes())?;
                value.strip_prefix(b"=")
            })?;
            std::str::from_utf8(value).ok()?.parse().ok()
        };
        match (number(MASTER_PID), number(WORKER_ID)) {
            (Some(master), _) if master != u64::from(own) => Self::Foreign,
            (Some(_), Some(id)) => Self::Worker(WorkerId(id)),
            (Some(_), None) | (None, _) => Self::None,
        }
    }
}

/// What the kernel says of a process.
struct Stat {
    parent: u32,
    session: u32,
}

impl Stat {
    fn of(pid: u32) -> io::Result<Self> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
        Self::read(&stat).ok_or_else(|| io::ErrorKind::InvalidData.into())
    }

    fn read(stat: &str) -> Option<Self> {
        // The name before it may hold anything, parentheses among it.
        let (_, rest) = stat.rsplit_once(')')?;
        let mut fields = rest.split_ascii_whitespace().skip(1);
        let parent = fields.next()?.parse().ok()?;
        let session = fields.nth(1)?.parse().ok()?;
        Some(Self { parent, session })
    }
}

#[cfg(test)]
mod tests {
    use std::{os::unix::process::CommandExt, process::Command};

    use super::*;

    #[test]
    fn a_mark_is_this_masters_or_anothers() {
        let mark = |text: &str| Mark::read(text.replace(' ', "\0").as_bytes(), 50);
        let ours = Mark::Worker(WorkerId(7));
        assert_eq!(mark("A=1 OSTLER_MASTER_PID=50 OSTLER_WORKER_ID=7 "), ours);
        assert_eq!(
            mark("OSTLER_MASTER_PID=51 OSTLER_WORKER_ID=7"),
            Mark::Foreign
        );
        for none in [
            "",
            "A=1",
            "OSTLER_WORKER_ID=7",
            "OSTLER_MASTER_PID=50",
            "OSTLER_MASTER_PID=50 OSTLER_WORKER_ID=x",
            "X_OSTLER_MASTER_PID=51",
        ] {
            assert_eq!(mark(none), Mark::None, "{none}");
        }
    }

    #[test]
    fn a_name_may_hold_anything() {
        let stat = Stat::read("7 (a) b (c)) S 3 4 5 0 -1 4194304").expect("a process");
        assert_eq!((stat.parent, stat.session), (3, 5));
        assert!(Stat::read("7 (a").is_none());
    }

    #[test]
    fn below_a_process_are_its_children_but_not_another_masters() {
        let script = "sleep 60 & OSTLER_MASTER_PID=1 sleep 60 & setsid sh -c 'sleep 60 & wait' & echo up; wait";
        let mut shell = Command::new("sh")
            .args(["-c", script])
            .process_group(0)
            .stdout(std::process::Stdio::piped())
            .spawn()
            .expect("a shell");
        let mut up = [0; 2];
        let stdout = shell.stdout.as_mut().expect("piped");
        io::Read::read_exact(stdout, &mut up).expect("it is up");
        let end = std::time::Instant::now() + std::time::Duration::from_secs(10);
        let found = loop {
            let found = find(Claim::Forebear(shell.id()), |_| false);
            // Between fork and exec a child still has its parent's environment, and its session.
            let sleeps = |kin: &&Kin| {
                let name = fs::read_to_string(format!("/proc/{}/comm", kin.pid()));
                name.is_ok_and(|name| name.trim() == "sleep")
            };
            let leads = |kin: &Kin| kin.session() == kin.pid();
            if found.len() == 3
                && found.iter().filter(sleeps).count() == 2
                && found.iter().any(leads)
            {
                break found;
            }
            assert!(
                std::time::Instant::now() < end,
                "two that sleep, and who leads a session of its own: {found:?}"
            );
            std::thread::yield_now();
        };
        found.iter().for_each(Kin::kill);
        nix::sys::signal::killpg(
            nix::unistd::Pid::from_raw(shell.id().cast_signed()),
            nix::sys::signal::Signal::SIGKILL,
        )
        .expect("a group");
        shell.wait().expect("reaped");
        assert!(find(Claim::Forebear(shell.id()), |_| false).is_empty());
    }
}
