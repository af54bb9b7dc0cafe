//! Which paths matter to an app: what is watched, and what is passed over.

use std::path::{Path, PathBuf};

use ignore::{
    Match, WalkBuilder,
    gitignore::{Gitignore, GitignoreBuilder},
};

use super::program_file::{is_complete, is_elf, is_interpreter};
use crate::config::app::AppDefinition;

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

/// The directories and files whose changes mean that an app should be rolled.
#[derive(Debug)]
pub(super) struct Scope {
    trees: Vec<Tree>,
    /// Files that always matter, in whatever folder.
    files: Vec<PathBuf>,
}

#[derive(Debug)]
struct Tree {
    root: PathBuf,
    ignore: Gitignore,
    /// The masters' own home, in case it is below the root: what they do there must not make them do more.
    own: Option<PathBuf>,
}

impl Scope {
    /// What to watch for `app`: the given paths, else its working directory unless its command is a compiled program;
    /// and always the program or script itself. Nothing below `own`, the masters' home, ever matters.
    pub(super) fn of(app: &AppDefinition, program: Option<&Path>, own: Option<&Path>) -> Self {
        let cwd = app
            .cwd
            .clone()
            .or_else(|| std::env::current_dir().ok())
            .unwrap_or_else(|| PathBuf::from("/"));
        let watch = app.auto_reload.clone().unwrap_or_default();
        let compiled = program.filter(|path| is_elf(path) && !is_interpreter(path));
        let script = app
            .command
            .iter()
            .skip(1)
            .map(|arg| cwd.join(arg))
            .find(|path| compiled.is_none() && path.is_file());
        let mut roots: Vec<PathBuf> = watch.paths.iter().map(|path| cwd.join(path)).collect();
        if roots.is_empty() && compiled.is_none() {
            roots.push(cwd.clone());
        }
        let (files, folders): (Vec<_>, Vec<_>) = roots.into_iter().partition(|path| path.is_file());
        let binary = compiled.map(Path::to_path_buf);
        let files = files
            .into_iter()
            .chain(binary)
            .chain(script)
            .map(|path| absolute(&path))
            .collect();
        let trees = folders
            .into_iter()
            .map(|root| Tree::new(absolute(&root), &watch.ignore, own))
            .collect();
        Self { trees, files }
    }

    /// Single files, wherever they are.
    pub(super) fn files(files: Vec<PathBuf>) -> Self {
        Self {
            trees: vec![],
            files: files.iter().map(|file| absolute(file)).collect(),
        }
    }

    /// Whether a change of `path` matters.
    pub(super) fn wants(&self, path: &Path) -> bool {
        self.files.iter().any(|file| file == path) || self.trees.iter().any(|tree| tree.wants(path))
    }

    /// The directories to watch, each by itself: those below the roots that nothing ignores, and the parents of single files.
    pub(super) fn directories(&self) -> Vec<PathBuf> {
        let mut all: Vec<PathBuf> = self
            .trees
            .iter()
            .flat_map(|tree| tree.walk(&tree.root).0)
            .collect();
        all.extend(self.files.iter().filter_map(|file| nearest_directory(file)));
        all.sort();
        all.dedup();
        all
    }

    /// A directory has appeared: what to watch in it, and the files that came with it.
    pub(super) fn appeared(&self, directory: &Path) -> (Vec<PathBuf>, Vec<PathBuf>) {
        let tree = self
            .trees
            .iter()
            .find(|tree| directory.starts_with(&tree.root) && tree.keeps(directory, true));
        let (mut directories, mut files) =
            tree.map_or_else(Default::default, |tree| tree.walk(directory));
        for file in self.files.iter().filter(|file| file.starts_with(directory)) {
            directories.extend(nearest_directory(file));
            files.extend(file.exists().then(|| file.clone()));
        }
        (directories, files)
    }

    /// The program or script is not whole yet: it is being written or replaced.
    pub(super) fn unfinished(&self) -> bool {
        self.files.iter().any(|file| !is_complete(file))
    }

    /// Another program holds the repository's lock: a checkout or rebase is under way.
    pub(super) fn git_is_busy(&self) -> bool {
        let locks = [
            "index.lock",
            "rebase-merge",
            "rebase-apply",
            "MERGE_HEAD.lock",
        ];
        self.trees
            .iter()
            .flat_map(|tree| tree.root.ancestors().take(8))
            .map(|dir| dir.join(".git"))
            .filter(|git| git.is_dir())
            .any(|git| locks.iter().any(|lock| git.join(lock).exists()))
    }
}

impl Tree {
    fn new(root: PathBuf, more: &[String], own: Option<&Path>) -> Self {
        let mut builder = GitignoreBuilder::new(&root);
        for ignore_file in WalkBuilder::new(&root)
            .hidden(false)
            .build()
            .flatten()
            .filter(|e| e.file_name() == ".gitignore")
        {
            // A .gitignore that can't be read ignores nothing.
            let _unreadable = builder.add(ignore_file.path());
        }
        for pattern in DROPPINGS.into_iter().chain(more.iter().map(String::as_str)) {
            // The process file's patterns were checked when it was read.
            let _checked = builder.add_line(None, pattern);
        }
        let ignore = builder.build().unwrap_or_else(|_| Gitignore::empty());
        let own = own.and_then(|own| seen_from(&root, own));
        Self { root, ignore, own }
    }

    fn keeps(&self, path: &Path, is_dir: bool) -> bool {
        if self.own.as_ref().is_some_and(|own| path.starts_with(own)) {
            return false;
        }
        !matches!(
            self.ignore.matched_path_or_any_parents(path, is_dir),
            Match::Ignore(_)
        )
    }

    fn wants(&self, path: &Path) -> bool {
        path.starts_with(&self.root) && self.keeps(path, path.is_dir())
    }

    /// The directories (itself included) and the files below `from` that nothing ignores.
    fn walk(&self, from: &Path) -> (Vec<PathBuf>, Vec<PathBuf>) {
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
                    (false, true) => files.push(path),
                }
            }
            directories.push(directory);
        }
        (directories, files)
    }
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

/// The directory to watch for `file`: its own, or while that is missing the nearest above it, where it will appear.
fn nearest_directory(file: &Path) -> Option<PathBuf> {
    file.ancestors()
        .skip(1)
        .find(|directory| directory.is_dir())
        .map(Path::to_path_buf)
}

fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.into())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn ignored_and_dropped_files_do_not_matter_and_others_do() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().to_path_buf();
        for folder in [
            "src/deep",
            "target/debug",
            "node_modules/x",
            ".git",
            "home/web",
        ] {
            fs::create_dir_all(root.join(folder)).unwrap();
        }
        fs::write(root.join(".gitignore"), "/target\n*.log\n").unwrap();
        let tree = Tree::new(root.clone(), &["*.tmp".into()], Some(&root.join("home")));
        let scope = Scope {
            trees: vec![tree],
            files: vec![root.join("target/debug/app")],
        };
        for wanted in ["src/a.js", "src/deep/b.js", "target/debug/app"] {
            assert!(scope.wants(&root.join(wanted)), "{wanted}");
        }
        for passed in [
            "target/debug/other",
            "x.log",
            "src/y.tmp",
            "node_modules/x/i.js",
            ".git/index",
            "src/.a.js.swp",
            "src/a.js~",
            "src/4913",
            "home/web/n1",
        ] {
            assert!(!scope.wants(&root.join(passed)), "{passed}");
        }
        let watched = scope.directories();
        assert!(
            watched.contains(&root.join("src/deep"))
                && watched.contains(&root.join("target/debug"))
        );
        assert!(
            !watched
                .iter()
                .any(|d| d.starts_with(root.join("node_modules"))
                    || d.starts_with(root.join(".git")))
        );
    }
}
