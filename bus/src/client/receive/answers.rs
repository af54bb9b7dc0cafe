//! What the hub answers: whose answer it is, and what it means for later.

use bytes::Bytes;

use super::Receiver;
use crate::{
    client::{
        error::Disconnected,
        ledger::{Addressee, Answered, Asker, Pending},
        problems::Problem,
        standing::is_lasting,
    },
    wire::{
        control::{Refusal, RefusalKind},
        data,
    },
};

impl Receiver {
    pub(super) fn answer(&mut self, flags: u8, body: Bytes) -> Result<(), Disconnected> {
        let answer = data::answer(&body, flags).map_err(|e| self.broken(&e))?;
        let answered = Answered {
            publisher: self.publisher(answer.conn)?,
            kind: answer.kind,
            headers: body.slice_ref(answer.headers),
            payload: body.slice(answer.payload_at..),
        };
        let state = self.link.lock();
        if let Some(Pending::Many(asker)) = state.ledger.look(answer.r#ref) {
            asker.add(answered);
            return Ok(());
        }
        drop(state);
        if let Some(Pending::Request(asker)) = self.settle(answer.r#ref) {
            tell(asker, Ok(answered));
        }
        Ok(())
    }

    pub(super) fn done(&mut self, r#ref: u64, count: u64) {
        match self.settle(r#ref) {
            Some(Pending::Ack { answer, .. } | Pending::Drain(answer)) => tell(answer, Ok(count)),
            Some(Pending::Subscribe { sub, answer }) => {
                if let Some(subscribed) = self.subscribed(sub) {
                    subscribed.accepted();
                }
                tell(answer, Ok(count));
            }
            Some(Pending::Resubscribe { sub }) => {
                if let Some(subscribed) = self.subscribed(sub) {
                    subscribed.accepted();
                }
            }
            Some(Pending::Unsubscribe { sub }) => {
                self.subscribed(sub);
                self.subscriptions.remove(&sub);
            }
            Some(Pending::Request(answer)) => {
                let refusal = Refusal {
                    kind: RefusalKind::Malformed,
                    reason: "the hub took the request for something else".into(),
                };
                tell(answer, Err(refusal));
            }
            Some(Pending::Many(asker)) => asker.end(Ok(())),
            Some(Pending::Probe(_) | Pending::Announce(_)) | None => {}
        }
    }

    pub(super) fn refused(&mut self, r#ref: u64, refusal: Refusal) {
        match self.settle(r#ref) {
            Some(Pending::Ack { to, answer }) => {
                self.note(&to, &refusal);
                tell(answer, Err(refusal));
            }
            Some(Pending::Probe(to)) => {
                let topic = self.note(&to, &refusal);
                self.problem(topic, refusal);
            }
            Some(Pending::Announce(what)) => {
                let topic = self.link.lock().refuse_announced(what, refusal.clone());
                self.problem(topic.filter(|t| !t.is_empty()).map(Into::into), refusal);
            }
            Some(Pending::Subscribe { sub, answer }) => {
                self.subscribed(sub);
                self.subscriptions.remove(&sub);
                tell(answer, Err(refusal));
            }
            Some(Pending::Resubscribe { sub }) => {
                if let Some(subscribed) = self.subscriptions.remove(&sub) {
                    let refusal = refusal.clone();
                    subscribed.end(&Disconnected::NotResumed { refusal });
                }
                self.problem(None, refusal);
            }
            Some(Pending::Request(answer)) => tell(answer, Err(refusal)),
            Some(Pending::Many(asker)) => asker.end(Err(refusal)),
            Some(Pending::Drain(answer)) => tell(answer, Err(refusal)),
            Some(Pending::Unsubscribe { .. }) | None => self.problem(None, refusal),
        }
    }

    /// Notes a refusal that holds for every event of a topic; which one that is, if its name is known here.
    fn note(&self, to: &Addressee, refusal: &Refusal) -> Option<String> {
        let mut state = self.link.lock();
        match to {
            Addressee::Announced(what) => {
                if is_lasting(refusal) {
                    state
                        .refuse_announced(*what, refusal.clone())
                        .map(Into::into)
                } else {
                    state.announced_topic(*what).map(Into::into)
                }
            }
            Addressee::Topic(topic) => {
                if is_lasting(refusal) {
                    state.topics.refuse(topic, refusal.clone());
                }
                Some(topic.to_string())
            }
        }
    }

    fn problem(&self, topic: Option<String>, refusal: Refusal) {
        let problem = Problem::Refused { topic, refusal };
        if let Err(unheard) = self.link.problems.send(problem) {
            // The hub tells each kind of refusal once per topic: this can't flood a log.
            tracing::warn!(problem = ?unheard.0, "the hub refused something, and nobody reads `problems`");
        }
    }
}

/// Tells who waits, unless it has given up meanwhile.
fn tell<T>(asker: Asker<T>, answer: Result<T, Refusal>) {
    let _ = asker.send(answer);
}
