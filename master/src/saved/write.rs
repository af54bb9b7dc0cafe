//! A file that is written whole or not at all, and what it replaces kept beside it.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

/// Writes a file for its owner alone. Gives where what was there before is kept: `NAME.1.toml` for `NAME.toml`.
///
/// # Errors
/// If it can't be written; then what was there before still is.
pub fn write(path: &Path, text: &str) -> io::Result<Option<PathBuf>> {
    let beside = |name: String| path.with_file_name(name);
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    let new = beside(format!(".{stem}.new"));
    let previous = beside(format!("{stem}.1.toml"));
    // What a master that was killed has left.
    remove(&new)?;
    let mut options = OpenOptions::new();
    let options = options.write(true).create_new(true).mode(0o600);
    let written = options
        .custom_flags(libc::O_NOFOLLOW)
        .open(&new)
        .and_then(|mut file| {
            file.write_all(text.as_bytes())?;
            file.sync_all()
        });
    let replaced = written
        .and_then(|()| keep(path, &previous))
        .and_then(|kept| {
            fs::rename(&new, path)?;
            Ok(kept.then_some(previous))
        });
    if replaced.is_err() {
        remove(&new)?;
    }
    if let Some(directory) = path.parent() {
        // Some file systems can't; then the name is on the disk when they please.
        let _unsynced = File::open(directory).and_then(|directory| directory.sync_all());
    }
    replaced
}

/// Keeps what is there under another name too; whether there was anything.
fn keep(path: &Path, previous: &Path) -> io::Result<bool> {
    if fs::symlink_metadata(path).is_err_and(|error| error.kind() == io::ErrorKind::NotFound) {
        return Ok(false);
    }
    remove(previous)?;
    // Some file systems have no links.
    fs::hard_link(path, previous).or_else(|_| fs::copy(path, previous).map(drop))?;
    Ok(true)
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{MetadataExt as _, symlink};

    use super::*;

    #[test]
    fn the_one_before_is_kept_and_nobody_else_reads_either() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("shop.saved.toml");
        fs::write(dir.path().join(".shop.saved.new"), "left behind").expect("written");
        assert_eq!(write(&path, "one").expect("written"), None);
        let previous = dir.path().join("shop.saved.1.toml");
        for (text, before) in [("two", "one"), ("three", "two")] {
            let kept = write(&path, text).expect("written");
            assert_eq!(kept.as_ref(), Some(&previous));
            assert_eq!(fs::read_to_string(&path).expect("read"), text);
            assert_eq!(fs::read_to_string(&previous).expect("read"), before);
        }
        for path in [&path, &previous] {
            assert_eq!(fs::metadata(path).expect("there").mode() & 0o777, 0o600);
        }
        assert_eq!(fs::read_dir(dir.path()).expect("read").count(), 2);
    }

    #[test]
    fn a_link_is_replaced_and_what_it_points_to_is_left_alone() {
        let dir = tempfile::tempdir().expect("a directory");
        let (path, victim) = (dir.path().join("x.toml"), dir.path().join("victim"));
        fs::write(&victim, "mine").expect("written");
        symlink(&victim, &path).expect("linked");
        write(&path, "saved").expect("written");
        assert_eq!(fs::read_to_string(&victim).expect("read"), "mine");
        assert_eq!(fs::read_to_string(&path).expect("read"), "saved");
    }

    #[test]
    fn what_can_not_be_written_leaves_nothing() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("x.toml");
        fs::create_dir(&path).expect("a directory in the way");
        assert!(write(&path, "saved").is_err());
        assert_eq!(fs::read_dir(dir.path()).expect("read").count(), 1);
    }
}
