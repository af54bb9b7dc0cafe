//! The process file, `ostler.toml` (or `.yaml`, `.json`: the same document).
//!
//! ```toml
//! name = "shop"                      # the master's name
//!
//! [defaults]                         # for every app below
//! env = { RUST_LOG = "info" }
//!
//! [app.web]
//! command = ["node", "server.js"]    # run directly; a string is split at blanks, or given to /bin/sh if it needs one
//! instances = "auto"                 # one per core
//! listen = { http = ":8080", admin = { address = "127.0.0.1:9000", backlog = 16 } }
//! kill_ladder = ["TERM:30s", "KILL"]
//! bus = { emit = { deny = ["admin.>"] } }   # what its workers may not do
//!
//! [bus.limits]                       # of the master's hub
//! payload_bytes = "4MiB"
//! ```
//!
//! Relative paths (`cwd`, `unix:` sockets, watched paths) start at the file's directory, which is also the default `cwd`;
//! a program with a `/` in its name is relative to `cwd`, as its arguments are.

use std::{
    ops::Range,
    path::{Path, PathBuf},
};

use super::{
    app::{AppDefinition, AppName},
    app_list, app_table,
    bus_table::{self, BusSettings},
    circumstances::Circumstances,
    errors::{ConfigErrors, Wrong},
    gather::{self, Part},
    load, naming,
    settings::Settings,
    sources::Texts,
    suggest,
    walk::Walker,
};
use crate::home::MasterName;

/// The largest process file that is read, in bytes.
pub const LARGEST: usize = load::LARGEST as usize;

/// What a process file says.
#[derive(Clone, Debug, PartialEq)]
pub struct ProcessFile {
    /// The file, absolute.
    pub path: PathBuf,
    /// The master's name: `name`, else that of the only app, else the file's, or its directory's if that is `ostler.toml`.
    pub master: MasterName,
    /// The apps, by name.
    pub apps: Vec<AppDefinition>,
    /// What was said of the bus.
    pub bus: BusSettings,
    /// Whether the master heeds signals beyond those that end it. Default true.
    pub signals: bool,
    /// What is no error, but hardly meant, in words.
    pub warnings: Vec<String>,
}

impl ProcessFile {
    /// Has only these apps start by themselves; none: as the file says.
    ///
    /// # Errors
    /// If it has no such app.
    pub fn start_only(&mut self, only: &[AppName]) -> Result<(), String> {
        if only.is_empty() {
            return Ok(());
        }
        let names = || self.apps.iter().map(|app| app.name.as_str());
        if let Some(unknown) = only
            .iter()
            .find(|name| names().all(|app| app != name.as_str()))
        {
            let near = suggest::closest(unknown.as_str(), names());
            let near = near.map_or_else(String::new, |near| format!("; did you mean {near:?}?"));
            let known: Vec<&str> = names().collect();
            return Err(format!(
                "{} has no app {:?}{near}; it has: {}",
                self.path.display(),
                unknown.as_str(),
                known.join(", ")
            ));
        }
        for app in &mut self.apps {
            app.start.autostart = only.contains(&app.name);
        }
        Ok(())
    }
}

/// Every key that may stand at the top.
pub(super) const KEYS: [&str; 7] = [
    "name", "include", "defaults", "template", "app", "bus", "signals",
];

/// Reads a process file, and what it includes.
///
/// # Errors
/// With every fault of the files.
pub fn read(path: &Path, circumstances: &Circumstances) -> Result<ProcessFile, ConfigErrors> {
    let text = load::text(path).map_err(|unreadable| ConfigErrors {
        file: path.to_owned(),
        errors: vec![unreadable.of(path.to_owned())],
    })?;
    parse_in(path, &text, circumstances)
}

/// Reads a process file's text where there are so many cores, and nothing else.
///
/// # Errors
/// With every fault of the file.
pub fn parse(path: &Path, text: &str, cores: u32) -> Result<ProcessFile, ConfigErrors> {
    let circumstances = Circumstances {
        cores,
        ..Circumstances::default()
    };
    parse_in(path, text, &circumstances)
}

/// Reads a process file's text; `path` names it in errors, tells what it is written in, and where relative paths start.
///
/// # Errors
/// With every fault of the file and of those that it includes.
pub fn parse_in(
    path: &Path,
    text: &str,
    circumstances: &Circumstances,
) -> Result<ProcessFile, ConfigErrors> {
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let texts = Texts::default();
    let mut walker = Walker::new(circumstances, &texts);
    let parts = gather::gather(&mut walker, path, text.to_owned());
    let Own { name, bus, signals } = own_of(&mut walker, &parts);
    let apps = apps_of(&mut walker, &parts);
    let warnings = std::mem::take(&mut walker.warnings);
    let errors = walker.finish();
    if !errors.is_empty() {
        return Err(ConfigErrors {
            file: path.to_owned(),
            errors,
        });
    }
    Ok(ProcessFile {
        master: name.unwrap_or_else(|| master_name(&absolute, &apps)),
        path: absolute,
        apps,
        bus,
        signals: signals.unwrap_or(true),
        warnings,
    })
}

/// What only the process file itself may say.
#[derive(Default)]
struct Own {
    name: Option<MasterName>,
    bus: BusSettings,
    signals: Option<bool>,
}

/// What only the process file itself may say; and keys that nobody may.
fn own_of(walker: &mut Walker<'_>, parts: &[Part<'_>]) -> Own {
    let mut own = Own::default();
    for part in parts {
        for (key, node) in &part.table {
            match key.get_ref().as_ref() {
                // Read elsewhere.
                "include" | "defaults" | "template" | "app" => {}
                other @ ("name" | "bus" | "signals") if part.parent.is_some() => {
                    let fix = "move it to the file that includes this one";
                    let wrong = Wrong::new("an included file can't say this", fix);
                    walker.misfit(key.span(), other, wrong);
                }
                "name" => {
                    let text = walker.string("name", node, "write the master's name in quotes");
                    own.name =
                        text.and_then(|text| walker.take("name", node, MasterName::new(text)));
                }
                "bus" => own.bus = bus_table::read(walker, key.span(), node, &part.base),
                "signals" => own.signals = walker.boolean("signals", node),
                "apps" if node.get_ref().is_array() => {
                    let fix = "turn it into a process file: ostler import FILE > ostler.toml";
                    let wrong = Wrong::new("this is how PM2 writes its apps", fix);
                    walker.misfit(key.span(), "apps", wrong);
                }
                other => top_level_key(walker, key.span(), other),
            }
        }
    }
    own
}

fn apps_of(walker: &mut Walker<'_>, parts: &[Part<'_>]) -> Vec<AppDefinition> {
    let mut defaults: Vec<Settings> = Vec::new();
    for part in parts {
        let own = part.table.get("defaults").and_then(|node| {
            let table = walker.table("defaults", node, "write a table: [defaults]")?;
            Some(app_list::shared(walker, "defaults", table, &part.base))
        });
        let outer = part.parent.and_then(|parent| defaults.get(parent));
        defaults.push(
            own.unwrap_or_default()
                .or(outer.unwrap_or(&Settings::default())),
        );
    }
    // One that is there and empty says that there are none.
    let meant = |part: &Part<'_>| part.table.keys().any(|key| is_apps(key.get_ref()));
    if !parts.iter().any(meant) {
        let wrong = Wrong::new(
            "the file has no app",
            "add one: [app.web] with command = [\"node\", \"server.js\"]",
        );
        walker.misfit(0..0, "app", wrong);
    }
    app_list::read(walker, parts, &defaults)
}

/// Whether a top-level key is `app`, or was meant to be.
fn is_apps(key: &str) -> bool {
    matches!(
        key,
        "app" | "apps" | "application" | "applications" | "program" | "service" | "services"
    )
}

fn top_level_key(walker: &mut Walker<'_>, span: Range<usize>, key: &str) {
    if app_table::KEYS.contains(&key) {
        let wrong = Wrong::new(
            "the key belongs to an app",
            format!("move it below [app.NAME], or [defaults] if it is for all: {key} = …"),
        );
        walker.misfit(span, key, wrong);
        return;
    }
    let meant = match key {
        "templates" | "base" => Some("template"),
        "includes" | "imports" => Some("include"),
        key => is_apps(key).then_some("app"),
    };
    walker.unknown_key(span, key, key, &KEYS, meant);
}

fn master_name(file: &Path, apps: &[AppDefinition]) -> MasterName {
    let of = |text: &str| MasterName::new(&naming::token_of(text)).expect("token_of gives a token");
    if let [app] = apps {
        return of(app.name.as_str());
    }
    let stem = file.file_stem().and_then(|stem| stem.to_str());
    let directory = file
        .parent()
        .and_then(Path::file_name)
        .and_then(|name| name.to_str());
    match stem {
        Some(stem) if stem != "ostler" => of(stem),
        _ => of(directory.unwrap_or("ostler")),
    }
}

#[cfg(test)]
mod tests;
