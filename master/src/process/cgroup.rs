//! A control group (version 2) for each worker of an app that asks for one: its bounds hold for the worker and all its
//! children together, and what is left of them at its end is killed as one.
//!
//! They are made below the master's own group, where that was delegated to it (systemd's `Delegate=yes`, or a container
//! whose hierarchy is writable). A group with processes can't hand controllers down, so the master first moves itself into
//! a group of its own there. Where any of this is not to be had, the app runs without, and that is said.

use std::{
    collections::BTreeSet,
    fs, io,
    path::{Path, PathBuf},
    time::Duration,
};

use super::Identity;
use crate::{config::app::process::CgroupLimits, sys};

/// The group that the master moves itself into.
const MASTER: &str = "ostler-master";

/// The period of `cpu.max`, in microseconds: the kernel's default.
const PERIOD: f64 = 100_000.0;

/// How long killed processes may take until their group is empty.
const EMPTY_WITHIN: Duration = Duration::from_secs(2);

/// How often that is looked at.
const LOOK: Duration = Duration::from_millis(5);

/// Where workers' groups are made.
#[derive(Debug, Default)]
pub struct Cgroups {
    /// Looked for at the first need.
    base: Option<Result<Base, String>>,
}

#[derive(Debug)]
struct Base {
    dir: PathBuf,
    controllers: BTreeSet<String>,
}

/// One worker's group: gone, with all its processes, when this is.
#[derive(Debug)]
pub struct WorkerGroup(PathBuf);

impl Cgroups {
    /// Groups below `dir`, which must be a group's directory. By default they are below the master's own.
    ///
    /// # Errors
    /// Why there can be none, in words.
    pub fn below(dir: &Path) -> Result<Self, String> {
        let base = Base::prepare(dir, &needed(&CgroupLimits::default()))?;
        Ok(Self {
            base: Some(Ok(base)),
        })
    }

    /// Makes ready for groups of these limits. Gives what of them can't be had, in words.
    pub fn prepare(&mut self, limits: &CgroupLimits) -> Vec<String> {
        let needed = needed(limits);
        let base = self.base.get_or_insert_with(|| {
            let own = sys::own_v2().ok_or("this system has no control groups of version 2")?;
            Base::prepare(&own, &needed)
        });
        match base {
            Err(why) => vec![format!("its workers run without control groups: {why}")],
            Ok(base) => {
                base.enable(&needed);
                let missing = needed.iter().filter(|(name, _)| !base.has(name));
                missing
                    .map(|(name, key)| {
                        format!(
                            "cgroup.{key} does not hold: the {name} controller is not available in {}",
                            base.dir.display()
                        )
                    })
                    .collect()
            }
        }
    }

    /// Makes a worker's group; `None` where there can be none.
    ///
    /// # Errors
    /// If a bound that should hold can't be set.
    pub fn make(&self, who: &Identity, limits: &CgroupLimits) -> io::Result<Option<WorkerGroup>> {
        let Some(Ok(base)) = &self.base else {
            return Ok(None);
        };
        let master = std::process::id();
        let name = format!("ostler-{master}-{}-{}-{}", who.app, who.slot, who.id);
        let dir = base.dir.join(name);
        fs::create_dir(&dir)?;
        let group = WorkerGroup(dir);
        for (controller, file, value) in written(limits) {
            if base.has(controller) {
                fs::write(group.0.join(file), value)?;
            }
        }
        Ok(Some(group))
    }
}

/// The controllers that limits need, each with the key it is for.
fn needed(limits: &CgroupLimits) -> Vec<(&'static str, &'static str)> {
    [
        limits.memory_max.map(|_| ("memory", "memory_max")),
        limits.cpu_max.map(|_| ("cpu", "cpu_max")),
        limits.pids_max.map(|_| ("pids", "pids_max")),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// What is written for limits: the controller, its file, the value.
fn written(limits: &CgroupLimits) -> Vec<(&'static str, &'static str, String)> {
    let memory = limits.memory_max.map(|bytes| bytes.to_string());
    // From 0.01 to 1,024 cores: between a thousand and 10^8 microseconds.
    let cpu = limits
        .cpu_max
        .map(|cores| format!("{:.0} {PERIOD:.0}", cores * PERIOD));
    let pids = limits.pids_max.map(|count| count.to_string());
    [
        ("memory", "memory.max", memory),
        ("cpu", "cpu.max", cpu),
        ("pids", "pids.max", pids),
    ]
    .into_iter()
    .filter_map(|(controller, file, value)| Some((controller, file, value?)))
    .collect()
}

impl Base {
    fn prepare(dir: &Path, needed: &[(&str, &str)]) -> Result<Self, String> {
        let probe = dir.join(format!("ostler-{}-probe", std::process::id()));
        fs::create_dir(&probe)
            .and_then(|()| fs::remove_dir(&probe))
            .map_err(|error| {
                format!(
                    "the control group {} is not the master's to divide: {error} (under systemd: Delegate=yes)",
                    dir.display()
                )
            })?;
        let mut base = Self {
            dir: dir.to_owned(),
            controllers: BTreeSet::new(),
        };
        base.enable(needed);
        Ok(base)
    }

    fn has(&self, controller: &str) -> bool {
        self.controllers.contains(controller)
    }

    /// Hands controllers down as far as there are any to hand down.
    fn enable(&mut self, needed: &[(&str, &str)]) {
        let there = words(&self.dir.join("cgroup.controllers"));
        for (name, _) in needed {
            if !there.contains(*name) || self.has(name) {
                continue;
            }
            let enable = || fs::write(self.dir.join("cgroup.subtree_control"), format!("+{name}"));
            // Busy: processes are in it, ourselves at least.
            if enable().is_err() && (self.step_aside().is_err() || enable().is_err()) {
                continue;
            }
            self.controllers.insert((*name).to_owned());
        }
    }

    /// Moves the master, and the zygote, out of the way.
    fn step_aside(&self) -> io::Result<()> {
        let aside = self.dir.join(MASTER);
        match fs::create_dir(&aside) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            Ok(()) | Err(_) => {}
        }
        for pid in words(&self.dir.join("cgroup.procs")) {
            if is_ours(&pid) {
                fs::write(aside.join("cgroup.procs"), pid)?;
            }
        }
        Ok(())
    }
}

fn words(file: &Path) -> BTreeSet<String> {
    let text = fs::read_to_string(file).unwrap_or_default();
    text.split_whitespace().map(str::to_owned).collect()
}

/// Whether a process is the master, or a child of it.
fn is_ours(pid: &str) -> bool {
    let own = std::process::id().to_string();
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let parent = status.lines().find_map(|line| line.strip_prefix("PPid:"));
    pid == own || parent.map(str::trim) == Some(own.as_str())
}

impl WorkerGroup {
    /// Its directory.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.0
    }

    /// The worker was let go of: its group stays, with all that is in it.
    pub fn let_go(self) {
        std::mem::forget(self);
    }

    /// The worker has ended: kills what is left in the group, and removes it.
    pub async fn end(self) {
        self.kill();
        let emptied = async {
            while matches!(fs::remove_dir(&self.0), Err(error) if error.kind() == io::ErrorKind::ResourceBusy)
            {
                tokio::time::sleep(LOOK).await;
            }
        };
        if tokio::time::timeout(EMPTY_WITHIN, emptied).await.is_err() {
            tracing::warn!(
                "the control group {} stays: its processes don't end",
                self.0.display()
            );
        }
    }

    fn kill(&self) {
        // Kernels before 5.14 don't have it: what is left there has been killed by its process group alone.
        let _ = fs::write(self.0.join("cgroup.kill"), "1");
    }
}

impl Drop for WorkerGroup {
    /// Of a worker that was never started, or a master that ends: there is no time to wait.
    fn drop(&mut self) {
        if self.0.exists() {
            self.kill();
            let _ = fs::remove_dir(&self.0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_written_as_the_kernel_wants_them() {
        let limits = CgroupLimits {
            memory_max: Some(512 << 20),
            cpu_max: Some(1.5),
            pids_max: Some(20),
        };
        let texts: Vec<String> = written(&limits)
            .into_iter()
            .map(|(controller, file, value)| format!("{controller} {file}={value}"))
            .collect();
        assert_eq!(
            texts,
            [
                "memory memory.max=536870912",
                "cpu cpu.max=150000 100000",
                "pids pids.max=20"
            ]
        );
        assert!(written(&CgroupLimits::default()).is_empty());
    }

    /// A plain directory in a group's place: what the kernel would refuse is accepted there, and can be looked at.
    #[test]
    fn what_is_available_is_set_and_what_is_not_is_said() {
        let dir = tempfile::tempdir().expect("a directory");
        fs::write(dir.path().join("cgroup.controllers"), "cpuset memory\n").expect("written");
        let mut groups = Cgroups::below(dir.path()).expect("a base");
        let limits = CgroupLimits {
            memory_max: Some(1 << 30),
            cpu_max: Some(2.0),
            pids_max: None,
        };
        let said = groups.prepare(&limits);
        assert_eq!(said.len(), 1, "{said:?}");
        assert!(said[0].contains("cgroup.cpu_max") && said[0].contains("cpu controller"));
        let subtree = fs::read_to_string(dir.path().join("cgroup.subtree_control"));
        assert_eq!(subtree.expect("written"), "+memory");
        let who = Identity {
            app: crate::config::app::AppName::new("web").expect("a name"),
            slot: ostler_bus::Slot(1),
            id: ostler_bus::WorkerId(7),
            generation: ostler_bus::Generation(1),
        };
        let group = groups.make(&who, &limits).expect("made").expect("a group");
        let memory = fs::read_to_string(group.dir().join("memory.max"));
        assert_eq!(memory.expect("set"), "1073741824");
        assert!(!group.dir().join("cpu.max").exists());
    }

    #[test]
    fn where_nothing_can_be_made_the_reason_is_said() {
        let why = Cgroups::below(Path::new("/proc/self/no-such-group")).expect_err("nothing there");
        assert!(why.contains("Delegate=yes"), "{why}");
    }
}
