//! What `/proc` says of the machine and of processes. The parsing is pure and tested; the reading is a line each.

use std::fs;

use ostler_bus::vocab::status::MachineInfo;

/// Keeps what a rate needs to be a rate: the counters of the last look.
#[derive(Debug)]
pub(super) struct Machine {
    memory_used_at_boot: u64,
    cpu: CpuTimes,
    percent: f64,
}

/// CPU time of all cores since boot, in clock ticks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct CpuTimes {
    busy: u64,
    all: u64,
}

impl Machine {
    pub(super) fn new() -> Self {
        let (total, available) = memory(&read("/proc/meminfo"));
        Self {
            memory_used_at_boot: total.saturating_sub(available),
            cpu: cpu_times(&read("/proc/stat")),
            percent: 0.0,
        }
    }

    /// The machine now. CPU use is since the last call; within one clock tick of it, what it was then.
    pub(super) fn look(&mut self) -> MachineInfo {
        let (memory_total, available) = memory(&read("/proc/meminfo"));
        let cpu = cpu_times(&read("/proc/stat"));
        let all = cpu.all.saturating_sub(self.cpu.all);
        if all > 0 {
            let busy = cpu.busy.saturating_sub(self.cpu.busy).min(all);
            #[expect(clippy::cast_precision_loss, reason = "a percentage of clock ticks")]
            let percent = 100.0 * busy as f64 / all as f64;
            (self.cpu, self.percent) = (cpu, percent);
        }
        MachineInfo {
            uptime: uptime(&read("/proc/uptime")),
            load_average: load_average(&read("/proc/loadavg")),
            memory_total,
            memory_used: memory_total.saturating_sub(available),
            memory_used_at_boot: self.memory_used_at_boot,
            cpu_percent: self.percent,
        }
    }
}

fn read(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

/// Total and available memory, in bytes.
fn memory(meminfo: &str) -> (u64, u64) {
    let field = |name: &str| {
        let line = meminfo.lines().find_map(|line| line.strip_prefix(name));
        line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok())
            .unwrap_or(0)
            * 1024
    };
    (field("MemTotal:"), field("MemAvailable:"))
}

fn cpu_times(stat: &str) -> CpuTimes {
    let line = stat
        .lines()
        .find_map(|line| line.strip_prefix("cpu "))
        .unwrap_or_default();
    // user nice system idle iowait irq softirq steal; guest times are already within user and nice.
    let fields: Vec<u64> = line
        .split_whitespace()
        .take(8)
        .map_while(|n| n.parse().ok())
        .collect();
    let all: u64 = fields.iter().sum();
    let idle: u64 = fields.iter().skip(3).take(2).sum();
    CpuTimes {
        busy: all - idle,
        all,
    }
}

fn uptime(text: &str) -> u64 {
    text.split('.')
        .next()
        .and_then(|seconds| seconds.parse().ok())
        .unwrap_or(0)
}

fn load_average(text: &str) -> [f64; 3] {
    let mut numbers = text.split_whitespace().map_while(|n| n.parse().ok());
    std::array::from_fn(|_| numbers.next().unwrap_or(0.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_the_kernel_writes() {
        assert_eq!(
            memory("MemTotal:       100 kB\nMemFree: 1 kB\nMemAvailable:   40 kB\n"),
            (102_400, 40_960)
        );
        assert_eq!(
            cpu_times("cpu  10 1 5 80 4 0 0 0 3 0\ncpu0 1 1 1\n"),
            CpuTimes { busy: 16, all: 100 }
        );
        assert_eq!(uptime("1234.56 99.00\n"), 1234);
        assert_eq!(
            load_average("0.50 1.25 2.00 1/100 4242\n"),
            [0.5, 1.25, 2.0]
        );
    }

    #[test]
    fn garbage_is_nothing_and_no_panic() {
        assert_eq!(
            (
                memory(""),
                cpu_times("cpu x"),
                uptime("x"),
                load_average("")
            ),
            ((0, 0), CpuTimes::default(), 0, [0.0; 3])
        );
    }

    #[test]
    fn this_machine_has_memory_and_so_has_this_process() {
        let mut machine = Machine::new();
        let info = machine.look();
        assert!(
            info.memory_total > 0 && info.memory_used > 0 && info.memory_used < info.memory_total
        );
        assert!((0.0..=100.0).contains(&info.cpu_percent));
    }
}
