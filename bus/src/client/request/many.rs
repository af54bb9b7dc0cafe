//! One question, many answers.

use std::{
    marker::PhantomData,
    pin::Pin,
    sync::{Arc, atomic::Ordering},
    task::{Context, Poll, ready},
    time::Duration,
};

use futures::{FutureExt, Stream};
use tokio::{sync::mpsc, time::Sleep};

use super::{Answer, HUB_GRACE, Waits, unanswered};
use crate::{
    Request,
    client::{
        error::RequestError,
        ledger::Answered,
        sync::{AtomicU64, OnceLock},
    },
    wire::control::{Refusal, RefusalKind},
};

/// Answers to one question that wait for their reader: more than a machine has workers. Over it they are dropped, and counted.
const WAITING_ANSWERS: usize = 4096;

/// Where the owning task puts the answers.
#[derive(Clone, Debug)]
pub(in crate::client) struct Gathering {
    answers: mpsc::Sender<Answered>,
    outcome: Arc<Outcome>,
}

/// How it ended; empty if the connection did.
#[derive(Debug, Default)]
struct Outcome {
    end: OnceLock<Result<(), Refusal>>,
    dropped: AtomicU64,
}

impl Gathering {
    /// One that takes so many answers; 0 is any number.
    pub(in crate::client) fn new(limit: u32) -> (Self, Gathered) {
        let most = match limit as usize {
            0 => WAITING_ANSWERS,
            limit => limit.min(WAITING_ANSWERS),
        };
        let (sender, answers) = mpsc::channel(most);
        let outcome = Arc::new(Outcome::default());
        let gathered = Gathered {
            answers,
            outcome: Arc::clone(&outcome),
        };
        let gathering = Self {
            answers: sender,
            outcome,
        };
        (gathering, gathered)
    }

    /// Another answer.
    pub(in crate::client) fn add(&self, answer: Answered) {
        if let Err(mpsc::error::TrySendError::Full(_)) = self.answers.try_send(answer) {
            self.outcome.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// There are no more.
    pub(in crate::client) fn end(self, end: Result<(), Refusal>) {
        // Only one end is told, and before the channel is closed.
        let _first = self.outcome.end.set(end);
    }
}

/// The other end of [`Gathering`].
#[derive(Debug)]
pub(in crate::client) struct Gathered {
    answers: mpsc::Receiver<Answered>,
    outcome: Arc<Outcome>,
}

impl Gathered {
    pub(in crate::client) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Answered>> {
        self.answers.poll_recv(cx)
    }

    /// How it ended, and how many answers found no room: once there are no more.
    pub(in crate::client) fn outcome(&self) -> (Option<&Result<(), Refusal>>, u64) {
        // The end first: whoever sees it sees all that was dropped before it.
        let end = self.outcome.end.get();
        (end, self.outcome.dropped.load(Ordering::Relaxed))
    }
}

/// The answers to one question, as they come: a [`Stream`] that ends when all who were asked have answered or gone, enough have,
/// or time is up. An error is its last item, except a [`Misfit`](RequestError::Misfit): that is one answer's.
#[derive(Debug)]
pub struct Answers<R> {
    gathered: Gathered,
    waits: Waits,
    topic: String,
    after: Duration,
    late: Pin<Box<Sleep>>,
    ended: bool,
    request: PhantomData<fn() -> R>,
}

impl<R: Request> Answers<R> {
    pub(super) fn new(gathered: Gathered, waits: Waits, topic: String, after: Duration) -> Self {
        Self {
            gathered,
            waits,
            topic,
            after,
            late: Box::pin(tokio::time::sleep(after.saturating_add(HUB_GRACE))),
            ended: false,
            request: PhantomData,
        }
    }

    /// The next answer; `None` when there are no more.
    pub async fn next(&mut self) -> Option<Result<Answer<R::Reply>, RequestError>> {
        std::future::poll_fn(|cx| self.poll_answer(cx)).await
    }

    /// All of them.
    ///
    /// # Errors
    /// The first.
    pub async fn all(mut self) -> Result<Vec<Answer<R::Reply>>, RequestError> {
        let mut all = Vec::new();
        while let Some(answer) = self.next().await {
            all.push(answer?);
        }
        Ok(all)
    }

    fn poll_answer(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Answer<R::Reply>, RequestError>>> {
        if self.ended {
            return Poll::Ready(None);
        }
        match self.gathered.poll_next(cx) {
            Poll::Ready(Some(answered)) => {
                return Poll::Ready(Some(Answer::read(answered, &self.topic)));
            }
            Poll::Ready(None) => {
                self.ended = true;
                return Poll::Ready(self.verdict().map(Err));
            }
            Poll::Pending => {}
        }
        // The hub says itself when time is up: this is for one that is hung.
        ready!(self.late.poll_unpin(cx));
        self.ended = true;
        Poll::Ready(Some(Err(RequestError::TimedOut {
            topic: self.topic.clone(),
            after: self.after,
        })))
    }

    /// What was wrong, if something was.
    fn verdict(&self) -> Option<RequestError> {
        let (end, dropped) = self.gathered.outcome();
        match end {
            Some(Ok(())) => match dropped {
                0 => None,
                dropped => Some(RequestError::Refused {
                    topic: self.topic.clone(),
                    refusal: Refusal {
                        kind: RefusalKind::Limit,
                        reason: format!(
                            "{dropped} more answers came than wait here at once ({WAITING_ANSWERS}): read them as they come"
                        ),
                    },
                }),
            },
            Some(Err(refusal)) => Some(unanswered(&self.topic, refusal.clone(), self.after)),
            None => Some(RequestError::Disconnected(self.waits.why_closed())),
        }
    }
}

impl<R: Request> Stream for Answers<R> {
    type Item = Result<Answer<R::Reply>, RequestError>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.get_mut().poll_answer(cx)
    }
}
