//! The apps of a process file, each from all that is said of it.
//!
//! What stands nearer holds: the app's own table, the templates and apps that it `extends`, then `[defaults]`. What any of
//! these say for the chosen environment, in the same order, stands over all that is said without one.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Range,
    path::Path,
};

use toml::de::DeTable;

use super::{
    app::{AppDefinition, AppName, SocketAddress, probe},
    app_table,
    errors::Wrong,
    gather::Part,
    given_table, naming, recycle_table,
    settings::Settings,
    start_order::{self, Order},
    stop_table, suggest,
    walk::Walker,
};

/// A table that settings are read from.
struct Entry<'d> {
    /// Its key in the file: "app.web".
    path: String,
    span: Range<usize>,
    /// Which file it stands in.
    part: usize,
    is_app: bool,
    table: &'d DeTable<'d>,
    settings: Settings,
    /// What it extends, and where that is said.
    extends: Option<(String, Range<usize>)>,
}

/// Apps and templates, by name.
type Entries<'d> = BTreeMap<String, Entry<'d>>;

/// Reads the apps, by name. `defaults` are those of each part.
pub(super) fn read(
    walker: &mut Walker<'_>,
    parts: &[Part<'_>],
    defaults: &[Settings],
) -> Vec<AppDefinition> {
    let entries = entries(walker, parts);
    check_extends(walker, &entries);
    check_environment(walker, &entries, defaults);
    let mut taken = BTreeMap::new();
    let mut apps = Vec::new();
    let mut orders = BTreeMap::new();
    for (name, entry) in entries.iter().filter(|(_, entry)| entry.is_app) {
        let settings = whole(walker, &entries, name, entry, parts, defaults);
        given_table::check(walker, entry.span.clone(), &entry.path, &settings);
        stop_table::check_app(walker, entry.span.clone(), &entry.path, &settings);
        for socket in settings.listen.iter().flatten() {
            claim(walker, &mut taken, entry, &socket.address);
        }
        let said = entry.table.get("depends_on");
        let order = Order {
            depends_on: settings.depends_on.clone().unwrap_or_default(),
            span: said.map_or(entry.span.clone(), |node| node.span()),
        };
        orders.insert(name.clone(), order);
        apps.extend(define(walker, name, entry, settings));
    }
    start_order::check(walker, &orders);
    apps
}

fn define(
    walker: &mut Walker<'_>,
    name: &str,
    entry: &Entry<'_>,
    mut settings: Settings,
) -> Option<AppDefinition> {
    let name = match AppName::new(name) {
        Ok(name) => name,
        Err(problem) => {
            let nearest = naming::token_of(name);
            let wrong = Wrong::new(problem, format!("name it `{nearest}`"));
            walker.fault(entry.span.clone(), &entry.path, wrong);
            return None;
        }
    };
    let command = settings.command.take()?;
    let app = settings.define(name, command, walker.circumstances.cores);
    if let Some((problem, fix)) = app.update.contradiction() {
        walker.misfit(entry.span.clone(), &entry.path, Wrong::new(problem, fix));
    }
    if let Err(wrong) = probe::check(&app) {
        walker.misfit(entry.span.clone(), &entry.path, wrong);
    }
    walker.warnings.extend(recycle_table::warning(&app));
    Some(app)
}

/// Settings that apps share: `[defaults]` and templates.
pub(super) fn shared(
    walker: &mut Walker<'_>,
    path: &str,
    table: &DeTable<'_>,
    base: &Path,
) -> Settings {
    for (key, _) in table {
        let name = key.get_ref().as_ref();
        if name == "listen" || (path == "defaults" && matches!(name, "command" | "extends")) {
            let wrong = Wrong::new("two apps can't share it", "move it below [app.NAME]");
            walker.misfit(key.span(), &format!("{path}.{name}"), wrong);
        }
    }
    let mut settings = app_table::read(walker, path, table, base);
    settings.listen = None;
    settings.places.forget("listen");
    settings
}

/// Reads every app and every template of all parts.
fn entries<'d>(walker: &mut Walker<'_>, parts: &'d [Part<'d>]) -> Entries<'d> {
    let mut entries = Entries::new();
    for (number, part) in parts.iter().enumerate() {
        for (kind, is_app) in [("app", true), ("template", false)] {
            let fix = format!("write a table for each {kind}: [{kind}.web]");
            let node = part.table.get(kind);
            let Some(table) = node.and_then(|node| walker.table(kind, node, &fix)) else {
                continue;
            };
            for (key, node) in table {
                let path = format!("{kind}.{}", key.get_ref());
                let fix = match app_table::KEYS.contains(&key.get_ref().as_ref()) {
                    true => format!("name the {kind} in the header: [{kind}.web]"),
                    false => {
                        format!("write a table for each {kind}: [{kind}.web] with its keys below")
                    }
                };
                let Some(table) = walker.table(&path, node, &fix) else {
                    continue;
                };
                let settings = match is_app {
                    true => app_table::read(walker, &path, table, &part.base),
                    false => shared(walker, &path, table, &part.base),
                };
                let extends = table.get("extends").and_then(|node| {
                    let fix = "write the name of a template or an app, in quotes";
                    let name = walker.string(&format!("{path}.extends"), node, fix)?;
                    Some((name.to_owned(), node.span()))
                });
                let entry = Entry {
                    path,
                    span: key.span(),
                    part: number,
                    is_app,
                    table,
                    settings,
                    extends,
                };
                insert(walker, &mut entries, key.get_ref(), entry);
            }
        }
    }
    entries
}

fn insert<'d>(walker: &mut Walker<'_>, entries: &mut Entries<'d>, name: &str, entry: Entry<'d>) {
    if let Some(other) = entries.get(name) {
        let place = walker.sources.line_of(other.span.start);
        let problem = format!("{place} has {} already", other.path);
        let fix = "give each app and each template a name of its own";
        walker.fault(entry.span, &entry.path, Wrong::new(problem, fix));
        return;
    }
    entries.insert(name.to_owned(), entry);
}

/// What is extended must be there, and not in a circle.
fn check_extends(walker: &mut Walker<'_>, entries: &Entries<'_>) {
    for (name, entry) in entries {
        let Some((extended, span)) = &entry.extends else {
            continue;
        };
        let key = format!("{}.extends", entry.path);
        if !entries.contains_key(extended) {
            let known = entries.keys().map(String::as_str);
            let fix = match suggest::closest(extended, known.clone()) {
                Some(near) => format!("did you mean {near:?}?"),
                None => format!("there are: {}", known.collect::<Vec<_>>().join(", ")),
            };
            let problem = format!("there is no template or app {extended:?}");
            walker.fault(span.clone(), &key, Wrong::new(problem, fix));
        } else if ancestors(entries, entry).any(|other| std::ptr::eq(other, entry)) {
            let problem = format!("{name} extends itself, if not directly");
            let fix = "remove one `extends` of the circle";
            walker.fault(span.clone(), &key, Wrong::new(problem, fix));
        }
    }
}

/// What an entry extends, nearest first; an entry that comes again ends it.
fn ancestors<'e, 'd>(
    entries: &'e Entries<'d>,
    entry: &'e Entry<'d>,
) -> impl Iterator<Item = &'e Entry<'d>> {
    let mut seen = BTreeSet::new();
    let parent = |entry: &Entry<'d>| entries.get(&entry.extends.as_ref()?.0);
    std::iter::successors(parent(entry), move |entry| parent(entry))
        .take_while(move |entry| seen.insert(&entry.path))
}

/// The chosen environment must be one that somebody says something for.
fn check_environment(walker: &mut Walker<'_>, entries: &Entries<'_>, defaults: &[Settings]) {
    let Some(chosen) = &walker.circumstances.environment else {
        return;
    };
    let own = entries.values().map(|entry| &entry.settings);
    let named = own
        .chain(defaults)
        .flat_map(|settings| settings.environments.keys());
    let known: BTreeSet<&str> = named.map(String::as_str).collect();
    if known.contains(chosen.as_str()) {
        return;
    }
    let fix = match suggest::closest(chosen, known.iter().copied()) {
        Some(near) => format!("did you mean {near:?}?"),
        None if known.is_empty() => format!("add one: [app.NAME.environment.{chosen}]"),
        None => format!(
            "there are: {}",
            known.into_iter().collect::<Vec<_>>().join(", ")
        ),
    };
    let problem = format!("no app has an environment {chosen:?}");
    walker.misfit(0..0, "environment", Wrong::new(problem, fix));
}

/// Everything that is said of an app, for the chosen environment.
fn whole(
    walker: &mut Walker<'_>,
    entries: &Entries<'_>,
    name: &str,
    entry: &Entry<'_>,
    parts: &[Part<'_>],
    defaults: &[Settings],
) -> Settings {
    let is_command = |key: &str| key == "command" || app_table::meant(key) == Some("command");
    let says = |entry: &Entry<'_>| entry.table.keys().any(|key| is_command(key.get_ref()));
    let mut has_command = says(entry);
    let mut settings = entry.settings.clone();
    for ancestor in ancestors(entries, entry) {
        has_command |= says(ancestor);
        let mut inherited = Settings {
            // Two apps can't listen on one address.
            listen: None,
            ..ancestor.settings.clone()
        };
        inherited.places.forget("listen");
        settings = settings.or(&inherited);
    }
    settings = settings.or(&defaults[entry.part]);
    settings = settings.chosen(walker.circumstances.environment.as_deref());
    settings
        .cwd
        .get_or_insert_with(|| parts[entry.part].base.clone());
    if !has_command && settings.command.is_none() {
        let wrong = Wrong::new(
            "the app has no command",
            "add command = [\"node\", \"server.js\"]",
        );
        walker.misfit(entry.span.clone(), &format!("app.{name}"), wrong);
    }
    settings
}

/// Two sockets can't listen on one address; port 0 is a different one each time.
fn claim(
    walker: &mut Walker<'_>,
    taken: &mut BTreeMap<String, String>,
    entry: &Entry<'_>,
    address: &SocketAddress,
) {
    let any_port = match address {
        SocketAddress::Tcp(ip) | SocketAddress::Udp(ip) => ip.port() == 0,
        SocketAddress::Unix(_) | SocketAddress::Starter(_) => false,
    };
    if any_port {
        return;
    }
    if let Some(other) = taken.insert(address.to_string(), entry.path.clone()) {
        let wrong = Wrong::new(
            format!("{address} is already declared by {other}"),
            "give each socket an address of its own",
        );
        walker.fault(entry.span.clone(), &format!("{}.listen", entry.path), wrong);
    }
}
