//! What the tests share. Every wait has a deadline, and every worker is killed with its guard.

use std::{
    ffi::OsString,
    os::fd::OwnedFd,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use ostler::{
    config::app::AppName,
    process::{
        Attributes, Child, Identity, LineQueue, LogItem, LogReceiver, Output, OutputEnd, SpawnSpec,
        Spawner, StdinFrom, Stream, capture, line_queue,
    },
};
use ostler_bus::{Generation, Slot, WorkerId, vocab::worker::ExitStatus};

pub(crate) const GRACE: Duration = Duration::from_millis(100);

/// Nothing here takes seconds; a busy machine may.
pub(crate) async fn within<F: Future>(what: F) -> F::Output {
    tokio::time::timeout(Duration::from_secs(30), what)
        .await
        .expect("within the deadline")
}

pub(crate) fn shim() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_ostler"))
}

pub(crate) fn spawner() -> Spawner {
    Spawner::new(shim())
}

/// One whose workers are copies or don't start at all.
pub(crate) fn by_copy(dir: &Path) -> Spawner {
    Spawner::new(&only(dir, "__zygote", ""))
}

/// One whose shims are all executed.
pub(crate) fn by_exec(dir: &Path) -> Spawner {
    Spawner::new(&only(dir, "__exec", ""))
}

/// The program under one of its hidden subcommands alone, with something of a shell's before it.
pub(crate) fn only(dir: &Path, word: &str, before: &str) -> PathBuf {
    let text = format!(
        "#!/bin/sh\n[ \"$1\" = {word} ] || exit 1\n{before}\nexec {} \"$@\"\n",
        shim().display()
    );
    script(dir, &format!("only{word}"), &text)
}

/// The two ways in which a shim comes to be.
pub(crate) const WAYS: [&str; 2] = ["__zygote", "__exec"];

pub(crate) fn spec<S: AsRef<str>>(command: &[S]) -> SpawnSpec {
    let mut command = command.iter().map(|word| OsString::from(word.as_ref()));
    SpawnSpec {
        program: command.next().expect("a program"),
        args: command.collect(),
        env: vec![("PATH".into(), "/usr/local/bin:/usr/bin:/bin".into())],
        watchdog_pid: false,
        listen_pid: false,
        open_files: None,
        attributes: Attributes::default(),
        files: vec![],
        stdin: StdinFrom::Null,
    }
}

pub(crate) fn sh(script: &str) -> SpawnSpec {
    spec(&["sh", "-c", script])
}

pub(crate) fn identity() -> Identity {
    Identity {
        app: AppName::new("web").expect("a name"),
        slot: Slot(1),
        id: WorkerId(7),
        generation: Generation(3),
    }
}

/// A worker and its output, killed with all its group when dropped.
pub(crate) struct Worker {
    pub(crate) child: Child,
    output: Option<Output>,
    lines: LogReceiver,
}

/// What a worker was, once it has ended.
pub(crate) struct Ended {
    pub(crate) status: ExitStatus,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
    pub(crate) end: OutputEnd,
}

pub(crate) async fn start(spawner: &Spawner, spec: SpawnSpec, fds: Vec<OwnedFd>) -> Worker {
    let (queue, lines) = line_queue(1 << 16, 16 << 20);
    start_into(spawner, spec, fds, queue, lines).await
}

pub(crate) async fn start_into(
    spawner: &Spawner,
    spec: SpawnSpec,
    fds: Vec<OwnedFd>,
    queue: LineQueue,
    lines: LogReceiver,
) -> Worker {
    let spawned = within(spawner.begin(&spec, fds)).await.expect("started");
    let worker = (Arc::new(identity()), spawned.child.pid());
    let output = capture(spawned.stdout, spawned.stderr, worker, vec![queue]);
    Worker {
        child: spawned.child,
        output: Some(output.expect("captured")),
        lines,
    }
}

pub(crate) async fn run(spec: SpawnSpec, fds: Vec<OwnedFd>) -> Ended {
    start(&spawner(), spec, fds).await.ended().await
}

impl Worker {
    /// The next line it prints, which says that it has come so far.
    pub(crate) async fn line(&mut self) -> String {
        match within(self.lines.recv()).await.expect("a line") {
            LogItem::Line(line) => line.text.to_string(),
            LogItem::Lost { count, .. } => panic!("{count} lines lost"),
            other @ (LogItem::Own(_) | LogItem::Unwritten { .. } | LogItem::End) => {
                panic!("not a worker's: {other:?}")
            }
        }
    }

    pub(crate) async fn ended(mut self) -> Ended {
        let status = within(self.child.exited()).await;
        let output = self.output.take().expect("taken here alone");
        let end = within(output.finish(GRACE)).await;
        let (mut stdout, mut stderr) = (String::new(), String::new());
        for item in self.items() {
            let LogItem::Line(line) = item else {
                panic!("lost lines: {item:?}");
            };
            let text = match line.stream {
                Stream::Stdout => &mut stdout,
                Stream::Stderr => &mut stderr,
            };
            text.push_str(&line.text);
            text.push('\n');
        }
        Ended {
            status,
            stdout,
            stderr,
            end,
        }
    }

    /// How its output ended, with what is in its queue left there.
    pub(crate) async fn output_end(&mut self) -> OutputEnd {
        let output = self.output.take().expect("not ended yet");
        within(output.finish(GRACE)).await
    }

    pub(crate) fn items(&mut self) -> Vec<LogItem> {
        std::iter::from_fn(|| self.lines.try_recv()).collect()
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        // ESRCH: it has ended.
        let _ = self.child.signal_group(9);
    }
}

/// An executable script. Another process writes it: while this one had it open, a child forked by another test would
/// have it too, and what is open for writing can't be executed.
pub(crate) fn script(dir: &Path, name: &str, text: &str) -> PathBuf {
    let path = dir.join(name);
    let write = "printf %s \"$1\" > \"$0\" && chmod 755 \"$0\"";
    let status = std::process::Command::new("sh")
        .args(["-c", write])
        .arg(&path)
        .arg(text)
        .status();
    assert!(status.expect("run").success());
    path
}

/// Whether a process is there and no zombie.
pub(crate) fn alive(pid: &str) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat"))
        .is_ok_and(|stat| !stat.contains(") Z ") && !stat.contains(") X "))
}

/// Waits until a process is gone, as somebody else's zombie perhaps.
pub(crate) async fn gone(pid: &str) {
    let watch = async {
        while alive(pid) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    within(watch).await;
}

pub(crate) fn null() -> OwnedFd {
    std::fs::File::open("/dev/null").expect("/dev/null").into()
}
