//! What git has to say about a folder: what it ignores there, and whether it is at work on it.

use std::{
    io::Read as _,
    path::{Path, PathBuf},
};

use ignore::gitignore::{Gitignore, GitignoreBuilder};

use crate::plain_file;

/// The most that is read of a file of git's, in bytes.
const LARGEST: u64 = 1 << 20;

/// Another program holds the lock of this folder's repository: a checkout or rebase is under way.
pub(super) fn is_busy(folder: &Path) -> bool {
    let locks = [
        "index.lock",
        "rebase-merge",
        "rebase-apply",
        "MERGE_HEAD.lock",
    ];
    folder
        .ancestors()
        .take(8)
        .filter_map(|dir| git_directory(&dir.join(".git")))
        .any(|git| locks.iter().any(|lock| git.join(lock).exists()))
}

/// Where git keeps its locks: `.git`, or in a worktree or submodule the directory that this file names.
fn git_directory(git: &Path) -> Option<PathBuf> {
    if git.is_dir() {
        return Some(git.to_path_buf());
    }
    let text = text(git)?;
    let named = text.strip_prefix("gitdir:")?.trim();
    Some(git.parent()?.join(named))
}

/// The text of a file that others may write, and put something else in the place of: nothing is waited for.
fn text(file: &Path) -> Option<String> {
    let mut bytes = Vec::new();
    let file = plain_file::open(file).ok()?;
    file.take(LARGEST).read_to_end(&mut bytes).ok()?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

/// What a folder's `.gitignore` says; nothing if there is none that can be read.
pub(super) fn ignored_by(folder: &Path) -> Option<Gitignore> {
    let file = folder.join(".gitignore");
    let text = text(&file)?;
    let mut builder = GitignoreBuilder::new(folder);
    for line in text.trim_start_matches('\u{feff}').lines() {
        // As with git, a line that is no pattern ignores nothing.
        let _unusable = builder.add_line(Some(file.clone()), line);
    }
    builder.build().ok()
}

/// The folders above one, up to the top of its repository, the nearest first; none if it is in no repository.
pub(super) fn above(root: &Path) -> Vec<PathBuf> {
    let Some(top) = root
        .ancestors()
        .position(|folder| folder.join(".git").exists())
    else {
        return vec![];
    };
    let folders = root.ancestors().skip(1).take(top);
    folders.map(Path::to_path_buf).collect()
}
