//! The process file, `ostler.toml`.
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
    collections::BTreeMap,
    io::Read as _,
    ops::Range,
    path::{Path, PathBuf},
};

use toml::de::DeTable;

use super::{
    app::{AppDefinition, AppName, SocketAddress, probe},
    app_table,
    bus_table::{self, BusSettings},
    errors::{ConfigErrors, Place, Wrong},
    naming,
    settings::Settings,
    walk::Walker,
};
use crate::home::MasterName;

/// The largest process file read, in bytes.
const LARGEST: u64 = 1 << 20;

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
}

/// Reads a process file. `cores` is what `instances = "auto"` means.
///
/// # Errors
/// With every fault of the file.
pub fn read(path: &Path, cores: u32) -> Result<ProcessFile, ConfigErrors> {
    let whole = |wrong| ConfigErrors::whole_file(path.to_owned(), wrong);
    let bytes = load(path).map_err(whole)?;
    let text = String::from_utf8(bytes).map_err(|error| {
        let (bytes, at) = (error.as_bytes(), error.utf8_error().valid_up_to());
        let mut errors = whole(Wrong::new("the file is not UTF-8", "save it as UTF-8"));
        let valid = String::from_utf8_lossy(&bytes[..at]);
        errors.errors[0].place = Some(Place::of(&valid, at));
        errors
    })?;
    parse(path, &text, cores)
}

fn load(path: &Path) -> Result<Vec<u8>, Wrong> {
    let cannot = |error: std::io::Error| {
        let fix = match error.kind() {
            std::io::ErrorKind::NotFound => {
                "check the path, or run a command without a file: ostler run -- COMMAND"
            }
            std::io::ErrorKind::IsADirectory => "name a file in it, such as ostler.toml",
            _ => "make it readable",
        };
        Wrong::new(format!("the file can't be read: {error}"), fix)
    };
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path).map_err(cannot)?;
    file.take(LARGEST + 1)
        .read_to_end(&mut bytes)
        .map_err(cannot)?;
    if bytes.len() as u64 > LARGEST {
        return Err(Wrong::new(
            "the file is larger than 1 MiB",
            "name a process file, such as ostler.toml",
        ));
    }
    Ok(bytes)
}

/// Reads a process file's text; `path` names it in errors and tells where relative paths start.
///
/// # Errors
/// With every fault of the file.
pub fn parse(path: &Path, text: &str, cores: u32) -> Result<ProcessFile, ConfigErrors> {
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let base = absolute.parent().unwrap_or(Path::new("/")).to_owned();
    let (document, syntax) = DeTable::parse_recoverable(text);
    let mut walker = Walker::new(text);
    for error in &syntax {
        walker.syntax(error);
    }
    let found = document_of(&mut walker, document.get_ref(), &base, cores);
    let errors = walker.finish();
    match found {
        Some((name, apps, bus)) if errors.is_empty() => Ok(ProcessFile {
            master: name.unwrap_or_else(|| master_name(&absolute, &apps)),
            path: absolute,
            apps,
            bus,
        }),
        _ => Err(ConfigErrors {
            file: path.to_owned(),
            errors,
        }),
    }
}

type Document = (Option<MasterName>, Vec<AppDefinition>, BusSettings);

fn document_of(
    walker: &mut Walker<'_>,
    table: &DeTable<'_>,
    base: &Path,
    cores: u32,
) -> Option<Document> {
    let mut name = None;
    let mut defaults = Settings::default();
    let mut apps = None;
    let mut bus = BusSettings::default();
    for (key, node) in table {
        match key.get_ref().as_ref() {
            "name" => {
                let text = walker.string("name", node, "write the master's name in quotes");
                name = text.and_then(|text| walker.take("name", node, MasterName::new(text)));
            }
            "defaults" => {
                if let Some(table) = walker.table("defaults", node, "write a table: [defaults]") {
                    defaults = defaults_of(walker, table, base);
                }
            }
            "app" => apps = walker.table("app", node, "write a table for each app: [app.web]"),
            "bus" => bus = bus_table::read(walker, key.span(), node, base),
            other => top_level_key(walker, key.span(), other),
        }
    }
    let Some(apps) = apps.filter(|apps| !apps.is_empty()) else {
        if !table.keys().any(|key| is_apps(key.get_ref())) {
            let wrong = Wrong::new(
                "the file has no app",
                "add one: [app.web] with command = [\"node\", \"server.js\"]",
            );
            walker.misfit(0..0, "app", wrong);
        }
        return None;
    };
    Some((name, apps_of(walker, apps, &defaults, base, cores), bus))
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
    let meant = is_apps(key).then_some("app");
    walker.unknown_key(span, key, key, &["name", "defaults", "app", "bus"], meant);
}

fn defaults_of(walker: &mut Walker<'_>, table: &DeTable<'_>, base: &Path) -> Settings {
    for (key, _) in table {
        let name = key.get_ref().as_ref();
        if matches!(name, "command" | "listen") {
            let wrong = Wrong::new("two apps can't share it", "move it below [app.NAME]");
            walker.misfit(key.span(), &format!("defaults.{name}"), wrong);
        }
    }
    app_table::read(walker, "defaults", table, base)
}

fn apps_of(
    walker: &mut Walker<'_>,
    table: &DeTable<'_>,
    defaults: &Settings,
    base: &Path,
    cores: u32,
) -> Vec<AppDefinition> {
    let mut apps = Vec::new();
    let mut taken = BTreeMap::new();
    for (key, node) in table {
        let path = format!("app.{}", key.get_ref());
        let name = AppName::new(key.get_ref()).map_err(|problem| {
            let nearest = naming::token_of(key.get_ref());
            walker.fault(
                key.span(),
                &path,
                Wrong::new(problem, format!("name it `{nearest}`")),
            );
        });
        let fix = match app_table::KEYS.contains(&key.get_ref().as_ref()) {
            true => "name the app in the header: [app.web]",
            false => "write a table for each app: [app.web] with its keys below",
        };
        let Some(table) = walker.table(&path, node, fix) else {
            continue;
        };
        let mut settings = app_table::read(walker, &path, table, base).or(defaults);
        settings.cwd.get_or_insert_with(|| base.to_owned());
        let commands = |key: &str| key == "command" || app_table::meant(key) == Some("command");
        if !table.keys().any(|key| commands(key.get_ref())) {
            let wrong = Wrong::new(
                "the app has no command",
                "add command = [\"node\", \"server.js\"]",
            );
            walker.misfit(key.span(), &path, wrong);
        }
        for socket in settings.listen.iter().flatten() {
            claim(walker, &mut taken, key.span(), &path, &socket.address);
        }
        if let (Ok(name), Some(command)) = (name, settings.command.take()) {
            let app = settings.define(name, command, cores);
            if let Err(wrong) = probe::check(&app) {
                walker.misfit(key.span(), &path, wrong);
            }
            apps.push(app);
        }
    }
    apps
}

/// Two sockets can't listen on one address; port 0 is a different one each time.
fn claim(
    walker: &mut Walker<'_>,
    taken: &mut BTreeMap<String, String>,
    span: Range<usize>,
    path: &str,
    address: &SocketAddress,
) {
    if matches!(address, SocketAddress::Tcp(tcp) if tcp.port() == 0) {
        return;
    }
    if let Some(other) = taken.insert(address.to_string(), path.to_owned()) {
        let wrong = Wrong::new(
            format!("{address} is already declared by {other}"),
            "give each socket an address of its own",
        );
        walker.fault(span, &format!("{path}.listen"), wrong);
    }
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
