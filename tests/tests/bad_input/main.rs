//! What is wrong is told with what to do about it, leaves nothing behind, and touches nobody who does well.

mod addresses;
mod commands;
mod files;
mod masters;
mod system;
mod wire;

use std::{
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    time::Duration,
};

use ostler_bus::{
    client::{ConnectOptions, Delivery},
    vocab::{
        status::StatusReport,
        worker::{ExitStatus, WorkerExited},
    },
};
use ostler_tests::{
    harness::{
        Cli, Exit, Fleet, Guest, Mark, Output, PATIENCE, PrivateDir, Process, Programs, Web,
        eventually,
        peer::{Peer, frame, hello, kind},
    },
    words::{Double, Note},
};
use rustix::process::Signal;
use serde_json::{Value, json};

const PROGRAMS: Programs = ostler_tests::programs!();

/// A command in a home of its own, started in a directory of its own.
struct Alone {
    dir: PrivateDir,
}

impl Alone {
    fn new() -> Self {
        let dir = PrivateDir::new();
        Self { dir }
    }

    fn ostler(&self, args: &[&str]) -> Cli {
        let cli = Cli::new(PROGRAMS.ostler).env("OSTLER_HOME", self.dir.at("home"));
        let mark = Mark::new(self.dir.path());
        cli.env(Mark::VARIABLE, mark.value())
            .dir(self.dir.path())
            .args(args)
    }

    /// Runs it; it must fail with this code, say these words and what to do, and leave nothing.
    async fn fails(&self, args: &[&str], code: i32, words: &[&str]) -> Output {
        let output = self.ostler(args).fails_with(code).await;
        told(&output, words);
        self.nothing_is_left();
        output
    }

    fn nothing_is_left(&self) {
        let processes = Mark::new(self.dir.path()).processes();
        assert_eq!(processes, Vec::<u32>::new());
        let mut found = Vec::new();
        walk(&self.dir.at("home"), &mut found);
        let socket = |path: &PathBuf| path.extension().is_some_and(|ext| ext == "sock");
        assert!(!found.iter().any(socket), "{found:?}");
    }
}

fn walk(dir: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
        found.push(entry.path());
        walk(&entry.path(), found);
    }
}

fn told(output: &Output, words: &[&str]) {
    assert!(output.stderr.starts_with("error: "), "{output:#?}");
    for word in words {
        assert!(output.stderr.contains(word), "no {word:?}: {output:#?}");
    }
    assert_eq!(output.stdout, "", "{output:#?}");
}

/// A fleet that does well, to see that it goes on doing so.
async fn well() -> (Fleet, Vec<Option<u32>>) {
    let fleet = Fleet::ready(PROGRAMS.sdk(2), 2).await;
    let pids = fleet.status().await.workers.iter().map(|w| w.pid).collect();
    (fleet, pids)
}

async fn still_well(fleet: &Fleet, pids: &[Option<u32>]) {
    let now = fleet.until_ready(pids.len()).await;
    assert_eq!(now.iter().map(|w| w.pid).collect::<Vec<_>>(), pids);
    assert!(fleet.get("web", "/note/well").await["ok"].is_u64());
}
