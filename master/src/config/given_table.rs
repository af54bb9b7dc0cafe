//! The keys `fds` and `stdin` of an app.
//!
//! ```toml
//! fds = { data = { path = "data.log", mode = "append" }, words = "/usr/share/dict/words" }
//! stdin = "lines"                       # or "null", or { socket = "http" }
//! ```

use std::path::Path;

use toml::de::{DeTable, DeValue};

use super::{
    address,
    app::given::{FileMode, Given, GivenFile, Stdin},
    errors::Wrong,
    settings::Settings,
    walk::{Node, Walker},
};

/// Every key read here.
pub(super) const KEYS: [&str; 2] = ["fds", "stdin"];

const FILE_KEYS: [&str; 2] = ["path", "mode"];

/// As many as a message carries; nobody needs a hundred.
const MOST_FILES: usize = 64;

/// Reads one of [`KEYS`]. Relative paths start at `base`.
pub(super) fn read(
    walker: &mut Walker<'_>,
    path: &str,
    key: &str,
    node: &Node<'_>,
    base: &Path,
    given: &mut Given,
) {
    match key {
        "fds" => given.files = files(walker, path, node, base),
        _ => given.stdin = stdin(walker, path, node),
    }
}

/// In the order of the file: workers get them in that order.
fn files(
    walker: &mut Walker<'_>,
    path: &str,
    node: &Node<'_>,
    base: &Path,
) -> Option<Vec<GivenFile>> {
    let fix = "write a table of names: { data = { path = \"data.log\", mode = \"append\" } }";
    let table = walker.table(path, node, fix)?;
    let mut entries: Vec<_> = table.iter().collect();
    entries.sort_by_key(|(name, _)| name.span().start);
    if entries.len() > MOST_FILES {
        let wrong = Wrong::new(
            format!("{} files are too many", entries.len()),
            "64 are the most",
        );
        walker.fault(node.span(), path, wrong);
    }
    let files: Vec<Option<GivenFile>> = entries
        .into_iter()
        .map(|(name, node)| {
            let path = format!("{path}.{}", name.get_ref());
            let checked = address::socket_name(name.get_ref())
                .map_err(|_| {
                    let problem = format!("{:?} is not a descriptor's name", name.get_ref());
                    let fix = "use 1 to 64 of A-Z a-z 0-9 _ -";
                    walker.fault(name.span(), &path, Wrong::new(problem, fix));
                })
                .ok();
            let (file, mode) = match node.get_ref() {
                DeValue::Table(table) => described(walker, &path, node, table)?,
                _ => {
                    let fix = "write a path in quotes, or { path = \"…\", mode = \"append\" }";
                    (walker.string(&path, node, fix)?.to_owned(), FileMode::Read)
                }
            };
            Some(GivenFile {
                name: checked?,
                path: base.join(file),
                mode,
            })
        })
        .collect();
    files.into_iter().collect()
}

fn described(
    walker: &mut Walker<'_>,
    path: &str,
    node: &Node<'_>,
    table: &DeTable<'_>,
) -> Option<(String, FileMode)> {
    let (mut file, mut mode) = (None, Some(FileMode::Read));
    for (key, value) in table {
        let name = key.get_ref().as_ref();
        let path = format!("{path}.{name}");
        match name {
            "path" => file = Some(walker.string(&path, value, "write a path in quotes")),
            "mode" => mode = file_mode(walker, &path, value),
            _ => walker.unknown_key(key.span(), &path, name, &FILE_KEYS, None),
        }
    }
    if file.is_none() {
        let wrong = Wrong::new("the descriptor has no file", "add path = \"data.log\"");
        walker.fault(node.span(), path, wrong);
    }
    Some((file??.to_owned(), mode?))
}

fn file_mode(walker: &mut Walker<'_>, path: &str, node: &Node<'_>) -> Option<FileMode> {
    let fix = "use \"read\", \"write\", \"append\" or \"read-write\"";
    let text = walker.string(path, node, fix)?;
    let mode = FileMode::WORDS.into_iter().find(|(word, _)| *word == text);
    let mode = mode.map(|(_, mode)| mode);
    let mode = mode.ok_or_else(|| Wrong::new(format!("{text:?} is not a mode"), fix));
    walker.take(path, node, mode)
}

fn stdin(walker: &mut Walker<'_>, path: &str, node: &Node<'_>) -> Option<Stdin> {
    let fix = "use \"null\", \"lines\" (for `ostler send`), or { socket = \"NAME\" }";
    match node.get_ref() {
        DeValue::String(text) if text == "null" => Some(Stdin::Null),
        DeValue::String(text) if text == "lines" => Some(Stdin::Lines),
        DeValue::Table(table) => {
            let mut socket = None;
            for (key, value) in table {
                let name = key.get_ref().as_ref();
                let path = format!("{path}.{name}");
                match name {
                    "socket" => socket = walker.string(&path, value, fix).map(str::to_owned),
                    _ => walker.unknown_key(key.span(), &path, name, &["socket"], None),
                }
            }
            socket.map(Stdin::Socket)
        }
        _ => {
            walker.mismatch(path, node, fix);
            None
        }
    }
}

/// What the keys of an app say against each other.
pub(super) fn check(
    walker: &mut Walker<'_>,
    span: std::ops::Range<usize>,
    path: &str,
    app: &Settings,
) {
    let declared = |name: &str| {
        app.listen
            .iter()
            .flatten()
            .any(|socket| socket.name == name)
    };
    if let Some(Stdin::Socket(name)) = &app.given.stdin
        && !declared(name)
    {
        let wrong = Wrong::new(
            format!("no socket is named {name:?}"),
            format!("declare it: listen = {{ {name} = \":8080\" }}"),
        );
        walker.fault(span.clone(), &format!("{path}.stdin"), wrong);
    }
    for file in app.given.files().iter().filter(|file| declared(&file.name)) {
        let wrong = Wrong::new(
            format!("a socket is named {:?} too", file.name),
            "use another name: arguments find descriptors by {fd:NAME}",
        );
        walker.fault(span.clone(), &format!("{path}.fds.{}", file.name), wrong);
    }
}
