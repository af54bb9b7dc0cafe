//! A running master, in a home of its own.

use std::{
    ffi::{OsStr, OsString},
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use ostler::shell::SAME_WORD;
use rustix::process::Signal;

use super::{App, Cli, Exit, LinePattern, Mark, PATIENCE, PrivateDir, Process, Tail};

/// What a master is to be started with.
#[derive(Debug)]
#[must_use = "no master runs before start()"]
pub struct MasterBuilder {
    binary: PathBuf,
    dir: PrivateDir,
    through: Vec<OsString>,
    options: Vec<OsString>,
    what: Vec<OsString>,
    env: Vec<(OsString, OsString)>,
    cwd: Option<PathBuf>,
    leaves: bool,
}

impl MasterBuilder {
    /// Lets the master end when nothing is left to run, as `run` does; else it stays, so that a test can look at it.
    pub fn leaving(mut self) -> Self {
        self.leaves = true;
        self
    }

    /// Names the app (`-n`).
    pub fn name(self, name: &str) -> Self {
        self.args(["-n", name])
    }

    /// Sets the number of workers (`-i`).
    pub fn instances(self, instances: u32) -> Self {
        self.args(["-i", &instances.to_string()])
    }

    /// Declares a socket (`-l [NAME=]ADDRESS`).
    pub fn listen(self, socket: &str) -> Self {
        self.args(["-l", socket])
    }

    /// Sets how a worker is found ready (`--ready`).
    pub fn ready(self, how: &str) -> Self {
        self.args(["--ready", how])
    }

    /// Adds any other option of `run`.
    pub fn arg(self, arg: impl AsRef<OsStr>) -> Self {
        self.args([arg])
    }

    /// Adds any other options of `run`.
    pub fn args(mut self, args: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Self {
        self.options
            .extend(args.into_iter().map(|arg| arg.as_ref().to_owned()));
        self
    }

    /// The workers' command (`-- COMMAND…`).
    pub fn command(mut self, words: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Self {
        self.what = vec!["--".into()];
        self.what
            .extend(words.into_iter().map(|word| word.as_ref().to_owned()));
        self
    }

    /// Runs a process file with this content, `ostler.toml` in the test's directory, instead of a command.
    pub fn file(mut self, toml: &str) -> Self {
        self.what = vec![self.dir.write("ostler.toml", toml).into()];
        self
    }

    /// Runs a process file with these apps.
    pub fn apps(self, apps: &[App]) -> Self {
        self.file(&App::file(apps))
    }

    /// Puts a file into the test's directory.
    pub fn with(self, name: &str, content: &str) -> Self {
        self.dir.write(name, content);
        self
    }

    /// Sets a variable of the master.
    pub fn env(mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Self {
        self.env
            .push((name.as_ref().to_owned(), value.as_ref().to_owned()));
        self
    }

    /// Starts the master by way of another program, which must become it: `["sh", "-c", "ulimit -n 64; exec \"$@\"", "sh"]`.
    pub fn through(mut self, words: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Self {
        self.through = words
            .into_iter()
            .map(|word| word.as_ref().to_owned())
            .collect();
        self
    }

    /// Sets the master's working directory. Default: the test's directory.
    pub fn cwd(mut self, dir: impl Into<PathBuf>) -> Self {
        self.cwd = Some(dir.into());
        self
    }

    /// The test's directory, to put files in before the start.
    #[must_use]
    pub fn dir(&self) -> &PrivateDir {
        &self.dir
    }

    /// Starts the master and waits until it answers `ping`.
    ///
    /// # Panics
    /// If it ends, or doesn't answer in time; with its output.
    pub async fn start(self) -> Master {
        let master = self.spawn();
        master.answers().await;
        master
    }

    /// Starts the master and waits for nothing.
    #[must_use]
    pub fn spawn(self) -> Master {
        let mark = Mark::new(self.dir.path());
        let cwd = self.cwd.as_deref().unwrap_or(self.dir.path());
        let mut words = self.through.clone();
        words.push(self.binary.clone().into());
        let cli = cli(Path::new(&words[0]), &self.dir, &mark).dir(cwd);
        let mut command = cli
            .args(&words[1..])
            .arg("run")
            .args((!self.leaves).then_some("--stay"))
            .args(&self.options)
            .args(&self.what)
            .into_command();
        command.envs(self.env.iter().map(|(name, value)| (name, value)));
        let process = Process::spawn(&mut command);
        Master {
            process,
            command,
            binary: self.binary,
            mark,
            dir: self.dir,
        }
    }
}

fn cli(binary: &Path, dir: &PrivateDir, mark: &Mark) -> Cli {
    Cli::new(binary)
        .env("OSTLER_HOME", dir.at("home"))
        .env(Mark::VARIABLE, mark.value())
}

/// A running master.
///
/// On drop it is asked to go (TERM), asked again, and killed; then whatever it left alive is killed too.
#[derive(Debug)]
pub struct Master {
    /// Its process: output, signals, exit.
    pub process: Process,
    /// What started it.
    command: Command,
    binary: PathBuf,
    mark: Mark,
    // Last, so that it is removed when nobody uses it any more.
    dir: PrivateDir,
}

impl Master {
    /// A master to be, of the given `ostler` (`env!("CARGO_BIN_EXE_…")` of the caller), in a new private directory.
    pub fn builder(binary: impl Into<PathBuf>) -> MasterBuilder {
        MasterBuilder {
            binary: binary.into(),
            dir: PrivateDir::new(),
            through: Vec::new(),
            options: Vec::new(),
            what: Vec::new(),
            env: Vec::new(),
            cwd: None,
            leaves: false,
        }
    }

    /// A command against this master: `master.ostler(["scale", "3"]).success().await`.
    pub fn ostler(&self, args: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Cli {
        cli(&self.binary, &self.dir, &self.mark)
            .dir(self.dir.path())
            .args(args)
    }

    /// Everything on the bus from now on; see [`Tail`].
    pub async fn tail(&self) -> Tail {
        Tail::start(self).await
    }

    /// The test's directory.
    #[must_use]
    pub fn dir(&self) -> &PrivateDir {
        &self.dir
    }

    /// Its home (`OSTLER_HOME`).
    #[must_use]
    pub fn home(&self) -> PathBuf {
        self.dir.at("home")
    }

    /// Writes its process file anew. It hears of that by HUP.
    pub fn rewrite(&self, apps: &[App]) {
        self.dir.write("ostler.toml", &App::file(apps));
    }

    /// Waits for a line of its log (standard error).
    pub async fn wait_for_log(&mut self, pattern: impl LinePattern) -> String {
        self.process.stderr.wait_for_line(pattern, PATIENCE).await
    }

    /// Signals the master and waits for its end.
    pub async fn end(&mut self, signal: Signal) -> Exit {
        self.process.signal(signal);
        self.process.wait(PATIENCE).await
    }

    /// Says TERM or INT a second time: once the first has been heard, and later than would be taken for the same word.
    ///
    /// # Panics
    /// If the first, not waited for in its log yet, isn't heard in time.
    pub async fn say_again(&mut self, signal: Signal) {
        self.wait_for_log("asked to stop").await;
        // It was read before it was told of: no later than now.
        tokio::time::sleep(SAME_WORD).await;
        self.process.signal(signal);
    }

    /// Waits until it answers `ping`.
    async fn answers(&self) {
        let end = tokio::time::Instant::now() + PATIENCE;
        while self.ostler(["ping"]).run().await.exit != Exit::Code(0) {
            let output = || self.process.output();
            assert!(
                self.process.exit().is_none(),
                "the master has ended\n{}",
                output()
            );
            assert!(
                tokio::time::Instant::now() < end,
                "no answer to ping\n{}",
                output()
            );
        }
    }

    /// Starts it again in the same place, once it has ended, and waits until it answers `ping`.
    ///
    /// # Panics
    /// If it has not ended, or doesn't answer in time; with its output.
    pub async fn start_again(&mut self) {
        assert!(self.process.exit().is_some(), "it still runs");
        self.process = Process::spawn(&mut self.command);
        self.answers().await;
    }

    /// The living processes that it started, at any depth, without itself.
    #[must_use]
    pub fn descendants(&self) -> Vec<u32> {
        let mut found = self.mark.processes();
        found.retain(|pid| *pid != self.process.id());
        found
    }

    /// The process that copies itself for each worker.
    ///
    /// # Panics
    /// If there is none in time.
    pub async fn zygote(&self) -> u64 {
        let found = || self.found(is_zygote);
        super::eventually("the zygote", PATIENCE, found).await
    }

    /// A copy of it that has not become a worker yet.
    ///
    /// # Panics
    /// If there is none in time.
    pub async fn shim(&self) -> u64 {
        let found = || self.found(|pid| is_ours(pid) && !is_zygote(pid));
        super::eventually("a shim", PATIENCE, found).await
    }

    fn found(&self, is_it: impl Fn(u32) -> bool) -> Option<u64> {
        let mut all = self.descendants().into_iter();
        all.find(|pid| is_it(*pid)).map(u64::from)
    }

    /// No process that it started may be alive (zombies are not); but for the zygote, as long as the master itself lives.
    ///
    /// # Panics
    /// If one is, 2 s from now.
    pub async fn assert_nothing_left(&self) {
        let none = || {
            let mut left = self.descendants();
            if self.process.exit().is_none() {
                left.retain(|pid| !is_zygote(*pid));
            }
            left.is_empty().then_some(())
        };
        super::eventually(
            "all of the master's processes to end",
            Duration::from_secs(2),
            none,
        )
        .await;
    }
}

/// Whether a process is the zygote, or a copy of it that is no worker yet.
fn is_ours(pid: u32) -> bool {
    let words = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    words == b"ostler\0__zygote\0"
}

/// Whether a process is the zygote: what it says nobody hears, where a copy has pipes.
fn is_zygote(pid: u32) -> bool {
    let output = std::fs::read_link(format!("/proc/{pid}/fd/1")).unwrap_or_default();
    is_ours(pid) && output == Path::new("/dev/null")
}

impl Drop for Master {
    fn drop(&mut self) {
        let patience = Duration::from_secs(3);
        if self.process.exit().is_none() && !self.process.end(Signal::TERM, patience) {
            self.process.end(Signal::TERM, patience);
            self.process.end(Signal::KILL, patience);
        }
        self.mark.kill_all();
        if std::thread::panicking() {
            eprintln!("the master said:\n{}", self.process.output());
        }
    }
}
