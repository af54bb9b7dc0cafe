//! A folder that is watched: which of the files below it matter, by what the process file, git and common sense leave out.

use std::{
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use ignore::{
    Match,
    gitignore::{Gitignore, GitignoreBuilder},
};

use super::git;

/// What editors and tools leave beside real files, in gitignore's language.
const DROPPINGS: [&str; 14] = [
    ".git/",
    "node_modules/",
    ".hg/",
    ".svn/",
    "__pycache__/",
    "*.pyc",
    "*~",
    "*.swp",
    "*.swo",
    "*.swx",
    ".#*",
    "#*#",
    "4913",
    ".DS_Store",
];

/// A folder with all below it that matters.
#[derive(Debug)]
pub(super) struct Tree {
    pub(super) root: PathBuf,
    /// What to leave out, whoever says otherwise: the process file's patterns and [`DROPPINGS`].
    always: Gitignore,
    /// Of files, only what it names counts; `None`: all.
    include: Option<Gitignore>,
    /// The `.gitignore` files, each for the folder it is in, those of the folders above it before it.
    ignores: Vec<Gitignore>,
    /// The masters' own home and process file, in case they are below the root: what masters do there must not make them
    /// do more, and what the file says is taken up when it is asked for.
    own: Vec<PathBuf>,
}

impl Tree {
    pub(super) fn new(root: PathBuf, [more, include]: [&[String]; 2], own: &[PathBuf]) -> Self {
        let more = more.iter().map(String::as_str);
        let always = patterns(&root, DROPPINGS.into_iter().chain(more));
        let include =
            (!include.is_empty()).then(|| patterns(&root, include.iter().map(String::as_str)));
        let own = own.iter().filter_map(|own| seen_from(&root, own)).collect();
        let mut tree = Self {
            root,
            always,
            include,
            ignores: vec![],
            own,
        };
        for folder in git::above(&tree.root).iter().rev() {
            tree.ignores.extend(git::ignored_by(folder));
        }
        let mut todo = vec![tree.root.clone()];
        while let Some(folder) = todo.pop() {
            tree.ignores.extend(git::ignored_by(&folder));
            let inner = std::fs::read_dir(&folder).into_iter().flatten().flatten();
            let inner = inner.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
            let kept = inner.map(|entry| entry.path());
            todo.extend(kept.filter(|folder| tree.keeps(folder, true)));
        }
        tree
    }

    /// As git does: whatever is in a folder that is left out is left out, and of the files that speak of a path the
    /// deepest decides.
    pub(super) fn keeps(&self, path: &Path, is_dir: bool) -> bool {
        if self.own.iter().any(|own| path.starts_with(own)) {
            return false;
        }
        let inner = path.ancestors().take_while(|part| *part != self.root);
        !inner
            .enumerate()
            .any(|(up, part)| self.leaves_out(part, is_dir || up > 0))
    }

    fn leaves_out(&self, path: &Path, is_dir: bool) -> bool {
        let word = |ignore: &Gitignore| match ignore.matched(path, is_dir) {
            Match::Ignore(_) => Some(true),
            Match::Whitelist(_) => Some(false),
            Match::None => None,
        };
        let speaks = |ignore: &&Gitignore| path.starts_with(ignore.path());
        word(&self.always)
            .or_else(|| self.ignores.iter().rev().filter(speaks).find_map(word))
            .unwrap_or(false)
    }

    pub(super) fn wants(&self, path: &Path) -> bool {
        path.starts_with(&self.root)
            && self.counts(path)
            && self.keeps(path, path.is_dir())
            && !is_own_log(path)
    }

    /// Whether a file, or what it is in, is named by `include`.
    fn counts(&self, path: &Path) -> bool {
        self.include.as_ref().is_none_or(|include| {
            include
                .matched_path_or_any_parents(path, path.is_dir())
                .is_ignore()
        })
    }

    /// The directories (itself included) and the files below `from` that nothing ignores.
    pub(super) fn walk(&self, from: &Path) -> (Vec<PathBuf>, Vec<PathBuf>) {
        let (mut directories, mut files, mut todo) = (vec![], vec![], vec![from.to_path_buf()]);
        while let Some(directory) = todo.pop() {
            for entry in std::fs::read_dir(&directory)
                .into_iter()
                .flatten()
                .flatten()
            {
                let (path, is_dir) = (entry.path(), entry.file_type().is_ok_and(|t| t.is_dir()));
                match (is_dir, self.keeps(&path, is_dir)) {
                    (_, false) => {}
                    (true, true) => todo.push(path),
                    (false, true) if self.counts(&path) => files.push(path),
                    (false, true) => {}
                }
            }
            directories.push(directory);
        }
        (directories, files)
    }
}

/// The process file's patterns were checked when it was read.
fn patterns<'a>(root: &Path, lines: impl Iterator<Item = &'a str>) -> Gitignore {
    let mut patterns = GitignoreBuilder::new(root);
    for line in lines {
        let _checked = patterns.add_line(None, line);
    }
    patterns.build().unwrap_or_else(|_| Gitignore::empty())
}

/// The path by which changes of `place` are told to whoever watches `root`; `None` if it isn't below it. Symbolic links
/// may lead to either.
fn seen_from(root: &Path, place: &Path) -> Option<PathBuf> {
    let (real_root, place) = (root.canonicalize().ok()?, place.canonicalize().ok()?);
    place
        .strip_prefix(real_root)
        .ok()
        .map(|rest| root.join(rest))
}

/// The file that the master's own output goes to (`ostler run … 2> log`): each line in it would ask for the next update.
pub(super) fn is_own_log(path: &Path) -> bool {
    let Ok(file) = path.metadata() else {
        return false;
    };
    let same = |own: rustix::io::Result<rustix::fs::Stat>| {
        own.is_ok_and(|own| (own.st_dev, own.st_ino) == (file.dev(), file.ino()))
    };
    file.is_file()
        && (same(rustix::fs::fstat(std::io::stdout()))
            || same(rustix::fs::fstat(std::io::stderr())))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn of_files_only_those_included_count_and_folders_may_be_included_too() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().to_path_buf();
        fs::create_dir_all(root.join("views/deep")).unwrap();
        let include = ["*.py".into(), "/views/".into()];
        let tree = Tree::new(root.clone(), [&["*_test.py".into()], &include], &[]);
        for wanted in ["a.py", "src/deep/b.py", "views/deep/page.html"] {
            assert!(tree.wants(&root.join(wanted)), "{wanted}");
        }
        for passed in ["a.txt", "a_test.py", "src/views/x.html", "views/x_test.py"] {
            assert!(!tree.wants(&root.join(passed)), "{passed}");
        }
    }

    #[test]
    fn each_gitignore_is_for_its_own_folder_and_those_above_count_too() {
        let dir = tempfile::tempdir().unwrap();
        let top = dir.path().to_path_buf();
        for folder in [".git", "app/logs", "app/src/build"] {
            fs::create_dir_all(top.join(folder)).unwrap();
        }
        for (folder, lines) in [
            ("", "*.tmp\n*.gen\n"),
            ("app/logs", "*\n!.gitignore\n"),
            ("app/src", "/build\n!keep.gen\n"),
        ] {
            fs::write(top.join(folder).join(".gitignore"), lines).unwrap();
        }
        let tree = Tree::new(top.join("app"), [&[], &[]], &[]);
        for wanted in ["a.js", "src/a.js", "build/a.js", "src/keep.gen"] {
            assert!(tree.wants(&top.join("app").join(wanted)), "{wanted}");
        }
        for passed in ["logs/today", "src/build/a.js", "src/a.tmp", "src/b.gen"] {
            assert!(!tree.wants(&top.join("app").join(passed)), "{passed}");
        }
    }
}
