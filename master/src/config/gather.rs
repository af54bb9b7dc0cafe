//! A process file and all that it includes.
//!
//! `include` names files, or patterns of files, relative to the file in which it stands. An included file may have apps,
//! templates, defaults of its own for its apps (over those of the file that includes it), and includes of its own.

use std::{
    ops::Range,
    path::{Path, PathBuf},
};

use serde_spanned::Spanned;
use toml::de::{DeTable, DeValue};

use super::{
    document,
    errors::Wrong,
    load, placeholders,
    walk::{Node, Walker},
};

/// The most files that one may be made of.
const MOST: usize = 1_000;

/// One of the files.
pub(super) struct Part<'t> {
    /// Where its relative paths start.
    pub(super) base: PathBuf,
    /// Which part includes it; `None` for the process file itself.
    pub(super) parent: Option<usize>,
    /// What it says.
    pub(super) table: DeTable<'t>,
    /// The file itself, whatever it was called.
    identity: PathBuf,
}

/// Reads a process file's text, and the files that it includes: each after the one that does.
pub(super) fn gather<'t>(walker: &mut Walker<'t>, path: &Path, text: String) -> Vec<Part<'t>> {
    let mut parts = Vec::new();
    add(walker, &mut parts, None, path, text);
    parts
}

fn add<'t>(
    walker: &mut Walker<'t>,
    parts: &mut Vec<Part<'t>>,
    parent: Option<usize>,
    path: &Path,
    text: String,
) {
    let table = document::read(walker, path, text);
    let mut node = Spanned::new(0..0, DeValue::Table(table));
    placeholders::expand(walker, "", &mut node);
    let DeValue::Table(table) = node.into_inner() else {
        return;
    };
    let include = table.get("include").map(|node| patterns(walker, node));
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let number = parts.len();
    parts.push(Part {
        base: absolute.parent().unwrap_or(Path::new("/")).to_owned(),
        parent,
        table,
        identity: absolute.canonicalize().unwrap_or(absolute),
    });
    for (span, pattern) in include.into_iter().flatten() {
        let directory = path.parent().unwrap_or(Path::new(""));
        for file in matching(walker, &span, directory, &pattern) {
            follow(walker, parts, number, &span, &file);
        }
    }
}

/// What `include` says.
fn patterns(walker: &mut Walker<'_>, node: &Node<'_>) -> Vec<(Range<usize>, String)> {
    let fix = "write a path or an array of paths: [\"conf.d/*.toml\"]";
    match node.get_ref() {
        DeValue::Array(items) => {
            let mut read = Vec::new();
            for (i, item) in items.iter().enumerate() {
                let text = walker.string(&format!("include[{i}]"), item, fix);
                read.extend(text.map(|text| (item.span(), text.to_owned())));
            }
            read
        }
        _ => {
            let text = walker.string("include", node, fix);
            text.map(|text| (node.span(), text.to_owned()))
                .into_iter()
                .collect()
        }
    }
}

/// A file that was found, and whether it was named or only matched.
struct Found {
    path: PathBuf,
    named: bool,
}

fn matching(
    walker: &mut Walker<'_>,
    span: &Range<usize>,
    directory: &Path,
    pattern: &str,
) -> Vec<Found> {
    if !pattern.contains(['*', '?', '[']) {
        let (path, named) = (directory.join(pattern), true);
        return vec![Found { path, named }];
    }
    // What the directory itself is called is no pattern.
    let escaped = glob::Pattern::escape(&directory.to_string_lossy());
    let whole = Path::new(&escaped).join(pattern);
    let found = match glob::glob(&whole.to_string_lossy()) {
        Ok(found) => found,
        Err(error) => {
            let wrong = Wrong::new(
                format!("{pattern:?} is no pattern: {}", error.msg),
                "use * and ? for any characters, ** for any directories",
            );
            walker.fault(span.clone(), "include", wrong);
            return Vec::new();
        }
    };
    let files = found.filter_map(Result::ok).filter(|path| path.is_file());
    let files: Vec<Found> = files.map(|path| Found { path, named: false }).collect();
    if files.is_empty() {
        let place = walker.sources.line_of(span.start);
        let warning = format!("{place}: include: no file matches {pattern:?}");
        walker.warnings.push(warning);
    }
    files
}

/// Reads an included file, unless it has been read. A pattern may match the file in which it stands.
fn follow<'t>(
    walker: &mut Walker<'t>,
    parts: &mut Vec<Part<'t>>,
    from: usize,
    span: &Range<usize>,
    file: &Found,
) {
    let path = &file.path;
    let identity = path.canonicalize().unwrap_or_else(|_| path.clone());
    if file.named && chain(parts, from).any(|part| part.identity == identity) {
        let wrong = Wrong::new(
            format!("{} includes itself, if not directly", path.display()),
            "remove it: each file is read once",
        );
        return walker.fault(span.clone(), "include", wrong);
    }
    if parts.iter().any(|part| part.identity == identity) {
        return;
    }
    if parts.len() == MOST {
        let problem = format!("there are more than {MOST} files");
        let wrong = Wrong::new(problem, "name fewer, or narrow the pattern");
        return walker.fault(span.clone(), "include", wrong);
    }
    match load::text(path) {
        Ok(text) => add(walker, parts, Some(from), path, text),
        Err(unreadable) => {
            let problem = format!("{}: {}", path.display(), unreadable.wrong.problem);
            let fix = "correct the path: it starts at the directory of the file that includes it";
            walker.fault(span.clone(), "include", Wrong::new(problem, fix));
        }
    }
}

/// A part, and those that led to it.
fn chain<'p, 't>(parts: &'p [Part<'t>], from: usize) -> impl Iterator<Item = &'p Part<'t>> {
    std::iter::successors(parts.get(from), |part| parts.get(part.parent?))
}
