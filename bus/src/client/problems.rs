//! Refusals that nobody waits for, because what was refused had been sent and forgotten.

use tokio::sync::broadcast::{self, error::RecvError};

use crate::wire::control::Refusal;

/// Something the hub refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Problem {
    /// What this program sent was refused.
    Refused {
        /// The topic, where it is known: of the first event on a topic, and of announced types.
        topic: Option<String>,
        /// Why.
        refusal: Refusal,
    },
    /// So many problems were dropped here, because they were not read in time.
    Missed(u64),
}

/// Problems as they arise.
#[derive(Debug)]
pub struct Problems(broadcast::Receiver<Problem>);

impl Problems {
    pub(super) fn new(receiver: broadcast::Receiver<Problem>) -> Self {
        Self(receiver)
    }

    /// The next problem; `None` when the connection and all its handles are gone.
    pub async fn next(&mut self) -> Option<Problem> {
        match self.0.recv().await {
            Ok(problem) => Some(problem),
            Err(RecvError::Lagged(missed)) => Some(Problem::Missed(missed)),
            Err(RecvError::Closed) => None,
        }
    }

    /// As a stream.
    pub fn into_stream(self) -> impl futures::Stream<Item = Problem> + Send {
        futures::stream::unfold(self, |mut problems| async move {
            problems.next().await.map(|problem| (problem, problems))
        })
    }
}
