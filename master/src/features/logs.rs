//! Workers' lines for those who ask: the last ones on request (`app.logs`), and each as an event on `_log.<app>.<slot>`
//! while somebody listens.

use std::{
    sync::Arc,
    time::{Duration, UNIX_EPOCH},
};

use ostler_bus::{
    Pattern, Slot,
    client::{Bus, SubscribeError},
    vocab::{
        control::RefusalKind,
        log::{AppFlush, AppLogs, FlushAnswer, LogLine, LogStream, LogsAnswer},
    },
};
use tokio::sync::Mutex;

use super::Settling;
use crate::{
    config::app::AppName,
    fleet::Portrait,
    process::{
        LineBook, LineQueue, LogFiles, LogItem, LogReceiver, Outlet, OutputLine, Stream,
        WantedLines, line_queue,
    },
    shell::ShellHandle,
};

/// Lines and bytes that may wait to be published.
const WAITING: (usize, usize) = (4096, 1 << 20);

/// What an answer holds: half of what a payload may have where nobody said otherwise.
const ANSWER_BYTES: usize = 512 << 10;

/// What a line weighs in an answer beside its text.
const LINE_OVERHEAD: usize = 64;

/// Where lines are kept and heard.
#[derive(Clone, Debug)]
pub struct Lines {
    /// The last ones of each slot.
    pub book: LineBook,
    /// Those to be published, while somebody listens.
    pub heard: LineQueue,
    waiting: Arc<Mutex<LogReceiver>>,
}

impl Default for Lines {
    fn default() -> Self {
        let (heard, waiting) = line_queue(WAITING.0, WAITING.1);
        heard.set_wanted(false);
        Self {
            book: LineBook::default(),
            heard,
            waiting: Arc::new(Mutex::new(waiting)),
        }
    }
}

impl Lines {
    /// Where each line is to go.
    #[must_use]
    pub fn outlets(&self) -> Vec<Outlet> {
        vec![
            Outlet::Book(self.book.clone()),
            Outlet::Queue(self.heard.clone()),
        ]
    }
}

/// How many subscriptions there are to workers' lines.
#[derive(Debug, Default)]
pub struct Listeners(usize);

impl Listeners {
    /// A subscription to reserved topics has begun or ended: whether there is any left to workers' lines.
    pub fn note(&mut self, pattern: &Pattern, begun: bool) -> bool {
        if pattern.as_str().starts_with("_log.") {
            self.0 = match begun {
                true => self.0 + 1,
                false => self.0.saturating_sub(1),
            };
        }
        self.0 > 0
    }
}

/// Runs until the bus goes.
///
/// # Errors
/// If the hub refuses a subscription.
pub async fn run(
    bus: Bus,
    lines: Lines,
    files: LogFiles,
    shell: ShellHandle,
    settling: Option<Settling>,
) -> Result<(), SubscribeError> {
    let asked = answer(bus.clone(), &lines.book, &shell, settling.clone());
    let flushed = flush(bus.clone(), &lines.book, &files, &shell, settling);
    tokio::select! {
        ended = asked => ended,
        ended = flushed => ended,
        () = publish(&bus, &lines.waiting) => Ok(()),
    }
}

async fn publish(bus: &Bus, waiting: &Mutex<LogReceiver>) {
    let mut waiting = waiting.lock().await;
    while let Some(item) = waiting.recv().await {
        let LogItem::Line(line) = item else {
            // Losses show in the lines' numbers.
            continue;
        };
        let topic = LogLine::topic(line.worker.app.as_str(), line.worker.slot);
        if let Err(error) = bus.emit_to(&topic, &told(&line)).await {
            tracing::debug!("a line was not published: {error}");
        }
    }
}

async fn answer(
    bus: Bus,
    book: &LineBook,
    shell: &ShellHandle,
    settling: Option<Settling>,
) -> Result<(), SubscribeError> {
    let mut calls = bus.serve::<AppLogs>().await?;
    drop(settling);
    while let Some(call) = calls.next().await {
        let asked = call.request();
        let answer = match meant(asked.app.as_deref(), shell).await {
            Err((kind, reason)) => LogsAnswer::Refused { kind, reason },
            Ok(meant) => LogsAnswer::Lines(last(book, meant.as_deref(), asked)),
        };
        let _gone = call.reply(&answer).await;
    }
    Ok(())
}

/// `meant`: `None` is everybody.
fn last(book: &LineBook, meant: Option<&[Portrait]>, asked: &AppLogs) -> Vec<LogLine> {
    let wanted = WantedLines {
        stream: asked.stream.map(|stream| match stream {
            LogStream::Out => Stream::Stdout,
            LogStream::Err => Stream::Stderr,
        }),
        since: asked
            .since_ms
            .and_then(|since| UNIX_EPOCH.checked_add(Duration::from_millis(since))),
    };
    let is_meant = |app: &AppName, slot: Slot| {
        asked.slot.is_none_or(|only| only == slot)
            && meant.is_none_or(|meant| meant.iter().any(|of| of.means(app, slot)))
    };
    let most = usize::try_from(asked.lines).unwrap_or(usize::MAX);
    let lines = book.last(is_meant, wanted, most);
    let mut room = ANSWER_BYTES;
    let mut fitting: Vec<LogLine> = lines
        .iter()
        .rev()
        .map_while(|line| {
            room = room.checked_sub(line.text.len() + LINE_OVERHEAD)?;
            Some(told(line))
        })
        .collect();
    fitting.reverse();
    fitting
}

async fn flush(
    bus: Bus,
    book: &LineBook,
    files: &LogFiles,
    shell: &ShellHandle,
    settling: Option<Settling>,
) -> Result<(), SubscribeError> {
    let mut calls = bus.serve::<AppFlush>().await?;
    drop(settling);
    while let Some(call) = calls.next().await {
        let answer = match meant(call.request().app.as_deref(), shell).await {
            Err((kind, reason)) => FlushAnswer::Refused { kind, reason },
            Ok(Some(apps)) if apps.iter().any(|of| of.chosen.is_some()) => FlushAnswer::Refused {
                kind: RefusalKind::Invalid,
                reason: "lines are forgotten of whole apps: the slots of one may share a file"
                    .into(),
            },
            Ok(apps) => FlushAnswer::Flushed {
                files: forget(book, files, apps.as_deref()),
            },
        };
        let _gone = call.reply(&answer).await;
    }
    Ok(())
}

/// `apps`: `None` is all. How many files are emptied.
fn forget(book: &LineBook, files: &LogFiles, apps: Option<&[Portrait]>) -> u32 {
    let names: Vec<Option<&str>> = match apps {
        None => vec![None],
        Some(apps) => apps
            .iter()
            .map(|of| Some(of.definition.name.as_str()))
            .collect(),
    };
    let emptied = names.into_iter().map(|app| {
        book.forget(app);
        files.flush(app)
    });
    u32::try_from(emptied.sum::<usize>()).unwrap_or(u32::MAX)
}

/// Whose lines a selector means; `None` is everybody's, of apps that are gone too.
async fn meant(
    selector: Option<&str>,
    shell: &ShellHandle,
) -> Result<Option<Vec<Portrait>>, (RefusalKind, String)> {
    let Some(selector) = selector else {
        return Ok(None);
    };
    let drawn = shell.portraits(Some(selector.to_owned())).await?;
    Ok(Some(drawn.into_iter().map(|app| app.portrait).collect()))
}

fn told(line: &OutputLine) -> LogLine {
    let since = line.at.duration_since(UNIX_EPOCH).unwrap_or_default();
    LogLine {
        app: line.worker.app.to_string(),
        slot: line.worker.slot,
        worker: line.worker.id,
        pid: line.pid,
        number: line.number,
        time_ms: u64::try_from(since.as_millis()).unwrap_or(u64::MAX),
        stream: match line.stream {
            Stream::Stdout => LogStream::Out,
            Stream::Stderr => LogStream::Err,
        },
        line: line.text.to_string(),
        cut: line.cut,
    }
}
