//! Where units are, and who is told of them.

use std::{
    fs, io,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use super::{Scope, unit::MARK};
use crate::{
    cli::error::{CliError, Exit},
    home::MasterName,
};

/// There only while systemd runs the machine.
const BOOTED: &str = "/run/systemd/system";

/// A unit's file, and the link that enables it.
#[derive(Debug)]
pub(super) struct Place {
    scope: Scope,
    name: String,
    file: PathBuf,
    link: PathBuf,
}

impl Place {
    /// That of a master's unit.
    pub(super) fn of(scope: Scope, master: &MasterName) -> Result<Self, CliError> {
        let directory = directory(scope)?;
        let name = format!("ostler-{master}.service");
        Ok(Self {
            scope,
            file: directory.join(&name),
            link: directory
                .join(format!("{}.wants", scope.target()))
                .join(&name),
            name,
        })
    }

    /// Writes the unit, enables it, and tells systemd.
    pub(super) fn install(&self, text: &str) -> Result<(), CliError> {
        self.check_ours()?;
        let write = || {
            fs::create_dir_all(self.link.parent().unwrap_or(Path::new("/")))?;
            let new = self.file.with_extension("service.new");
            fs::write(&new, text)?;
            fs::rename(&new, &self.file)?;
            remove_file(&self.link)?;
            symlink(format!("../{}", self.name), &self.link)
        };
        write().map_err(|error| self.failed("written", &error))?;
        eprintln!("wrote {} and enabled it", self.file.display());
        let (systemctl, name) = (self.systemctl(), &self.name);
        if !self.tell_systemd() {
            eprintln!("note: systemd was not told; once it runs: {systemctl} daemon-reload");
        }
        eprintln!("start it now: {systemctl} start {name}");
        if self.scope == Scope::User {
            eprintln!("it starts when you log in; from boot on: loginctl enable-linger");
        }
        Ok(())
    }

    /// Disables the unit, removes it, and tells systemd. What runs goes on.
    pub(super) fn remove(&self) -> Result<(), CliError> {
        if !self.file.exists() {
            let problem = format!("there is no unit {}", self.file.display());
            return Err(CliError::new(Exit::UnknownName, problem)
                .hint("-M NAME says of which master, --user or --system whose it is"));
        }
        self.check_ours()?;
        let remove = || {
            remove_file(&self.link)?;
            remove_file(&self.file)
        };
        remove().map_err(|error| self.failed("removed", &error))?;
        eprintln!("removed {}", self.file.display());
        self.tell_systemd();
        eprintln!("a master that runs goes on until `ostler kill`");
        Ok(())
    }

    /// A unit that somebody else wrote is theirs.
    fn check_ours(&self) -> Result<(), CliError> {
        match fs::read_to_string(&self.file) {
            Ok(text) if !text.starts_with(MARK) => Err(CliError::new(
                Exit::Failed,
                format!(
                    "{} was not written by `ostler startup`",
                    self.file.display()
                ),
            )
            .hint("it is left as it is; remove it first, or edit it")),
            Ok(_) => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(self.failed("read", &error)),
        }
    }

    fn failed(&self, what: &str, error: &io::Error) -> CliError {
        let problem = format!("{} can't be {what}", self.file.display());
        let failed = CliError::new(Exit::Failed, problem).because(error);
        match (error.kind(), self.scope) {
            (io::ErrorKind::PermissionDenied, Scope::System) => {
                failed.hint("units of the machine are root's; --user makes one of your own")
            }
            _ => failed,
        }
    }

    fn systemctl(&self) -> &'static str {
        match self.scope {
            Scope::System => "systemctl",
            Scope::User => "systemctl --user",
        }
    }

    /// Whether a systemd that runs has read its units again.
    fn tell_systemd(&self) -> bool {
        if !Path::new(BOOTED).exists() {
            return false;
        }
        let mut words = self.systemctl().split(' ');
        let mut command = Command::new(words.next().unwrap_or_default());
        let command = command
            .args(words)
            .arg("daemon-reload")
            .stdin(Stdio::null());
        command.status().is_ok_and(|status| status.success())
    }
}

/// The only master that has a unit.
pub(super) fn only_one(scope: Scope) -> Result<MasterName, CliError> {
    let directory = directory(scope)?;
    let entries = fs::read_dir(&directory).into_iter().flatten().flatten();
    let names = entries.filter_map(|entry| {
        let name = entry.file_name().into_string().ok()?;
        let name = name.strip_prefix("ostler-")?.strip_suffix(".service")?;
        MasterName::new(name).ok()
    });
    let mut names: Vec<MasterName> = names.collect();
    names.sort();
    match names.as_slice() {
        [only] => Ok(only.clone()),
        [] => Err(CliError::new(
            Exit::UnknownName,
            format!("no master has a unit in {}", directory.display()),
        )
        .hint(
            "--user and --system choose another place; `ostler startup FILE --install` makes one",
        )),
        [first, ..] => Err(CliError::new(
            Exit::Usage,
            format!("{} masters have units: say which one", names.len()),
        )
        .details(names.iter().map(ToString::to_string))
        .hint(format!("add -M {first}"))),
    }
}

fn directory(scope: Scope) -> Result<PathBuf, CliError> {
    if scope == Scope::System {
        return Ok(PathBuf::from("/etc/systemd/system"));
    }
    let set = |name| {
        std::env::var_os(name)
            .map(PathBuf::from)
            .filter(|path| path.is_absolute())
    };
    let config = set("XDG_CONFIG_HOME").or_else(|| Some(set("HOME")?.join(".config")));
    let config = config.ok_or_else(|| {
        CliError::new(Exit::Failed, "there is no place for units of yours")
            .hint("set HOME or XDG_CONFIG_HOME")
    })?;
    Ok(config.join("systemd/user"))
}

fn remove_file(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}
