//! A way to the hub that can be cut: a socket of the test's own, behind which each connection is carried on to the real one.

use std::path::{Path, PathBuf};

use tokio::{
    net::{UnixListener, UnixStream},
    sync::watch,
    task::JoinHandle,
};

use super::PrivateDir;

/// Connections from one socket to another, while they are let through.
#[derive(Debug)]
pub struct Cut {
    dir: PrivateDir,
    /// Whether connections are let through.
    open: watch::Sender<bool>,
    /// How many there were.
    count: watch::Receiver<u64>,
    carrier: JoinHandle<()>,
}

impl Drop for Cut {
    fn drop(&mut self) {
        self.carrier.abort();
    }
}

impl Cut {
    /// Carries connections on to the socket at `hub`.
    ///
    /// # Panics
    /// If no socket can be made.
    #[must_use]
    pub fn before(hub: &Path) -> Self {
        let dir = PrivateDir::new();
        let listener = UnixListener::bind(dir.at("cut.sock")).expect("a private directory");
        let (open, is_open) = watch::channel(true);
        let (counter, count) = watch::channel(0);
        let carrier = tokio::spawn(carry(listener, hub.into(), is_open, counter));
        Self {
            dir,
            open,
            count,
            carrier,
        }
    }

    /// Where to connect.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        self.dir.at("cut.sock")
    }

    /// Ends all connections. New ones end at once, until [`Cut::mend`].
    pub fn cut(&self) {
        self.open.send_replace(false);
    }

    /// Lets connections through again.
    pub fn mend(&self) {
        self.open.send_replace(true);
    }

    /// How many connections there have been so far, let through or not.
    #[must_use]
    pub fn so_far(&self) -> u64 {
        *self.count.borrow()
    }

    /// Waits until there have been so many connections in all, let through or not.
    ///
    /// # Panics
    /// If there aren't in time.
    pub async fn connections(&self, at_least: u64) {
        let mut count = self.count.clone();
        let more = count.wait_for(|count| *count >= at_least);
        let counted = super::deadline("another connection", super::PATIENCE, more).await;
        counted.expect("the carrier lives");
    }
}

async fn carry(
    listener: UnixListener,
    hub: PathBuf,
    is_open: watch::Receiver<bool>,
    count: watch::Sender<u64>,
) {
    while let Ok((mut near, _)) = listener.accept().await {
        count.send_modify(|count| *count += 1);
        let (mut is_open, hub) = (is_open.clone(), hub.clone());
        tokio::spawn(async move {
            if !*is_open.borrow_and_update() {
                return;
            }
            let Ok(mut far) = UnixStream::connect(hub).await else {
                return;
            };
            tokio::select! {
                _ended = tokio::io::copy_bidirectional(&mut near, &mut far) => {}
                _cut = is_open.wait_for(|open| !open) => {}
            }
        });
    }
}
