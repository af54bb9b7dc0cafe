//! The program of a command: how a command in one string is taken apart, and whether its program can be run at all.

use std::{
    ffi::OsStr,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use super::{errors::Wrong, shell_line};

/// What only a shell understands.
const SHELL: &[char] = &[
    '|', '&', ';', '<', '>', '(', ')', '$', '`', '\\', '"', '\'', '*', '?', '[', ']', '#', '~',
    '{', '}', '!', '\n',
];

/// The words of a command written as one string.
///
/// A plain one ("node server.js --port 80") is split at blanks and run directly, so that signals reach the program. One
/// with anything that only a shell understands (quotes, `$NAME`, pipes, `NAME=value` in front) is given to `/bin/sh -c`,
/// see [`shell_line`].
#[must_use]
pub fn words(command: &str) -> Vec<String> {
    let words: Vec<String> = command.split_whitespace().map(str::to_owned).collect();
    let assigns = words.first().is_some_and(|word| word.contains('='));
    if assigns || command.trim().contains(SHELL) {
        return shell_line::command(command);
    }
    words
}

/// Finds the file that a program's name stands for: a name with a `/` is relative to `cwd`, any other is looked up in
/// `path` (the value of `PATH`).
///
/// # Errors
/// If there is none, or it can't be run; with what to do.
pub fn resolve(program: &str, cwd: &Path, path: Option<&OsStr>) -> Result<PathBuf, Wrong> {
    enter(cwd)?;
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

/// Whether a program can be started in this directory.
///
/// # Errors
/// If there is none; with what to do.
pub fn enter(cwd: &Path) -> Result<(), Wrong> {
    if cwd.is_dir() {
        return Ok(());
    }
    Err(Wrong::new(
        format!("the working directory {} does not exist", cwd.display()),
        "create it, or correct `cwd`",
    ))
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
                None => format!("make it executable: chmod +x {shown}"),
            },
        ));
    }
    match missing_interpreter(file) {
        Some(missing) => Err(Wrong::new(
            format!("{shown} is to be run by {missing:?}, which is not there"),
            "correct its first line (a Windows line ending spoils it), or install that program",
        )),
        None => Ok(()),
    }
}

/// The program that a script's first line names, if it is not there.
fn missing_interpreter(file: &Path) -> Option<String> {
    use std::io::Read as _;
    // As much as the kernel looks at.
    let mut head = Vec::new();
    let script = crate::plain_file::open(file).ok()?;
    script.take(256).read_to_end(&mut head).ok()?;
    let line = head.strip_prefix(b"#!")?.split(|b| *b == b'\n').next()?;
    let line = String::from_utf8_lossy(line);
    let program = line.trim_matches([' ', '\t']).split([' ', '\t']).next()?;
    let is_gone = !program.is_empty() && !Path::new(program).exists();
    is_gone.then(|| program.to_owned())
}

/// Whether this process has the right to execute the file; the kernel knows, with all its rules.
fn may_execute(file: &Path) -> bool {
    use rustix::fs::{Access, AtFlags, CWD, accessat};
    accessat(CWD, file, Access::EXEC_OK, AtFlags::EACCESS).is_ok()
}

/// What usually runs files like this one.
pub(crate) fn interpreter(file: &Path) -> Option<&'static str> {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plain_string_is_split_and_another_one_goes_to_the_shell() {
        assert_eq!(
            words("node  server.js --port 80"),
            ["node", "server.js", "--port", "80"]
        );
        for (command, run) in [
            ("exec node $SCRIPT", "exec node $SCRIPT"),
            ("PORT=1 node x", "PORT=1 exec node x"),
            ("echo 'two words'", "exec echo 'two words'"),
        ] {
            assert_eq!(words(command), ["/bin/sh", "-c", run]);
        }
        assert!(words("  ").is_empty());
    }

    fn script(directory: &Path, name: &str, mode: u32) {
        let file = directory.join(name);
        std::fs::write(&file, "#!/bin/sh\n").unwrap();
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn programs_are_found_or_the_reason_is_told() {
        let directory = tempfile::tempdir().unwrap();
        let here = directory.path();
        std::fs::create_dir(here.join("bin")).unwrap();
        script(here, "run", 0o755);
        script(here, "plain", 0o644);
        script(here, "server.js", 0o644);
        script(&here.join("bin"), "tool", 0o755);
        script(here, "windows", 0o755);
        std::fs::write(here.join("windows"), "#!/bin/sh\r\n").unwrap();
        let path = OsStr::new("/nonexistent:bin");
        let found = |program| resolve(program, here, Some(path));
        assert_eq!(found("./run"), Ok(here.join("./run")));
        assert_eq!(found("tool"), Ok(here.join("bin/tool")));
        let shown = here.display();
        let cases = [
            ("nope", "there is no program \"nope\" in PATH; check its spelling, install it, or give its full path".to_owned()),
            ("run", "there is no program \"run\" in PATH; it is in the working directory: write ./run".to_owned()),
            ("plain", format!("there is no program \"plain\" in PATH; make it executable: chmod +x {shown}/plain")),
            ("./plain", format!("{shown}/./plain is not executable; make it executable: chmod +x {shown}/./plain")),
            ("./server.js", format!("{shown}/./server.js is not executable; run it with its interpreter: node {shown}/./server.js")),
            ("./bin", format!("{shown}/./bin is a directory; name a program inside it")),
            ("./windows", format!("{shown}/./windows is to be run by \"/bin/sh\\r\", which is not there; correct its first line (a Windows line ending spoils it), or install that program")),
            ("./gone", format!("{shown}/./gone can't be run: No such file or directory (os error 2); check the path; it is relative to the app's working directory")),
        ];
        for (program, error) in cases {
            assert_eq!(found(program).unwrap_err().to_string(), error);
        }
        let gone = resolve("sh", &here.join("gone"), None).unwrap_err();
        assert_eq!(
            gone.problem,
            format!("the working directory {shown}/gone does not exist")
        );
    }
}
