//! What is kept of files that were put aside: as many bytes of an app as its `keep_total` says, the newest of them.

use std::{
    fs,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use super::sink::Plan;
use crate::process::output::stamp;

/// What the name of a file put aside ends in, `.20260131T120000.123Z`: this many bytes, and perhaps `.gz`.
const STAMP: usize = ".20260131T120000.123Z".len();

/// Of several files put aside in a millisecond the later ones are stamped as of the next ones.
const AHEAD: Duration = Duration::from_secs(1);

#[derive(Debug)]
struct Kept {
    path: PathBuf,
    bytes: u64,
    /// When it was put aside; `None` for one that is being written, which is never removed.
    stamp: Option<String>,
}

/// Removes the oldest files put aside until the rest is few enough bytes. One from a time to come is older than all others: the
/// clock was set back since.
pub(super) fn prune(plan: &Plan) {
    let Some(rotate) = plan.rotate else { return };
    let mut kept: Vec<Kept> = Vec::new();
    for template in &plan.templates {
        for file in files_of(template, &plan.app) {
            if kept.iter().all(|known| known.path != file.path) {
                kept.push(file);
            }
        }
    }
    let mut total: u64 = kept.iter().map(|file| file.bytes).sum();
    kept.retain(|file| file.stamp.is_some());
    let now = Some(format!(".{}", stamp::compact(SystemTime::now() + AHEAD)));
    kept.sort_by(|a, b| (a.stamp <= now, &a.stamp).cmp(&(b.stamp <= now, &b.stamp)));
    for file in kept {
        if total <= rotate.keep_total {
            return;
        }
        match fs::remove_file(&file.path) {
            Ok(()) => total -= file.bytes,
            Err(error) => tracing::warn!("{} can't be removed: {error}", file.path.display()),
        }
    }
}

fn files_of(template: &Path, app: &str) -> Vec<Kept> {
    let template = crate::config::app::log::path_for(template, app, "{slot}");
    let (Some(directory), Some(name)) = (template.parent(), template.file_name()) else {
        return Vec::new();
    };
    let name = name.to_string_lossy();
    let Ok(entries) = fs::read_dir(directory) else {
        return Vec::new();
    };
    entries
        .flatten()
        .filter_map(|entry| {
            let found = entry.file_name();
            let stamp = matches(&name, found.to_str()?)?;
            let metadata = entry.metadata().ok().filter(fs::Metadata::is_file)?;
            Some(Kept {
                path: entry.path(),
                bytes: metadata.len(),
                stamp,
            })
        })
        .collect()
}

/// What is left of a file put aside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Left {
    /// As it was written.
    Plain,
    /// Compressed.
    Compressed,
    /// Compressed in part: whoever did it ended.
    Half,
}

/// What was put aside of the file at this path.
pub(super) fn put_aside(current: &Path) -> Vec<(PathBuf, Left)> {
    let (Some(directory), Some(name)) = (current.parent(), current.file_name()) else {
        return Vec::new();
    };
    let name = name.to_string_lossy();
    let Ok(entries) = fs::read_dir(directory) else {
        return Vec::new();
    };
    let left = |entry: fs::DirEntry| {
        let found = entry.file_name();
        let found = found.to_str()?;
        matches(&name, found)??;
        let left = match found {
            half if half.ends_with(".part") => Left::Half,
            whole if whole.ends_with(".gz") => Left::Compressed,
            _ => Left::Plain,
        };
        let is_file = entry.file_type().is_ok_and(|kind| kind.is_file());
        is_file.then(|| (entry.path(), left))
    };
    entries.flatten().filter_map(left).collect()
}

/// Whether a file is one of the template's: with a number for `{slot}`, and a stamp if it was put aside.
fn matches(template: &str, name: &str) -> Option<Option<String>> {
    let bare = name.strip_suffix(".part").unwrap_or(name);
    let bare = bare.strip_suffix(".gz").unwrap_or(bare);
    if is_current(template, name) {
        return Some(None);
    }
    let (file, stamp) = bare.split_at_checked(bare.len().checked_sub(STAMP)?)?;
    let well_formed = stamp.starts_with('.')
        && stamp.ends_with('Z')
        && stamp
            .chars()
            .all(|c| c.is_ascii_digit() || matches!(c, '.' | 'T' | 'Z'));
    (well_formed && is_current(template, file)).then(|| Some(stamp.to_owned()))
}

fn is_current(template: &str, name: &str) -> bool {
    let Some((before, after)) = template.split_once("{slot}") else {
        return template == name;
    };
    let slot = name
        .strip_prefix(before)
        .and_then(|rest| rest.strip_suffix(after));
    slot.is_some_and(|slot| !slot.is_empty() && slot.bytes().all(|b| b.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::app::log::Rotate;

    #[test]
    fn only_an_app_s_own_files_are_counted() {
        let stamp = Some(Some(".20260131T120000.123Z".to_owned()));
        assert_eq!(matches("web-{slot}.out", "web-0.out"), Some(None));
        assert_eq!(
            matches("web-{slot}.out", "web-12.out.20260131T120000.123Z"),
            stamp
        );
        assert_eq!(
            matches("web-{slot}.out", "web-1.out.20260131T120000.123Z.gz"),
            stamp
        );
        assert_eq!(
            matches("web.log", "web.log.20260131T120000.123Z.gz.part"),
            stamp
        );
        for other in [
            "web-a.out",
            "web-.out",
            "web-1.err",
            "web-1.out.1",
            "web-1.out.gz",
            "web-1.out.20260131T120000x123Z",
        ] {
            assert_eq!(matches("web-{slot}.out", other), None, "{other}");
        }
        assert_eq!(matches("web.log", "web2.log"), None);
    }

    #[test]
    fn files_from_a_time_to_come_are_the_first_to_go() {
        let dir = tempfile::tempdir().expect("a directory");
        let now = stamp::compact(SystemTime::now());
        let a_moment_later = stamp::compact(SystemTime::now() + Duration::from_millis(3));
        let stamps = [
            "20200101T000000.000Z",
            &now,
            &a_moment_later,
            "20990101T000000.000Z",
        ];
        for stamp in stamps {
            fs::write(dir.path().join(format!("web.log.{stamp}")), [b'x'; 100]).expect("a file");
        }
        let left = |keep_total: u64| {
            prune(&Plan {
                rotate: Some(Rotate {
                    keep_total,
                    ..Rotate::default()
                }),
                compress: false,
                app: "web".into(),
                templates: vec![dir.path().join("web.log")],
            });
            stamps.map(|stamp| dir.path().join(format!("web.log.{stamp}")).exists())
        };
        assert_eq!(left(400), [true, true, true, true]);
        assert_eq!(left(300), [true, true, true, false]);
        assert_eq!(left(200), [false, true, true, false]);
        assert_eq!(left(100), [false, false, true, false]);
    }
}
