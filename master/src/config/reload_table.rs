//! The key `auto_reload` of an app.
//!
//! ```toml
//! auto_reload = true                    # the working directory
//! auto_reload = ["src", "templates"]
//!
//! [app.web.auto_reload]
//! paths = ["src"]
//! include = ["*.py", "*.toml"]          # gitignore patterns: nothing else counts
//! ignore = ["*_test.py"]
//! poll = "2s"                           # look each 2 s: where the kernel tells of no changes (NFS, some overlays)
//! ```

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use ignore::gitignore::GitignoreBuilder;
use toml::de::DeValue;

use super::{
    app::Watch,
    errors::Wrong,
    settings::Reload,
    walk::{Node, Walker},
};

const KEYS: [&str; 4] = ["paths", "include", "ignore", "poll"];

/// Whoever looks more often does nothing else.
const LEAST_POLL: Duration = Duration::from_millis(100);

/// Reads `auto_reload`. Relative paths start at `base`.
pub(super) fn read(
    walker: &mut Walker<'_>,
    path: &str,
    node: &Node<'_>,
    base: &Path,
) -> Option<Reload> {
    let fix = "write true, an array of paths, or { paths = [\"src\"], ignore = [\"*.log\"] }";
    let mut watch = Watch::default();
    match node.get_ref() {
        DeValue::Boolean(true) => {}
        DeValue::Boolean(false) => return Some(Reload::Off),
        DeValue::Array(_) => watch.paths = paths(walker, path, node, base)?,
        DeValue::Table(table) => {
            for (key, value) in table {
                let name = key.get_ref().as_ref();
                let path = format!("{path}.{name}");
                match name {
                    "paths" => watch.paths = paths(walker, &path, value, base).unwrap_or_default(),
                    "include" => watch.include = patterns(walker, &path, value),
                    "ignore" => watch.ignore = patterns(walker, &path, value),
                    "poll" => watch.poll = poll(walker, &path, value),
                    _ => walker.unknown_key(key.span(), &path, name, &KEYS, meant(name)),
                }
            }
        }
        _ => {
            walker.mismatch(path, node, fix);
            return None;
        }
    }
    Some(Reload::On(watch))
}

/// What other tools call the same thing.
fn meant(key: &str) -> Option<&'static str> {
    Some(match key {
        "watch" | "dirs" | "files" => "paths",
        "only" | "patterns" | "extensions" => "include",
        "exclude" | "ignore_watch" => "ignore",
        "interval" | "use_polling" | "usePolling" => "poll",
        _ => return None,
    })
}

fn paths(
    walker: &mut Walker<'_>,
    path: &str,
    node: &Node<'_>,
    base: &Path,
) -> Option<Vec<PathBuf>> {
    let texts = walker.strings(path, node, "write an array of paths: [\"src\"]")?;
    Some(texts.into_iter().map(|text| base.join(text)).collect())
}

fn patterns(walker: &mut Walker<'_>, path: &str, node: &Node<'_>) -> Vec<String> {
    let fix = "write an array of gitignore patterns: [\"*.log\"]";
    let patterns = walker.strings(path, node, fix).unwrap_or_default();
    for pattern in &patterns {
        if let Err(error) = GitignoreBuilder::new("/").add_line(None, pattern) {
            let wrong = Wrong::new(format!("{pattern:?} is no pattern: {error}"), fix);
            walker.fault(node.span(), path, wrong);
        }
    }
    patterns
}

fn poll(walker: &mut Walker<'_>, path: &str, node: &Node<'_>) -> Option<Duration> {
    let every = walker.positive(path, node)?;
    if every < LEAST_POLL {
        let wrong = Wrong::new(
            "that is too often",
            "use \"100ms\" or longer, such as \"2s\"",
        );
        walker.fault(node.span(), path, wrong);
        return None;
    }
    Some(every)
}
