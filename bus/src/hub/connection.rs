//! A connection's task: its reader and its writer side by side, and its end.

use std::{pin::pin, rc::Rc, time::Duration};

use tokio::time::timeout;

use super::{
    reader,
    shell::{Link, Shell},
    writer,
};

/// How long a peer may take to read why its connection ends.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// Runs a connection to its end.
pub(super) async fn run(shell: Rc<Shell>, link: Rc<Link>) {
    let mut writer = pin!(writer::write(&shell, &link));
    let (reason, writable) = tokio::select! {
        biased;
        reason = reader::read(&shell, &link) => (reason, link.broken.borrow().is_none()),
        // The writer is done with: it took what broke the link, and must not be polled again.
        reason = &mut writer => (reason, false),
        () = closed(&shell, &link) => ("closed by the hub".into(), link.broken.borrow().is_none()),
    };
    if writable && shell.ask(|core| core.is_closing(link.id)) {
        let written = async {
            tokio::select! {
                _ = &mut writer => {}
                () = written(&shell, &link) => {}
            }
        };
        // Whoever doesn't read in time does without.
        let _ = Box::pin(timeout(LAST_WORDS, written)).await;
    }
    shell.close(link.id, &reason);
}

/// Waits until the hub has closed the connection.
async fn closed(shell: &Shell, link: &Link) {
    while !shell.ask(|core| core.is_closing(link.id)) {
        link.ending.rung().await;
    }
}

/// Waits until all that waits for the connection is written.
async fn written(shell: &Shell, link: &Link) {
    while link.writer_busy.get() || shell.ask(|core| core.has_output(link.id)) {
        link.wake_reader.rung().await;
    }
}
