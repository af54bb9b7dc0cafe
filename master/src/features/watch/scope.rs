//! Which paths matter to an app: what is watched, and what is passed over.

use std::path::{Path, PathBuf};

use super::{
    git,
    program_file::{is_complete, is_elf, is_interpreter},
    tree::{Tree, is_own_log},
};
use crate::config::app::AppDefinition;

/// The directories and files whose changes mean that an app should be rolled.
#[derive(Debug)]
pub(super) struct Scope {
    trees: Vec<Tree>,
    /// Files that always matter, in whatever folder.
    files: Vec<PathBuf>,
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
        self.trees.iter().any(|tree| git::is_busy(&tree.root))
    }
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
}
