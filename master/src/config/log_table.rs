//! The key `log` of an app.
//!
//! ```toml
//! log = "logs/{app}.log"                # both streams of all slots, merged
//!
//! [app.web.log]
//! out = "logs/{app}-{slot}.out"         # or "master" (the default), "journal", "bus", "null"
//! err = "logs/{app}-{slot}.err"         # default: where out goes
//! format = "plain"                      # or "json"
//! prefix = ["time", "slot", "pid", "stream"]
//! rotate = { size = "10MiB", age = "1d", keep_total = "100MiB" }   # or false
//! compress = true
//! ```

use std::path::{Path, PathBuf};

use toml::de::DeValue;

use super::{
    app::log::{LogField, LogFormat, LogSettings, LogTarget, Rotate, Rotation},
    errors::Wrong,
    walk::{Node, Walker},
};

const KEYS: [&str; 6] = ["out", "err", "format", "prefix", "rotate", "compress"];

const ROTATE_KEYS: [&str; 3] = ["size", "age", "keep_total"];

pub(super) const FIELDS: [(&str, LogField); 4] = [
    ("time", LogField::Time),
    ("slot", LogField::Slot),
    ("pid", LogField::Pid),
    ("stream", LogField::Stream),
];

/// From a page to a tebibyte.
const BYTES: [i64; 2] = [4 << 10, 1 << 40];

/// Reads `log`. Relative paths start at `base`.
pub(super) fn read(
    walker: &mut Walker<'_>,
    path: &str,
    node: &Node<'_>,
    base: &Path,
) -> LogSettings {
    let mut log = LogSettings::default();
    if matches!(node.get_ref(), DeValue::String(_)) {
        log.out = target(walker, path, node, base);
        return log;
    }
    let fix = "write a path, or a table: { out = \"logs/{app}-{slot}.out\", err = \"logs/{app}-{slot}.err\" }";
    let Some(table) = walker.table(path, node, fix) else {
        return log;
    };
    for (key, node) in table {
        let name = key.get_ref().as_ref();
        let path = format!("{path}.{name}");
        match name {
            "out" => log.out = target(walker, &path, node, base),
            "err" => log.err = target(walker, &path, node, base),
            "format" => log.format = format_of(walker, &path, node),
            "prefix" => log.prefix = prefix(walker, &path, node),
            "rotate" => log.rotate = rotate(walker, &path, node),
            "compress" => log.compress = walker.boolean(&path, node),
            _ => walker.unknown_key(key.span(), &path, name, &KEYS, meant(name)),
        }
    }
    log
}

/// What other tools call the same thing.
fn meant(key: &str) -> Option<&'static str> {
    Some(match key {
        "stdout" | "out_file" | "file" | "output" => "out",
        "stderr" | "err_file" | "error" | "error_file" => "err",
        "size" | "max_size" | "age" | "keep" | "retain" => "rotate",
        "gzip" => "compress",
        "time" | "date_format" => "prefix",
        _ => return None,
    })
}

fn target(walker: &mut Walker<'_>, path: &str, node: &Node<'_>, base: &Path) -> Option<LogTarget> {
    let fix = "write a path, \"master\", \"journal\", \"bus\" or \"null\"";
    let text = walker.string(path, node, fix)?;
    match text {
        "master" => return Some(LogTarget::Master),
        "null" | "/dev/null" => return Some(LogTarget::Null),
        "bus" => return Some(LogTarget::Bus),
        "journal" | "journald" => return Some(LogTarget::Journal),
        "" => {
            walker.fault(node.span(), path, Wrong::new("the path is empty", fix));
            return None;
        }
        _ => {}
    }
    let file: PathBuf = base.join(text);
    let directory = file.parent().unwrap_or(Path::new("/"));
    if directory.to_string_lossy().contains("{slot}") {
        let wrong = Wrong::new(
            "{slot} stands in a directory's name",
            "put it into the file's name: the app's files are counted together, directory by directory",
        );
        walker.fault(node.span(), path, wrong);
        return None;
    }
    Some(LogTarget::File(file))
}

fn format_of(walker: &mut Walker<'_>, path: &str, node: &Node<'_>) -> Option<LogFormat> {
    let fix = "use \"plain\" or \"json\"";
    let format = match walker.string(path, node, fix)? {
        "plain" => Ok(LogFormat::Plain),
        "json" => Ok(LogFormat::Json),
        other => Err(Wrong::new(format!("{other:?} is not a format"), fix)),
    };
    walker.take(path, node, format)
}

fn prefix(walker: &mut Walker<'_>, path: &str, node: &Node<'_>) -> Option<Vec<LogField>> {
    let fix = "write an array of \"time\", \"slot\", \"pid\" and \"stream\"";
    let words = walker.strings(path, node, fix)?;
    let fields = words.iter().map(|word| {
        let known = FIELDS.iter().find(|(name, _)| name == word);
        let known = known.map(|(_, field)| *field);
        known.ok_or_else(|| Wrong::new(format!("{word:?} is nothing that can stand there"), fix))
    });
    let fields: Result<Vec<_>, _> = fields.collect();
    walker.take(path, node, fields)
}

fn rotate(walker: &mut Walker<'_>, path: &str, node: &Node<'_>) -> Option<Rotation> {
    let mut rotate = Rotate::default();
    let fix =
        "write false, or a table: { size = \"10MiB\", age = \"1d\", keep_total = \"100MiB\" }";
    if let DeValue::Boolean(on) = node.get_ref() {
        return Some(if *on {
            Rotation::On(rotate)
        } else {
            Rotation::Off
        });
    }
    for (key, node) in walker.table(path, node, fix)? {
        let name = key.get_ref().as_ref();
        let path = format!("{path}.{name}");
        let mut bytes = |to: &mut u64| {
            if let Some(bytes) = walker.bytes(&path, node, BYTES[0], BYTES[1]) {
                *to = bytes.unsigned_abs();
            }
        };
        match name {
            "size" => bytes(&mut rotate.size),
            "keep_total" => bytes(&mut rotate.keep_total),
            "age" => rotate.age = walker.positive(&path, node),
            _ => walker.unknown_key(key.span(), &path, name, &ROTATE_KEYS, None),
        }
    }
    if rotate.keep_total < rotate.size {
        let wrong = Wrong::new(
            "keep_total is less than size",
            "raise it: one file alone would be more than all may be",
        );
        walker.fault(node.span(), path, wrong);
    }
    Some(Rotation::On(rotate))
}
