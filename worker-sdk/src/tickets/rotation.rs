//! Makes a socket's secrets, and others after a time. The master has one for each socket that is asked for; a worker without a
//! master its own.

use std::{io, time::Duration};

use tokio::{sync::watch, task::JoinHandle};

use super::{SecretSet, TicketSecret};

/// Secrets that rotate until this is dropped.
#[derive(Debug)]
pub struct Rotation {
    secrets: watch::Sender<SecretSet>,
    task: JoinHandle<()>,
}

impl Rotation {
    /// Makes secrets, and rotates them after each such time. To be called inside a runtime.
    ///
    /// # Errors
    /// If the system has no random numbers.
    pub fn begin(every: Duration) -> io::Result<Self> {
        let secrets = watch::Sender::new(SecretSet::random(every)?);
        let task = tokio::spawn(rotate(secrets.clone()));
        Ok(Self { secrets, task })
    }

    /// The secrets as they are now, and whenever they have rotated.
    #[must_use]
    pub fn follow(&self) -> watch::Receiver<SecretSet> {
        self.secrets.subscribe()
    }

    /// Rotates them after another time from now on.
    pub fn rotate_each(&mut self, every: Duration) {
        let changed = self.secrets.send_if_modified(|set| {
            let new = set.clone().rotating_each(every);
            let changed = *set != new;
            *set = new;
            changed
        });
        if changed {
            self.task.abort();
            self.task = tokio::spawn(rotate(self.secrets.clone()));
        }
    }
}

impl Drop for Rotation {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn rotate(secrets: watch::Sender<SecretSet>) {
    loop {
        let every = secrets.borrow().rotation();
        tokio::time::sleep(every).await;
        match TicketSecret::random() {
            // At once: they may be told to rotate at another pace just now.
            Ok(next) => secrets.send_modify(|set| *set = set.followed_by(next)),
            Err(error) => {
                tracing::warn!("the secrets of session tickets stay as they are: {error}");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    #[tokio::test(start_paused = true)]
    async fn secrets_rotate_in_time_and_not_before() {
        let rotation = Rotation::begin(HOUR).unwrap();
        let mut follow = rotation.follow();
        let first = follow.borrow_and_update().clone();
        let early = tokio::time::timeout(HOUR - Duration::from_secs(1), follow.changed());
        assert!(early.await.is_err());
        follow.changed().await.unwrap();
        let second = follow.borrow_and_update().clone();
        assert_eq!(
            (second.previous, second.current),
            (first.current, first.next)
        );
        drop(rotation);
        assert!(
            follow.changed().await.is_err(),
            "nobody rotates them any more"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn another_time_counts_from_when_it_is_said() {
        let mut rotation = Rotation::begin(HOUR).unwrap();
        let mut follow = rotation.follow();
        let first = follow.borrow_and_update().clone();
        rotation.rotate_each(HOUR);
        assert!(!follow.has_changed().unwrap(), "it is no other");
        rotation.rotate_each(HOUR / 2);
        follow.changed().await.unwrap();
        assert_eq!(
            *follow.borrow_and_update(),
            first.clone().rotating_each(HOUR / 2),
            "told, and kept"
        );
        let begun = tokio::time::Instant::now();
        follow.changed().await.unwrap();
        assert_eq!(begun.elapsed(), HOUR / 2);
        assert_eq!(follow.borrow().current, first.next);
    }
}
