//! What `/proc` tells of a process.

use std::{collections::BTreeMap, ffi::OsString, fs};

/// A process by its id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Process(pub u32);

/// What a process holds in memory, in KiB.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Memory {
    /// All that is resident: the two others, and memory shared with others.
    pub resident: u64,
    /// Its own: heap and stacks.
    pub own: u64,
    /// Pages of files: its program and libraries.
    pub file: u64,
}

impl Process {
    /// Its memory now.
    ///
    /// # Errors
    /// If it is gone.
    pub fn memory(self) -> Result<Memory, String> {
        let status = read(&format!("/proc/{}/status", self.0))?;
        let field = |name| field(&status, name).ok_or(format!("{name} is missing"));
        Ok(Memory {
            resident: field("VmRSS")?,
            own: field("RssAnon")?,
            file: field("RssFile")?,
        })
    }

    /// The processor time of its threads that have not ended, in nanoseconds.
    ///
    /// # Errors
    /// If it is gone.
    pub fn cpu_nanos(self) -> Result<u64, String> {
        Ok(self.thread_times()?.into_iter().map(|(_, ran)| ran).sum())
    }

    /// The processor time of its thread of this name, in nanoseconds.
    ///
    /// # Errors
    /// If it is gone, or has no such thread.
    pub fn thread_nanos(self, name: &str) -> Result<u64, String> {
        let times = self.thread_times()?;
        let found = times.into_iter().find(|(known, _)| known == name);
        let missing = || format!("process {} has no thread {name:?}", self.0);
        found.map(|(_, ran)| ran).ok_or_else(missing)
    }

    /// Names of its threads, and the processor time of each.
    fn thread_times(self) -> Result<Vec<(String, u64)>, String> {
        let tasks = format!("/proc/{}/task", self.0);
        let mut times = Vec::new();
        for task in fs::read_dir(&tasks).map_err(|e| format!("{tasks}: {e}"))? {
            let path = task.map_err(|e| e.to_string())?.path();
            let read = |what| fs::read_to_string(path.join(what));
            // Threads end meanwhile, and take their counts with them.
            let (Ok(name), Ok(stat)) = (read("comm"), read("schedstat")) else {
                continue;
            };
            let ran = stat
                .split(' ')
                .next()
                .and_then(|ran| ran.parse::<u64>().ok());
            let ran = ran.ok_or("the kernel keeps no schedstat")?;
            times.push((name.trim().to_owned(), ran));
        }
        Ok(times)
    }

    /// How often each of its threads has been switched to since it began.
    ///
    /// # Errors
    /// If it is gone.
    pub fn switches(self) -> Result<Switches, String> {
        let tasks = format!("/proc/{}/task", self.0);
        let mut all = BTreeMap::new();
        for task in fs::read_dir(&tasks).map_err(|e| format!("{tasks}: {e}"))? {
            let task = task.map_err(|e| e.to_string())?;
            // Threads end meanwhile.
            let Ok(status) = fs::read_to_string(task.path().join("status")) else {
                continue;
            };
            let mut sum = 0;
            for name in ["voluntary_ctxt_switches", "nonvoluntary_ctxt_switches"] {
                sum += field(&status, name).ok_or(format!("{name} is missing"))?;
            }
            all.insert(task.file_name(), sum);
        }
        Ok(Switches(all))
    }
}

/// How often each thread of a process has been switched to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Switches(BTreeMap<OsString, u64>);

impl Switches {
    /// How often since. A thread that has ended since takes its count with it, and was switched to once at least.
    #[must_use]
    pub fn since(&self, before: &Self) -> u64 {
        let had = |thread| before.0.get(thread).copied().unwrap_or(0);
        let alive = self
            .0
            .iter()
            .map(|(thread, count)| count.saturating_sub(had(thread)));
        let ended = before
            .0
            .keys()
            .filter(|thread| !self.0.contains_key(*thread));
        alive.sum::<u64>() + ended.count() as u64
    }
}

fn read(path: &str) -> Result<String, String> {
    fs::read_to_string(path).map_err(|e| format!("{path}: {e}"))
}

/// The number after `name:`.
fn field(status: &str, name: &str) -> Option<u64> {
    let mut lines = status.lines().filter_map(|line| line.split_once(':'));
    let (_, value) = lines.find(|(known, _)| *known == name)?;
    value.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_has_memory_and_was_switched_to() {
        let this = Process(std::process::id());
        let memory = this.memory().unwrap();
        assert!(memory.own > 0 && memory.file > 0, "{memory:?}");
        assert!(memory.resident >= memory.own + memory.file, "{memory:?}");
        let switches = this.switches().unwrap();
        assert!(!switches.0.is_empty());
        assert!(switches.since(&Switches(BTreeMap::new())) > 0);
    }

    #[test]
    fn threads_that_began_and_ended_count() {
        let switches = |all: &[(&str, u64)]| {
            let all = all.iter().map(|(thread, count)| ((*thread).into(), *count));
            Switches(all.collect())
        };
        let before = switches(&[("1", 10), ("2", 1000)]);
        assert_eq!(before.since(&before), 0);
        let after = switches(&[("1", 12), ("3", 5)]);
        assert_eq!(after.since(&before), 2 + 5 + 1);
    }

    #[test]
    fn names_are_whole() {
        let status = "Vm:\t1\nVmRSS:\t   12 kB\nnonvoluntary_ctxt_switches:\t3\nvoluntary_ctxt_switches:\t4\n";
        assert_eq!(field(status, "VmRSS"), Some(12));
        assert_eq!(field(status, "voluntary_ctxt_switches"), Some(4));
        assert_eq!(field(status, "RssAnon"), None);
    }
}
