//! Wakes one task of the hub's thread. What tokio offers for it works between threads, with a lock at each look; here
//! looking is done for every event that comes alone.

use std::{
    cell::{Cell, RefCell},
    fmt,
    future::poll_fn,
    task::{Poll, Waker},
};

/// Rung by anybody on the hub's thread, heard by one task at a time. Ringing before anybody listens is heard by who listens next.
#[derive(Default)]
pub(super) struct Bell {
    rung: Cell<bool>,
    listener: RefCell<Option<Waker>>,
}

impl Bell {
    pub(super) fn ring(&self) {
        self.rung.set(true);
        if let Some(listener) = self.listener.take() {
            listener.wake();
        }
    }

    /// Waits until it is rung; once for each time, but only once for several before anybody listened.
    pub(super) async fn rung(&self) {
        poll_fn(|cx| {
            if self.rung.take() {
                return Poll::Ready(());
            }
            let mut listener = self.listener.borrow_mut();
            match &mut *listener {
                Some(waker) => waker.clone_from(cx.waker()),
                None => *listener = Some(cx.waker().clone()),
            }
            Poll::Pending
        })
        .await;
    }
}

impl fmt::Debug for Bell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Bell").field(&self.rung.get()).finish()
    }
}

#[cfg(test)]
mod tests {
    use std::{future::Future, pin::pin, task::Context};

    use futures::{FutureExt, task::noop_waker_ref};

    use super::*;

    #[test]
    fn it_is_heard_once_before_and_after_somebody_listens() {
        let bell = Bell::default();
        assert_eq!(bell.rung().now_or_never(), None);
        bell.ring();
        bell.ring();
        assert_eq!(bell.rung().now_or_never(), Some(()));
        assert_eq!(bell.rung().now_or_never(), None);
        let mut waits = pin!(bell.rung());
        let mut cx = Context::from_waker(noop_waker_ref());
        assert!(waits.as_mut().poll(&mut cx).is_pending());
        bell.ring();
        assert!(waits.as_mut().poll(&mut cx).is_ready());
    }

    #[tokio::test(flavor = "current_thread")]
    async fn it_wakes_who_listens() {
        let bell = Bell::default();
        let ((), ()) = tokio::join!(bell.rung(), async {
            tokio::task::yield_now().await;
            bell.ring();
        });
    }
}
