//! The machine of a benchmark: programs that it compares with, and what of its settings bends figures.

use std::{fs, os::unix::fs::PermissionsExt, path::Path};

/// Whether the kernel shares processors out between sessions before it does between their processes (`sched(7)`).
///
/// Supervised workers lead sessions of their own, other people's are of one: they are then not treated alike.
const AUTOGROUP: &str = "/proc/sys/kernel/sched_autogroup_enabled";

/// The path of a program of the system.
///
/// # Errors
/// If it isn't installed, with how to install it.
pub(super) fn found(program: &str) -> Result<String, String> {
    let path = std::env::var("PATH").unwrap_or_default();
    let is_program = |path: &Path| {
        path.metadata()
            .is_ok_and(|m| m.is_file() && m.permissions().mode() & 0o111 != 0)
    };
    path.split(':')
        .chain(["/usr/sbin", "/usr/local/bin"])
        .map(|dir| Path::new(dir).join(program))
        .find(|path| is_program(path))
        .map(|path| path.to_string_lossy().into_owned())
        .ok_or(format!("{program} is not installed: tests/bench/setup.sh"))
}

/// What should be said with the figures of programs whose workers are of different sessions; `None` where that is nothing.
#[must_use]
pub fn of_sessions() -> Option<String> {
    let enabled = fs::read_to_string(AUTOGROUP).is_ok_and(|value| value.trim() == "1");
    enabled.then(|| {
        "note: the kernel shares processors out by sessions here, and contenders differ in how many they have. \
         For ratios of the programs themselves: sysctl kernel.sched_autogroup_enabled=0"
            .into()
    })
}
