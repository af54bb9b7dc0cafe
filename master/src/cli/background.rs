//! `ostler start` for what is not known to a master: its apps go to the one that runs, or a master is started in the
//! background.
//!
//! A master in the background is `ostler run` in a session of its own, with its log in a file beside its directory. Whoever
//! starts it waits on its bus, like any other client, until its apps have started; if it ends before, its last lines are told.

use std::{
    fs::{self, File},
    io::{Read as _, Seek as _, SeekFrom},
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, ExitCode, Stdio},
    time::Duration,
};

use ostler_bus::vocab::{
    commands::{AppAdd, AppAwait},
    control::AppStart,
    status::MasterInfo,
};
use rustix::fs::CWD;
use tokio::time::Instant;

use super::{
    args::{RunArgs, RunWhat, StartArgs, StartWhat, Waiting, usual},
    carry_out,
    connect::{self, Place, Session, Wanted},
    error::{CliError, Exit},
    fleet_verbs, foreign, remote, run, runtime, select, state_verbs,
};
use crate::{
    cli::progress::Doing,
    config::{app::AppDefinition, flags},
    home::{self, Home, MasterName, StateDir},
    log, saved,
};

/// How long a master may take until it answers; its sockets and its bus take milliseconds.
const UP_WITHIN: Duration = Duration::from_secs(30);

/// Between two tries to reach it meanwhile.
const AGAIN: Duration = Duration::from_millis(20);

/// How much of a log is told of a master that ended.
const LAST_LINES: usize = 12;

/// `ostler start`
pub(super) fn start(args: &StartArgs, wanted: Wanted<'_>) -> Result<ExitCode, CliError> {
    match args.what.start_what()? {
        StartWhat::Known(selector) => fleet_verbs::start(selector, args.waiting, wanted),
        StartWhat::Anything if !nobody_runs(wanted)? => {
            if wanted.master.is_none() && !is_remote(wanted)? && usual().exists() {
                return start_own(args, wanted);
            }
            fleet_verbs::start(None, args.waiting, wanted)
        }
        StartWhat::Anything if !usual().exists() => Err(foreign::nothing_here(
            Exit::NotRunning,
            "start",
            "no master is running, and there is no ostler.toml here to start one with",
        )),
        StartWhat::Anything => start_what(args, RunWhat::File(usual()), wanted),
        StartWhat::Run(what) => start_what(args, what, wanted),
    }
}

/// Starts what is stopped in the master that runs, if that is the one of the process file here, or has its apps.
fn start_own(args: &StartArgs, wanted: Wanted<'_>) -> Result<ExitCode, CliError> {
    connect::talk(wanted, async |session| {
        let report = state_verbs::ask(&session.bus).await?;
        let (its, file) = (
            report.master.file.as_ref().map(PathBuf::from),
            absolute(&usual())?,
        );
        if !its.is_some_and(|its| same(&its, &file)) {
            let own = run::checked(&args.what, RunWhat::File(usual()), None)?;
            let knows = |app: &AppDefinition| {
                report
                    .apps
                    .iter()
                    .any(|known| app.name.as_str() == known.name)
            };
            if !own.apps.iter().all(knows) {
                is_meant(&report.master, &own.name)?;
            }
        }
        let all = AppStart { app: None };
        carry_out::carry_out(&session, Doing::Start, None, &all, args.waiting).await
    })
}

/// A master of this name that was brought back from what was saved is meant as well, and one of a release that may not tell
/// its file; about any other it is said how either can be.
fn is_meant(master: &MasterInfo, own: &MasterName) -> Result<(), CliError> {
    if master.file.is_none() && master.version != env!("CARGO_PKG_VERSION") {
        return Ok(());
    }
    let is_namesake = master.title == own.as_str();
    let saved = saved::file_of(&StateDir::of_this_process()?, own);
    if is_namesake
        && master
            .file
            .as_ref()
            .is_some_and(|its| *its == saved.display().to_string())
    {
        return Ok(());
    }
    let (name, here) = (&master.title, usual().display().to_string());
    let what = match &master.file {
        Some(its) => format!("the master {name} runs another file than {here}: {its}"),
        None => format!("the master {name} runs no process file, and {here} is here"),
    };
    let new = if is_namesake { "NAME" } else { own.as_str() };
    Err(CliError::new(Exit::Usage, what).hint(format!(
        "`ostler -M {new} start` starts a master for {here}, `ostler start {here}` adds its apps to the one that runs, and \
         `ostler -M {name} start` starts what is stopped there"
    )))
}

/// Whether two paths are one file.
fn same(a: &Path, b: &Path) -> bool {
    let real = |path: &Path| fs::canonicalize(path).ok();
    a == b || real(a).is_some_and(|a| Some(a) == real(b))
}

pub(super) fn is_remote(wanted: Wanted<'_>) -> Result<bool, CliError> {
    Ok(wanted.master.is_none() && remote::Address::of(wanted.way)?.is_some())
}

/// Whether no master is there that could be meant.
fn nobody_runs(wanted: Wanted<'_>) -> Result<bool, CliError> {
    if is_remote(wanted)? {
        return Ok(false);
    }
    let live = Home::of_this_process()?.live_masters()?;
    Ok(match wanted.master {
        Some(name) => live.iter().all(|master| master.name != *name),
        None => live.is_empty(),
    })
}

/// Starts a master of this name for a process file.
pub(super) fn start_file(
    file: PathBuf,
    name: MasterName,
    waiting: Waiting,
) -> Result<ExitCode, CliError> {
    let args = StartArgs {
        what: RunArgs::of_file(file),
        waiting,
    };
    // Whatever is wrong with it is said here.
    run::checked(&args.what, args.what.what()?, Some(name.clone()))?;
    in_background(&args, &Home::of_this_process()?, name)
}

fn start_what(args: &StartArgs, what: RunWhat, wanted: Wanted<'_>) -> Result<ExitCode, CliError> {
    if is_remote(wanted)? {
        return Err(CliError::new(
            Exit::Usage,
            "what is started by a file or a command must be on the master's own machine",
        )
        .hint("run `ostler start` there; apps that it knows are started from anywhere, by name"));
    }
    // Whatever is wrong with it is said here, before anybody is asked.
    let options = run::checked(&args.what, what.clone(), None)?;
    let home = Home::of_this_process()?;
    match which(&home, wanted.master, &options.name)? {
        Which::Running(name) => add(args, what, &name, wanted),
        Which::New(name) => in_background(args, &home, name),
    }
}

/// Who is to run it.
enum Which {
    Running(MasterName),
    New(MasterName),
}

fn which(home: &Home, named: Option<&MasterName>, own: &MasterName) -> Result<Which, CliError> {
    let live = home.live_masters()?;
    let runs = |name: &MasterName| live.iter().any(|master| master.name == *name);
    match (named, live.as_slice()) {
        (Some(name), _) if runs(name) => Ok(Which::Running(name.clone())),
        (Some(name), _) => Ok(Which::New(name.clone())),
        (None, _) if runs(own) => Ok(Which::Running(own.clone())),
        (None, []) => Ok(Which::New(own.clone())),
        (None, [only]) => Ok(Which::Running(only.name.clone())),
        (None, several) => Err(CliError::new(
            Exit::Usage,
            format!(
                "{} masters are running: say which one is to have it, or name a new one",
                several.len()
            ),
        )
        .details(several.iter().map(select::listed))
        .hint(format!("add -M {}", several[0].name))),
    }
}

/// Adds it to a master that runs.
fn add(
    args: &StartArgs,
    what: RunWhat,
    name: &MasterName,
    wanted: Wanted<'_>,
) -> Result<ExitCode, CliError> {
    let request = match what {
        RunWhat::File(path) => AppAdd {
            file: absolute(&path)?.display().to_string(),
            text: None,
            environment: args.what.env.clone(),
            only: only(&args.what)?,
        },
        RunWhat::Command(given) => AppAdd {
            file: absolute(Path::new("command.json"))?.display().to_string(),
            text: Some(flags::as_text(given)?),
            environment: None,
            only: None,
        },
    };
    let wanted = Wanted {
        master: Some(name),
        ..wanted
    };
    connect::talk(wanted, async |session| {
        let waiting = args.waiting;
        let done = carry_out::carry_out(&session, Doing::Start, None, &request, waiting).await?;
        eprintln!("it runs in the master {name}");
        Ok(done)
    })
}

fn only(what: &RunArgs) -> Result<Option<Vec<String>>, CliError> {
    let names: Vec<String> = what.only()?.iter().map(ToString::to_string).collect();
    Ok((!names.is_empty()).then_some(names))
}

/// A path from here.
pub(super) fn absolute(path: &Path) -> Result<PathBuf, CliError> {
    std::path::absolute(path).map_err(|error| {
        CliError::new(Exit::Failed, "the working directory can't be read").because(&error)
    })
}

/// Starts a master for it, and waits until its apps have started.
fn in_background(args: &StartArgs, home: &Home, name: MasterName) -> Result<ExitCode, CliError> {
    let log = Log::open(home, &name)?;
    let mut child = spawn(&args.what, &name, &log)?;
    let runtime = runtime::of_this_thread()?;
    let done = runtime.block_on(async {
        let session = reach(home, &name, &mut child, &log).await?;
        let wait = AppAwait { app: None };
        carry_out::carry_out(&session, Doing::Start, None, &wait, args.waiting)
            .await
            .map_err(|error| not_up(error, &mut child, &log))
    });
    runtime.shutdown_background();
    let done = done?;
    eprintln!(
        "master {name} runs in the background: pid {}, log {}",
        child.id(),
        log.path.display()
    );
    Ok(done)
}

fn spawn(what: &RunArgs, name: &MasterName, log: &Log) -> Result<Child, CliError> {
    let cannot = |error: std::io::Error| {
        CliError::new(Exit::Failed, "the master can't be started").because(&error)
    };
    let (out, err) = (log.file.try_clone(), log.file.try_clone());
    Command::new("/proc/self/exe")
        // Of a worker that starts it: the new master isn't to end with that.
        .env_remove("OSTLER_MASTER_PID")
        .env_remove("OSTLER_WORKER_ID")
        // Of a service whose program starts it: the new master is not that service.
        .env_remove("NOTIFY_SOCKET")
        .env_remove("WATCHDOG_USEC")
        .env_remove("WATCHDOG_PID")
        .arg0("ostler")
        .args(["-M", name.as_str(), "run", "--detached"])
        .arg(&log.path)
        .args(what.words())
        .stdin(Stdio::null())
        .stdout(out.map_err(cannot)?)
        .stderr(err.map_err(cannot)?)
        .spawn()
        .map_err(cannot)
}

/// Waits until the master answers, or has ended.
async fn reach(
    home: &Home,
    name: &MasterName,
    child: &mut Child,
    log: &Log,
) -> Result<Session, CliError> {
    let until = Instant::now() + UP_WITHIN;
    loop {
        if let Some(error) = ended(child, log) {
            return Err(error);
        }
        match connect::open(home.clone(), Some(name), None).await {
            // Another one of its name may have been faster: then ours ends, and says so.
            Ok(session) if is_ours(&session, child) => return Ok(session),
            Err(error) if Instant::now() > until => return Err(error.details(log.last_lines())),
            Ok(_) | Err(_) => tokio::time::sleep(AGAIN).await,
        }
    }
}

fn is_ours(session: &Session, child: &Child) -> bool {
    matches!(&session.place, Place::Here { master, .. } if master.pid == child.id())
}

/// What to say of a master that has ended, if it has.
fn ended(child: &mut Child, log: &Log) -> Option<CliError> {
    let status = child.try_wait().ok().flatten()?;
    let exit = match status.code() {
        Some(2) => Exit::Usage,
        Some(75) => Exit::Busy,
        Some(78) => Exit::Config,
        Some(_) | None => Exit::Failed,
    };
    let error = CliError::new(exit, format!("the master ended before it was up: {status}"));
    Some(
        error
            .details(log.last_lines())
            .hint(format!("its log is {}", log.path.display())),
    )
}

/// Its apps have not started: with the last lines of its log, and whether it is still there.
fn not_up(error: CliError, child: &mut Child, log: &Log) -> CliError {
    if let Some(ended) = ended(child, log) {
        return ended;
    }
    error.details(log.last_lines()).hint(format!(
        "the master runs on (pid {}) and tries again; `ostler ls` shows how it is, `ostler kill` ends it",
        child.id()
    ))
}

/// The log of a master in the background: a file beside its directory, which outlives it.
struct Log {
    path: PathBuf,
    file: File,
    /// What was there before.
    begin: u64,
}

impl Log {
    fn open(home: &Home, name: &MasterName) -> Result<Self, CliError> {
        home::open_or_create(CWD, home.path(), home.path(), 0o711)?;
        let path = home.master(name).log_file();
        let opened = log::open(&path).and_then(|file| Ok((file.metadata()?.len(), file)));
        let (begin, file) = opened.map_err(|error| {
            CliError::new(
                Exit::Failed,
                format!("the log {} can't be written", path.display()),
            )
            .because(&error)
        })?;
        Ok(Self { path, file, begin })
    }

    /// The last lines that were written since it was opened.
    fn last_lines(&self) -> Vec<String> {
        let written = fs::metadata(&self.path).map_or(0, |data| data.len());
        // Put aside meanwhile, or longer than anybody wants to read.
        let from = if written < self.begin { 0 } else { self.begin };
        let from = from.max(written.saturating_sub(log::TAIL_BYTES));
        let mut bytes = Vec::new();
        let read = File::open(&self.path).and_then(|mut file| {
            file.seek(SeekFrom::Start(from))?;
            file.read_to_end(&mut bytes)
        });
        if read.is_err() {
            return Vec::new();
        }
        let text = String::from_utf8_lossy(&bytes);
        let lines: Vec<&str> = text.lines().filter(|line| !line.is_empty()).collect();
        let last = &lines[lines.len().saturating_sub(LAST_LINES)..];
        last.iter().map(|line| (*line).to_owned()).collect()
    }
}

/// Makes this process what a background master is: in a session of its own, with nothing open but its log.
pub(super) fn detach() -> Result<(), CliError> {
    let cannot = |error: &dyn std::error::Error| {
        CliError::new(Exit::Failed, "can't leave the session it was started in").because(error)
    };
    rustix::process::setsid().map_err(|error| cannot(&error))?;
    crate::sys::close_from(3).map_err(|error| cannot(&error))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::render::tests::report_of;

    #[test]
    fn of_another_release_no_file_says_nothing() {
        let mut master = report_of(Vec::new()).master;
        let own = MasterName::new("other").unwrap();
        master.file = None;
        master.version = "0.0.0".into();
        assert_eq!(is_meant(&master, &own), Ok(()));
        master.version = env!("CARGO_PKG_VERSION").into();
        let refused = is_meant(&master, &own).unwrap_err().message;
        assert!(refused.contains("runs no process file"), "{refused}");
    }
}
