//! What a process uses of the machine: memory, and the processor.

use std::fs;

/// Resident memory of a process, in bytes; `None` if it is gone.
#[must_use]
pub fn resident_memory(pid: u32) -> Option<u64> {
    let pages: u64 = fs::read_to_string(format!("/proc/{pid}/statm"))
        .ok()?
        .split_whitespace()
        .nth(1)?
        .parse()
        .ok()?;
    Some(pages * rustix::param::page_size() as u64)
}

/// What a process has used of the processor, in milliseconds of one core; `None` if it is gone.
#[must_use]
pub fn cpu_time(pid: u32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // Its name, in brackets, may hold anything.
    let (_, fields) = stat.rsplit_once(')')?;
    let mut ticks = fields.split_whitespace().skip(11);
    let mut next = || ticks.next()?.parse::<u64>().ok();
    let (user, system) = (next()?, next()?);
    Some((user + system) * 1_000 / rustix::param::clock_ticks_per_second())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_that_works_uses_time() {
        let before = cpu_time(std::process::id()).expect("we live");
        let begun = std::time::Instant::now();
        while cpu_time(std::process::id()).is_some_and(|now| now < before + 20) {
            assert!(begun.elapsed().as_secs() < 20, "nothing is counted");
        }
        assert_eq!(cpu_time(u32::MAX), None);
    }

    #[test]
    fn a_living_process_has_some() {
        assert!(resident_memory(std::process::id()).is_some_and(|bytes| bytes > 100_000));
        assert_eq!(resident_memory(u32::MAX), None);
    }
}
