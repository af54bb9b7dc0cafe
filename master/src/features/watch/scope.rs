//! Which paths matter to an app: what is watched, and what is passed over.

use std::{
    io::Read as _,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use ignore::{
    Match,
    gitignore::{Gitignore, GitignoreBuilder},
};

use super::program_file::{is_complete, is_elf, is_interpreter};
use crate::{config::app::AppDefinition, plain_file};

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

/// The most that is read of a file of git's, in bytes.
const LARGEST: u64 = 1 << 20;

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

impl Scope {
    /// What to watch for `app`: the given paths, else its working directory unless its command is a compiled program;
    /// and always the program or script itself. Nothing below `own`, the masters' home and process file, ever matters.
    pub(super) fn of(app: &AppDefinition, program: Option<&Path>, own: &[PathBuf]) -> Self {
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
            .map(|root| Tree::new(absolute(&root), [&watch.ignore, &watch.include], own))
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

    /// Every file there is whose change matters.
    pub(super) fn all_files(&self) -> Vec<PathBuf> {
        let of_trees = self.trees.iter().flat_map(|tree| tree.walk(&tree.root).1);
        let own_log = |path: &PathBuf| is_own_log(path);
        let mut all: Vec<PathBuf> = of_trees.filter(|path| !own_log(path)).collect();
        all.extend(self.files.iter().cloned());
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
            .filter_map(|dir| git_directory(&dir.join(".git")))
            .any(|git| locks.iter().any(|lock| git.join(lock).exists()))
    }
}

impl Tree {
    fn new(root: PathBuf, [more, include]: [&[String]; 2], own: &[PathBuf]) -> Self {
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
        for folder in above(&tree.root).iter().rev() {
            tree.ignores.extend(ignored_by(folder));
        }
        let mut todo = vec![tree.root.clone()];
        while let Some(folder) = todo.pop() {
            tree.ignores.extend(ignored_by(&folder));
            let inner = std::fs::read_dir(&folder).into_iter().flatten().flatten();
            let inner = inner.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
            let kept = inner.map(|entry| entry.path());
            todo.extend(kept.filter(|folder| tree.keeps(folder, true)));
        }
        tree
    }

    /// As git does: whatever is in a folder that is left out is left out, and of the files that speak of a path the
    /// deepest decides.
    fn keeps(&self, path: &Path, is_dir: bool) -> bool {
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

    fn wants(&self, path: &Path) -> bool {
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
fn ignored_by(folder: &Path) -> Option<Gitignore> {
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
fn above(root: &Path) -> Vec<PathBuf> {
    let Some(top) = root
        .ancestors()
        .position(|folder| folder.join(".git").exists())
    else {
        return vec![];
    };
    let folders = root.ancestors().skip(1).take(top);
    folders.map(Path::to_path_buf).collect()
}

/// The file that the master's own output goes to (`ostler run … 2> log`): each line in it would ask for the next update.
fn is_own_log(path: &Path) -> bool {
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
        fs::write(root.join("ostler.toml"), "").unwrap();
        let tree = Tree::new(
            root.clone(),
            [&["*.tmp".into()], &[]],
            &[root.join("home"), root.join("ostler.toml")],
        );
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
            "ostler.toml",
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
    fn a_lock_of_git_is_found_in_a_repository_and_in_a_worktree() {
        let dir = tempfile::tempdir().unwrap();
        let (main, worktree) = (dir.path().join("main"), dir.path().join("tree"));
        let locks = main.join(".git/worktrees/tree");
        fs::create_dir_all(&locks).unwrap();
        fs::create_dir_all(worktree.join("app")).unwrap();
        let link = format!("gitdir: {}\n", locks.display());
        fs::write(worktree.join(".git"), link).unwrap();
        let scope = Scope {
            trees: vec![Tree::new(worktree.join("app"), [&[], &[]], &[])],
            files: vec![],
        };
        assert!(!scope.git_is_busy());
        fs::write(locks.join("index.lock"), "").unwrap();
        assert!(scope.git_is_busy());
    }

    #[test]
    fn a_pipe_in_the_place_of_a_file_of_gits_holds_nobody_up() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().to_path_buf();
        fs::create_dir(root.join("src")).unwrap();
        for pipe in [".gitignore", "src/.gitignore", "src/.git"] {
            let made = std::process::Command::new("mkfifo")
                .arg(root.join(pipe))
                .status();
            assert!(made.unwrap().success(), "mkfifo");
        }
        let tree = Tree::new(root.join("src"), [&[], &[]], &[]);
        assert!(tree.wants(&root.join("src/a.js")));
        let scope = Scope {
            trees: vec![tree],
            files: vec![root.join("src/.git")],
        };
        assert!(!scope.git_is_busy() && scope.unfinished());
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
