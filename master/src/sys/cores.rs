//! How many cores this process may really use: `instances = auto` starts as many workers.

use rustix::thread::{CpuSet, sched_getaffinity};

use super::cgroup;

/// The cores this process may use: those it may be scheduled on, or fewer if its control group's quota says so.
/// At least 1. A quota of 1.5 cores counts as 2: rounding down would leave half a core unused for good.
#[must_use]
pub fn available_cores() -> u32 {
    let affinity = sched_getaffinity(None).map_or(1, |set| set.count());
    let quota = cgroup::quota().map_or(u32::MAX, whole_cores);
    affinity.min(quota).max(1)
}

/// The numbers of the cores this process may be scheduled on, lowest first.
#[must_use]
pub fn allowed_cores() -> Vec<u32> {
    let set = sched_getaffinity(None).unwrap_or_default();
    (0..CpuSet::MAX_CPU)
        .filter(|core| set.is_set(*core))
        .filter_map(|core| u32::try_from(core).ok())
        .collect()
}

fn whole_cores(quota: f64) -> u32 {
    // Quotas are small positive numbers; the cast saturates at both ends.
    quota.ceil() as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_of_a_core_counts_as_one() {
        assert_eq!(whole_cores(0.2), 1);
        assert_eq!(whole_cores(1.5), 2);
        assert_eq!(whole_cores(2.0), 2);
        assert_eq!(whole_cores(1e18), u32::MAX);
    }

    #[test]
    fn this_machine_has_at_least_one() {
        assert!(available_cores() >= 1);
    }
}
