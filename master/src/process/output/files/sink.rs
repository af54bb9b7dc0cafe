//! A file's queue: lines as bytes, rendered when they come, until the thread of the files takes them.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex, Weak},
};

use super::{Shared, compress::Compressor, file::LogFile, lock};
use crate::{
    config::app::{
        AppDefinition,
        log::{LogField, LogFormat, LogTarget, Rotate},
    },
    process::output::{LogItem, OutputLine, queue::Stream, render, stamp},
};

/// What may wait for a disk that is slow: some seconds of a worker that floods.
pub(super) const WAITING_BYTES: usize = 1 << 20;

/// One log file.
#[derive(Debug)]
pub struct FileSink {
    path: PathBuf,
    app: String,
    files: Weak<Shared>,
    waiting: Mutex<Waiting>,
    pub(super) file: Mutex<LogFile>,
}

#[derive(Debug)]
struct Waiting {
    bytes: Vec<u8>,
    /// How many lines were lost since that was last said, and the last of them.
    lost: Option<(u64, OutputLine)>,
    style: Style,
    plan: Plan,
    queued: bool,
    /// What an earlier master left of it has not been looked for.
    new: bool,
    reopen: bool,
    flush: bool,
}

/// How lines are written.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Style {
    format: LogFormat,
    prefix: Vec<LogField>,
}

/// When the file is put aside, and what then.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Plan {
    pub(super) rotate: Option<Rotate>,
    pub(super) compress: bool,
    /// The app's name, and all the paths that its files are made from: those it may keep so many bytes of.
    pub(super) app: String,
    pub(super) templates: Vec<PathBuf>,
}

impl FileSink {
    pub(super) fn new(path: PathBuf, app: &AppDefinition, files: Weak<Shared>) -> Self {
        Self {
            file: Mutex::new(LogFile::new(path.clone())),
            path,
            app: app.name.to_string(),
            files,
            waiting: Mutex::new(Waiting {
                bytes: Vec::new(),
                lost: None,
                style: style(app),
                plan: plan(app),
                queued: false,
                new: true,
                reopen: false,
                flush: false,
            }),
        }
    }

    /// Its path.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn is_of(&self, app: Option<&str>) -> bool {
        app.is_none_or(|app| app == self.app)
    }

    /// Written from here on as the app has it now.
    pub(super) fn follow(&self, app: &AppDefinition) {
        let mut waiting = lock(&self.waiting);
        waiting.style = style(app);
        waiting.plan = plan(app);
    }

    /// Takes a line; false if there is no room for it.
    pub(in super::super) fn push(self: &Arc<Self>, line: &OutputLine) -> bool {
        let mut waiting = lock(&self.waiting);
        let full = waiting.bytes.len() + line.text.len() > WAITING_BYTES;
        if full {
            let before = waiting.lost.as_ref().map_or(0, |(count, _)| *count);
            waiting.lost = Some((before + 1, line.clone()));
        } else {
            waiting.note_loss();
            waiting.line(line);
        }
        self.call(&mut waiting);
        !full
    }

    /// Sees to what an earlier master put aside and did not finish with.
    pub(super) fn tidy(self: &Arc<Self>) {
        self.call(&mut lock(&self.waiting));
    }

    pub(super) fn reopen(self: &Arc<Self>) {
        let mut waiting = lock(&self.waiting);
        waiting.reopen = true;
        self.call(&mut waiting);
    }

    pub(super) fn flush(self: &Arc<Self>) {
        let mut waiting = lock(&self.waiting);
        waiting.bytes.clear();
        waiting.flush = true;
        self.call(&mut waiting);
    }

    fn call(self: &Arc<Self>, waiting: &mut Waiting) {
        if !waiting.queued
            && let Some(files) = self.files.upgrade()
        {
            waiting.queued = true;
            files.desk.put(Arc::clone(self));
        }
    }

    /// Writes what waits. Only the thread of the files calls it.
    pub(super) fn write_out(&self, compressor: &Arc<Compressor>) {
        let mut file = lock(&self.file);
        let (bytes, plan) = {
            let mut waiting = lock(&self.waiting);
            waiting.queued = false;
            if std::mem::take(&mut waiting.new) && waiting.plan.rotate.is_some() {
                compressor.tidy(self.path.clone(), waiting.plan.clone());
            }
            if std::mem::take(&mut waiting.reopen) {
                file.close();
            }
            if std::mem::take(&mut waiting.flush) {
                file.empty();
            }
            // Nobody knows whether another line will come.
            waiting.note_loss();
            (std::mem::take(&mut waiting.bytes), waiting.plan.clone())
        };
        file.write(&bytes, &plan, compressor);
    }
}

impl Waiting {
    fn line(&mut self, line: &OutputLine) {
        match self.style.format {
            LogFormat::Json => render::render_json(&LogItem::Line(line.clone()), &mut self.bytes),
            LogFormat::Plain => {
                self.prefix(line);
                self.bytes.extend_from_slice(line.text.as_bytes());
                self.bytes.push(b'\n');
            }
        }
    }

    /// Says that lines are missing, if any are.
    fn note_loss(&mut self) {
        let Some((count, line)) = self.lost.take() else {
            return;
        };
        match self.style.format {
            LogFormat::Json => {
                let worker = line.worker;
                render::render_json(&LogItem::Lost { worker, count }, &mut self.bytes);
            }
            LogFormat::Plain => {
                self.prefix(&line);
                let note =
                    format!("({count} lines lost here: they came faster than they are written)\n");
                self.bytes.extend_from_slice(note.as_bytes());
            }
        }
    }

    fn prefix(&mut self, line: &OutputLine) {
        for field in &self.style.prefix {
            let text = match field {
                LogField::Time => stamp::stamp(line.at),
                LogField::Slot => format!("{}.{}", line.worker.app, line.worker.slot),
                LogField::Pid => line.pid.to_string(),
                LogField::Stream => match line.stream {
                    Stream::Stdout => "out".into(),
                    Stream::Stderr => "err".into(),
                },
            };
            self.bytes.extend_from_slice(text.as_bytes());
            self.bytes.push(b' ');
        }
    }
}

fn style(app: &AppDefinition) -> Style {
    Style {
        format: app.log.format.unwrap_or_default(),
        prefix: app.log.prefix.clone().unwrap_or_default(),
    }
}

fn plan(app: &AppDefinition) -> Plan {
    let templates = app
        .log
        .targets()
        .into_iter()
        .filter_map(|target| match target {
            LogTarget::File(template) => Some(template),
            LogTarget::Master | LogTarget::Null | LogTarget::Bus | LogTarget::Journal => None,
        });
    let mut templates: Vec<PathBuf> = templates.collect();
    templates.dedup();
    Plan {
        rotate: app.log.rotate(),
        compress: app.log.compress.unwrap_or(false),
        app: app.name.to_string(),
        templates,
    }
}
