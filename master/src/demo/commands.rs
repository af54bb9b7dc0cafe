//! What to type in another terminal, spelled so that it works there.

use std::path::{Path, PathBuf};

use crate::home::{Home, MasterName};

/// `ostler`, as it is to be typed for this master.
#[derive(Clone, Debug)]
pub(super) struct Ostler {
    program: String,
    /// ` -M demo` where it isn't the only master.
    master: String,
}

impl Ostler {
    /// For this program, here and now.
    pub(super) fn here(master: &MasterName) -> Self {
        let exe = std::env::current_exe().unwrap_or_else(|_| "ostler".into());
        let cwd = std::env::current_dir().unwrap_or_default();
        let others = Home::of_this_process()
            .ok()
            .and_then(|home| home.live_masters().ok())
            .is_some_and(|masters| masters.len() > 1);
        Self {
            program: program(&exe, &cwd, in_path("ostler").as_deref()),
            master: match others {
                true => format!(" -M {master}"),
                false => String::new(),
            },
        }
    }

    /// A command, such as `ls`.
    pub(super) fn command(&self, words: &str) -> String {
        format!("{}{} {words}", self.program, self.master)
    }
}

/// The shortest spelling that is found again.
fn program(exe: &Path, cwd: &Path, in_path: Option<&Path>) -> String {
    if in_path == Some(exe) {
        return "ostler".into();
    }
    match exe.strip_prefix(cwd) {
        Ok(below) if below.components().count() > 1 => quoted(below),
        Ok(below) => quoted(&Path::new(".").join(below)),
        Err(_) => quoted(exe),
    }
}

fn in_path(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .map(|dir| dir.join(name))
        .find_map(|file| file.canonicalize().ok())
}

/// For a shell.
pub(super) fn quoted(path: &Path) -> String {
    let text = path.display().to_string();
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+=:@".contains(c);
    match text.chars().all(plain) {
        true => text,
        false => format!("'{}'", text.replace('\'', r"'\''")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_program_is_spelled_as_short_as_it_is_found_again() {
        let exe = Path::new("/src/target/release/ostler");
        let spelled =
            |cwd: &str, path: Option<&str>| program(exe, Path::new(cwd), path.map(Path::new));
        assert_eq!(
            spelled("/src", Some("/src/target/release/ostler")),
            "ostler"
        );
        assert_eq!(
            spelled("/src", Some("/usr/bin/ostler")),
            "target/release/ostler"
        );
        assert_eq!(spelled("/src/target/release", None), "./ostler");
        assert_eq!(spelled("/elsewhere", None), "/src/target/release/ostler");
        assert_eq!(quoted(Path::new("/my dir/it's")), r"'/my dir/it'\''s'");
    }
}
