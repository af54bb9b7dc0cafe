//! What is said last is heard: at the hub before that ends, in the chronicle, in log files, and in the master's own log.

use std::time::Duration;

use ostler_bus::client::Bus;
use tokio::sync::watch;

use super::features::Chronicle;
use crate::process::{LineQueue, LogFiles, LogWriter};

/// How long the end of a master may wait for its last events to be published, and again for its log to be written.
const LAST_LINES: Duration = Duration::from_secs(2);

/// Whoever asked for the end is answered, and hears of it: what was said last is at the hub before that ends.
pub(super) async fn last_words(voices: [watch::Receiver<Bus>; 2]) {
    for voice in voices {
        let voice = voice.borrow().clone();
        if let Err(error) = voice.drain(LAST_LINES).await {
            tracing::debug!("the last events were not published: {error}");
        }
    }
}

/// Waits for what is on its way to disks.
pub(super) async fn last_lines(code: u8, chronicle: Option<Chronicle>, log_files: &LogFiles) {
    if let Some(Chronicle { pen, chronicler }) = chronicle {
        pen.put_down(code, chronicler, LAST_LINES).await;
    }
    if !log_files.finish(LAST_LINES).await {
        tracing::warn!("the last lines of log files were not written: the disk doesn't answer");
    }
}

/// The master's own log.
pub(super) struct OwnLog {
    pub(super) lines: LineQueue,
    pub(super) writer: LogWriter,
}

impl OwnLog {
    /// Ends it: what can't be written by then is stuck behind a stopped terminal.
    pub(super) async fn finish(self) {
        let _late = tokio::time::timeout(LAST_LINES, self.lines.end()).await;
        self.writer.finish(LAST_LINES).await;
    }
}
