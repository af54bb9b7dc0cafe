//! The hub's thread.
use super::{
    handle::{Command, HubOptions},
    notice::NoticeSender,
};
use std::io;
use tokio::sync::mpsc;

pub(super) fn start(
    _options: HubOptions,
    mut inbox: mpsc::Receiver<Command>,
    notices: NoticeSender,
) -> io::Result<()> {
    std::thread::Builder::new()
        .name("hub".into())
        .spawn(move || {
            while let Some(_command) = inbox.blocking_recv() {
                notices.send(super::HubNotice::TurnedAway {
                    reason: String::new(),
                });
            }
        })?;
    Ok(())
}
