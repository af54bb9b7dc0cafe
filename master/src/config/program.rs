//! The program of a command: how a command in one string is taken apart, and whether its program can be run at all.
//!
//! Checked before the master starts anything, so that a misspelt command is a sentence and not sixteen failed starts.

use std::{
    ffi::OsStr,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use super::errors::Wrong;

/// What only a shell understands.
const SHELL: &[char] = &[
    '|', '&', ';', '<', '>', '(', ')', '$', '`', '\\', '"', '\'', '*', '?', '[', ']', '#', '~',
    '{', '}', '!', '\n',
];

/// The words of a command written as one string.
///
/// A plain one ("node server.js --port 80") is split at blanks and run directly, so that signals reach the program. One
/// with anything that only a shell understands (quotes, `$NAME`, pipes, `NAME=value` in front) is given to `/bin/sh -c`
/// as it is; put `exec` before its last command to keep the shell from standing between the master and the program.
#[must_use]
pub fn words(command: &str) -> Vec<String> {
    let words: Vec<String> = command.split_whitespace().map(str::to_owned).collect();
    let assigns = words.first().is_some_and(|word| word.contains('='));
    if assigns || command.trim().contains(SHELL) {
        return vec!["/bin/sh".into(), "-c".into(), command.trim().into()];
    }
    words
}

/// Finds the file that a program's name stands for: a name with a `/` is relative to `cwd`, any other is looked up in
/// `path` (the value of `PATH`).
///
/// # Errors
/// If there is none, or it can't be run; with what to do.
pub fn resolve(program: &str, cwd: &Path, path: Option<&OsStr>) -> Result<PathBuf, Wrong> {
    if !cwd.is_dir() {
        return Err(Wrong::new(
            format!("the working directory {} does not exist", cwd.display()),
            "create it, or correct `cwd`",
        ));
    }
    if program.contains('/') {
        let file = cwd.join(program);
        return runnable(&file).map(|()| file);
    }
    let path = path.unwrap_or(OsStr::new("/usr/local/bin:/usr/bin:/bin"));
    let found = std::env::split_paths(path)
        .map(|directory| cwd.join(directory).join(program))
        .find(|file| runnable(file).is_ok());
    found.ok_or_else(|| {
        let here = cwd.join(program);
        let fix = match (here.is_file(), runnable(&here)) {
            (true, Ok(())) => format!("it is in the working directory: write ./{program}"),
            (true, Err(wrong)) => wrong.fix,
            (false, _) => "check its spelling, install it, or give its full path".to_owned(),
        };
        Wrong::new(format!("there is no program {program:?} in PATH"), fix)
    })
}

/// Whether a file can be executed, by its kind and permissions.
fn runnable(file: &Path) -> Result<(), Wrong> {
    let shown = file.display();
    let metadata = std::fs::metadata(file).map_err(|error| {
        let fix = match error.kind() {
            std::io::ErrorKind::PermissionDenied => {
                "ask for the rights to it, or use another program"
            }
            _ => "check the path; it is relative to the app's working directory",
        };
        Wrong::new(format!("{shown} can't be run: {error}"), fix)
    })?;
    if metadata.is_dir() {
        return Err(Wrong::new(
            format!("{shown} is a directory"),
            "name a program inside it",
        ));
    }
    if metadata.permissions().mode() & 0o111 == 0 || !may_execute(file) {
        return Err(Wrong::new(
            format!("{shown} is not executable"),
            match interpreter(file) {
                Some(interpreter) => format!("run it with its interpreter: {interpreter} {shown}"),
                None => format!("make it so: chmod +x {shown}"),
            },
        ));
    }
    Ok(())
}

/// Whether this process has the right to execute the file; the kernel knows, with all its rules.
fn may_execute(file: &Path) -> bool {
    use rustix::fs::{Access, AtFlags, CWD, accessat};
    accessat(CWD, file, Access::EXEC_OK, AtFlags::EACCESS).is_ok()
}

/// What usually runs files like this one.
fn interpreter(file: &Path) -> Option<&'static str> {
    match file.extension()?.to_str()? {
        "js" | "mjs" | "cjs" => Some("node"),
        "py" => Some("python3"),
        "rb" => Some("ruby"),
        "pl" => Some("perl"),
        "php" => Some("php"),
        "sh" => Some("sh"),
        _ => None,
    }
}
