//! Programs of the system that a benchmark compares with.

use std::{os::unix::fs::PermissionsExt, path::Path};

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
