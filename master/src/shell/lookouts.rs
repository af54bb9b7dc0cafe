//! Looks who else listens where an app's slots do: aside, as it may take a walk through `/proc`, and the shell waits for nobody.

use std::collections::{BTreeSet, HashMap};

use tokio::{sync::watch, task::spawn_blocking};

use crate::{
    config::app::AppName,
    sockets::{self, Shared, Stranger},
};

/// One for each app whose slots have sockets of their own: its sockets as they are now. Who looks ends when it goes.
#[derive(Debug, Default)]
pub struct Lookouts(HashMap<AppName, watch::Sender<Vec<Shared>>>);

impl Lookouts {
    /// Has these addresses looked at: now, or after the look that is under way.
    pub(super) fn look(&mut self, app: &AppName, at: Vec<Shared>) {
        if at.is_empty() {
            return self.forget(app);
        }
        if let Some(known) = self.0.get(app) {
            known.send_replace(at);
            return;
        }
        let (known, mut wanted) = watch::channel(at);
        wanted.mark_changed();
        tokio::spawn(keep_looking(app.clone(), wanted));
        self.0.insert(app.clone(), known);
    }

    /// Looks for this app no more.
    pub(super) fn forget(&mut self, app: &AppName) {
        self.0.remove(app);
    }
}

/// Looks as often as it is wanted, but not twice at once, and says who is new.
async fn keep_looking(app: AppName, mut wanted: watch::Receiver<Vec<Shared>>) {
    let mut known = BTreeSet::new();
    while wanted.changed().await.is_ok() {
        let at = wanted.borrow_and_update().clone();
        // It panics, or the master ends: either is said elsewhere.
        let Ok(found) = spawn_blocking(move || sockets::strangers(&at)).await else {
            continue;
        };
        let new = new(found, &wanted.borrow(), &mut known);
        for stranger in new {
            tell(&app, &stranger);
        }
    }
}

/// Who was not there before; nor is what became ours while it was looked.
fn new(found: Vec<Stranger>, now: &[Shared], known: &mut BTreeSet<u64>) -> Vec<Stranger> {
    let ours: BTreeSet<u64> = now.iter().flat_map(|it| &it.ours).copied().collect();
    let others = found.into_iter().filter(|it| !ours.contains(&it.inode));
    let others: Vec<Stranger> = others.collect();
    let there = others.iter().map(|it| it.inode).collect();
    let before = std::mem::replace(known, there);
    let new = others.into_iter().filter(|it| !before.contains(&it.inode));
    new.collect()
}

/// As places change, what the kernel is told may not be true any more.
fn tell(app: &AppName, stranger: &Stranger) {
    let Stranger {
        beside,
        address,
        holder,
        ..
    } = stranger;
    let who = match holder {
        Some(holder) => holder.to_string(),
        None => "another program".into(),
    };
    tracing::error!(
        "{app}: {who} listens at {address} beside the slots' sockets {beside:?}, and may get what comes to one of them; hint: end it, then have them bound anew: `ostler delete {app}`, and start it again"
    );
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::app::SocketAddress;

    fn stranger(inode: u64) -> Stranger {
        Stranger {
            beside: "http".into(),
            address: address(),
            inode,
            holder: None,
        }
    }

    fn address() -> SocketAddress {
        SocketAddress::Tcp(([127, 0, 0, 1], 80).into())
    }

    #[test]
    fn each_is_told_of_once_and_what_is_ours_by_now_never() {
        let now = [Shared {
            name: "http".into(),
            address: address(),
            ours: vec![1, 2],
        }];
        let mut known = BTreeSet::new();
        let found = |inodes: &[u64]| inodes.iter().copied().map(stranger).collect();
        let mut look = |inodes: &[u64]| -> Vec<u64> {
            let new = new(found(inodes), &now, &mut known);
            new.into_iter().map(|it| it.inode).collect()
        };
        assert_eq!(look(&[2, 7]), [7]);
        assert_eq!(look(&[7, 8]), [8]);
        assert_eq!(look(&[7, 8]), [0; 0]);
        // One that has gone meanwhile may come back, or another by its number.
        assert_eq!(look(&[8]), [0; 0]);
        assert_eq!(look(&[7, 8]), [7]);
    }
}
