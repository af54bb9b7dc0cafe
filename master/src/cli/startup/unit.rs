//! The text of a unit.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use super::Scope;
use crate::{
    cli::error::{CliError, Exit},
    home::MasterName,
};

/// The first line of each unit: what was not written by us is not ours to replace or remove.
pub(super) const MARK: &str = "# Written by `ostler startup`";

/// What a unit runs.
#[derive(Clone, Debug)]
pub(super) enum Runs {
    /// What `ostler save` has saved.
    Saved(PathBuf),
    /// A process file, for an environment.
    File(PathBuf, Option<String>),
}

impl Runs {
    pub(super) fn file(&self) -> &Path {
        match self {
            Self::Saved(file) | Self::File(file, _) => file,
        }
    }

    pub(super) fn is_saved(&self) -> bool {
        match self {
            Self::Saved(_) => true,
            Self::File(..) => false,
        }
    }

    pub(super) fn environment(&self) -> Option<String> {
        match self {
            Self::Saved(_) => None,
            Self::File(_, environment) => environment.clone(),
        }
    }
}

/// A unit.
#[derive(Clone, Debug)]
pub(super) struct Unit {
    pub(super) scope: Scope,
    pub(super) master: MasterName,
    pub(super) program: PathBuf,
    pub(super) runs: Runs,
    /// `OSTLER_HOME`, if it is set: commands must find the master there.
    pub(super) home: Option<PathBuf>,
    /// `XDG_STATE_HOME`, if what is saved is looked for there.
    pub(super) state_home: Option<PathBuf>,
    /// `PATH`: systemd's own is short, and programs are looked up in it.
    pub(super) path: Option<String>,
    pub(super) stop_timeout: Duration,
}

impl Unit {
    /// Whether each of its paths can be written down: systemd takes some of them as they stand, to the end of the line.
    ///
    /// # Errors
    /// The first that can't.
    pub(super) fn check(&self) -> Result<(), CliError> {
        let file = self.runs.file();
        let set = [&self.home, &self.state_home];
        let set = set.into_iter().filter_map(Option::as_deref);
        let mut paths = [Some(file), file.parent(), Some(self.program.as_path())]
            .into_iter()
            .flatten()
            .chain(set);
        match paths.find(|path| !is_plain(path)) {
            None => Ok(()),
            Some(path) => Err(CliError::new(
                Exit::Usage,
                format!("{} can't be written into a unit", path.display()),
            )
            .hint("use a path in UTF-8 without control characters, that neither begins nor ends with a blank, nor ends with a backslash")),
        }
    }

    /// Its text. It has been checked.
    pub(super) fn text(&self) -> String {
        let mut lines = vec![
            format!("{MARK}; `ostler startup --remove` removes it."),
            "[Unit]".to_owned(),
            format!("Description=Ostler master {}", self.master),
        ];
        let mut line = |line: String| lines.push(line);
        match self.scope {
            Scope::System => {
                line("Wants=network-online.target\nAfter=network-online.target".into());
            }
            // A user's systemd knows nothing of the network.
            Scope::User => {}
        }
        if self.runs.is_saved() {
            line(format!(
                "ConditionPathExists={}",
                specifiers(&self.runs.file().display().to_string())
            ));
        }
        line("\n[Service]\nType=notify\nNotifyAccess=main".into());
        line(format!("ExecStart={}", self.start()));
        line(format!(
            "ExecReload={}",
            self.command(&["reload", "--config"])
        ));
        if let Some(directory) = self.runs.file().parent().filter(|_| !self.runs.is_saved()) {
            line(format!(
                "WorkingDirectory={}",
                specifiers(&directory.display().to_string())
            ));
        }
        let home = self
            .home
            .as_ref()
            .map(|home| format!("OSTLER_HOME={}", home.display()));
        let state = self
            .state_home
            .as_ref()
            .map(|home| format!("XDG_STATE_HOME={}", home.display()));
        let path = self.path.as_ref().map(|path| format!("PATH={path}"));
        for variable in [home, state, path].into_iter().flatten() {
            line(format!("Environment={}", quoted(&specifiers(&variable))));
        }
        line(POLICY.into());
        line(format!("TimeoutStopSec={}", self.stop_timeout.as_secs()));
        line("\n[Install]".into());
        line(format!("WantedBy={}", self.scope.target()));
        lines.join("\n") + "\n"
    }

    fn start(&self) -> String {
        let file = self.runs.file().display().to_string();
        let environment = self.runs.environment();
        let mut words = vec!["run", "--stay"];
        if let Some(environment) = &environment {
            words.extend(["--env", environment]);
        }
        words.push(&file);
        self.command(&words)
    }

    fn command(&self, words: &[&str]) -> String {
        // In the program's own path `$` stands for nothing.
        let program = word(specifiers(&self.program.display().to_string()));
        let before = ["-M", self.master.as_str()];
        let arguments = before.iter().chain(words).map(|word| argument(word));
        let words = std::iter::once(program).chain(arguments);
        words.collect::<Vec<_>>().join(" ")
    }
}

/// What holds for every master.
///
/// It is started again if it fails, but not when it can't be started at all (2 usage, 75 another one runs, 78 bad
/// configuration), nor when it was ended by force (5, [`FORCED_CODE`](crate::fleet::FORCED_CODE)). TERM goes to it alone, as it lets workers finish; what is left when it has ended is killed. A worker that is
/// out of memory is its affair, not the unit's. Workers inherit the soft limit of files.
const POLICY: &str = "\
Restart=on-failure
RestartSec=1
RestartPreventExitStatus=2 5 75 78
KillMode=mixed
OOMPolicy=continue
Delegate=yes
LimitNOFILE=65536";

impl Scope {
    /// What brings the unit up.
    pub(super) fn target(self) -> &'static str {
        match self {
            Self::System => "multi-user.target",
            Self::User => "default.target",
        }
    }
}

/// systemd's `%` specifiers are none of ours.
fn specifiers(text: &str) -> String {
    text.replace('%', "%%")
}

/// Whether systemd reads it as it is written.
fn is_plain(path: &Path) -> bool {
    path.to_str().is_some_and(|text| {
        text.trim() == text && !text.ends_with('\\') && !text.chars().any(char::is_control)
    })
}

/// One argument of a command line, in which `$` would stand for a variable.
fn argument(text: &str) -> String {
    word(specifiers(text).replace('$', "$$"))
}

/// One word of a command line.
fn word(word: String) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+:=@,%$".contains(c);
    match !word.is_empty() && word.chars().all(plain) {
        true => word,
        false => quoted(&word),
    }
}

fn quoted(text: &str) -> String {
    let mut out = String::from('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            c if c.is_control() => out.push_str(&format!("\\x{:02x}", u32::from(c))),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unit(scope: Scope, runs: Runs) -> Unit {
        Unit {
            scope,
            master: MasterName::new("shop").expect("a name"),
            program: "/opt/my tools/ostler".into(),
            runs,
            home: None,
            state_home: None,
            path: Some("/usr/bin:/home/x y/100%".into()),
            stop_timeout: Duration::from_secs(60),
        }
    }

    #[test]
    fn the_unit_of_a_file_says_everything() {
        let file = Runs::File("/srv/shop/$a b.toml".into(), Some("staging".into()));
        let text = unit(Scope::System, file).text();
        assert_eq!(
            text,
            r#"# Written by `ostler startup`; `ostler startup --remove` removes it.
[Unit]
Description=Ostler master shop
Wants=network-online.target
After=network-online.target

[Service]
Type=notify
NotifyAccess=main
ExecStart="/opt/my tools/ostler" -M shop run --stay --env staging "/srv/shop/$$a b.toml"
ExecReload="/opt/my tools/ostler" -M shop reload --config
WorkingDirectory=/srv/shop
Environment="PATH=/usr/bin:/home/x y/100%%"
Restart=on-failure
RestartSec=1
RestartPreventExitStatus=2 5 75 78
KillMode=mixed
OOMPolicy=continue
Delegate=yes
LimitNOFILE=65536
TimeoutStopSec=60

[Install]
WantedBy=multi-user.target
"#
        );
    }

    #[test]
    fn the_unit_of_a_saved_fleet_waits_for_it_to_be_saved() {
        let saved = Runs::Saved("/home/x/.local/state/ostler/shop.saved.toml".into());
        let mut unit = unit(Scope::User, saved);
        unit.home = Some("/home/x/masters".into());
        unit.state_home = Some("/home/x/state".into());
        unit.program = "/opt/$x/100%/ostler".into();
        let text = unit.text();
        for line in [
            "ConditionPathExists=/home/x/.local/state/ostler/shop.saved.toml",
            "Environment=\"OSTLER_HOME=/home/x/masters\"",
            "Environment=\"XDG_STATE_HOME=/home/x/state\"",
            "ExecReload=/opt/$x/100%%/ostler -M shop reload --config",
            "WantedBy=default.target",
        ] {
            assert!(
                text.lines().any(|known| known == line),
                "no {line} in\n{text}"
            );
        }
        assert!(
            !text.contains("network") && !text.contains("WorkingDirectory"),
            "{text}"
        );
    }

    #[test]
    fn paths_that_would_say_something_else_are_refused() {
        use std::os::unix::ffi::OsStrExt as _;
        let file = |path: &[u8]| {
            let path = Path::new(std::ffi::OsStr::from_bytes(path)).to_owned();
            unit(Scope::System, Runs::File(path, None))
        };
        assert!(file(b"/srv/a b/\xc3\xa9$%\"/shop.toml").check().is_ok());
        let bad: [&[u8]; 5] = [
            b"/srv/x\nUser=root/shop.toml",
            b"/srv/x\\/shop.toml",
            b"/srv/x /shop.toml",
            b"/srv/\xff/shop.toml",
            b"/srv/shop.toml\t",
        ];
        for path in bad {
            let error = file(path).check().expect_err("refused");
            assert_eq!(error.exit, Exit::Usage, "{path:?}");
        }
        let good = file(b"/srv/shop.toml");
        let unit = Unit {
            home: Some("/srv/x\n".into()),
            ..good
        };
        assert!(unit.check().is_err());
    }
}
