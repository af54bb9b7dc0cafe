//! Answers that stand for a while: whoever asks the same meanwhile gets them from the hub itself.
//!
//! A reply may say for how long it holds. It is given to whoever asks the same question, as long as that time is not over,
//! whoever gave it still answers there, and the hub's own process hasn't said since the question was put that
//! [what it knows has changed](Core::follow).

use std::{
    collections::HashMap,
    mem::{Discriminant, discriminant},
    rc::Rc,
    sync::atomic::Ordering,
    time::{Duration, Instant},
};

use bytes::Bytes;

use super::{
    pending::{Ends, Pending},
    reply::Given,
};
use crate::{
    Topic,
    hub::core::{Core, memory::Charge, path::Path, types::SharedType},
    wire::{control::Refusal, data::Payload},
};

/// Questions of more bytes are asked each time.
const QUESTION_BYTES: usize = 256;

/// Answers that stand at once; one more begins only where another has ended.
const STANDING: usize = 256;

/// Larger answers are for their asker alone.
const ANSWER_BYTES: usize = 64 << 10;

/// All that stand take up at most this part of the hub's memory.
const SHARE: usize = 64;

/// What is the same for all who ask the same.
#[derive(Clone, Debug)]
struct Question {
    /// Postcard, JSON or bytes; the index of the type says nothing.
    kind: Discriminant<Payload>,
    /// Only postcard has one. There is one of each type, however many announce it.
    ty: Option<Rc<SharedType>>,
    payload: Box<[u8]>,
}

impl Question {
    /// The question, if its answer may stand at all.
    fn of(path: &Path, payload: &[u8]) -> Option<Self> {
        (payload.len() <= QUESTION_BYTES).then(|| Self {
            kind: discriminant(&path.kind),
            ty: path.ty.as_ref().map(|ty| Rc::clone(&ty.shared)),
            payload: payload.into(),
        })
    }

    fn is(&self, path: &Path, payload: &[u8]) -> bool {
        let ty = path.ty.as_ref().map(|ty| &ty.shared);
        self.is_same(discriminant(&path.kind), ty, payload)
    }

    fn is_same(
        &self,
        kind: Discriminant<Payload>,
        ty: Option<&Rc<SharedType>>,
        payload: &[u8],
    ) -> bool {
        let same_type = match (&self.ty, ty) {
            (Some(mine), Some(other)) => Rc::ptr_eq(mine, other),
            (mine, other) => mine.is_none() && other.is_none(),
        };
        self.kind == kind && same_type && *self.payload == *payload
    }
}

/// A question, and by when it was put.
#[derive(Debug)]
pub(super) struct Put {
    question: Question,
    revision: u64,
}

/// An answer that stands.
#[derive(Debug)]
struct Answer {
    put: Put,
    given: Given,
    responder: (u64, u32),
    topic: Rc<str>,
    until: Instant,
    charge: Charge,
}

/// All that stand, by topic.
#[derive(Debug, Default)]
pub(super) struct Standing {
    answers: HashMap<Topic, Vec<Answer>>,
    count: usize,
    /// Bytes of memory that they take.
    held: usize,
    /// How many questions they have answered.
    pub(super) given: u64,
}

impl Standing {
    fn retain(&mut self, mut stands: impl FnMut(&Answer) -> bool) {
        self.answers.retain(|_, answers| {
            answers.retain(&mut stands);
            !answers.is_empty()
        });
        let all = self.answers.values().flatten();
        (self.count, self.held) = all.fold((0, 0), |(count, held), answer| {
            (count + 1, held + answer.charge.bytes())
        });
    }
}

impl Core {
    fn revision(&self) -> u64 {
        self.revision.load(Ordering::Acquire)
    }

    /// What has to be remembered of a question for its answer to stand.
    pub(super) fn put(&self, path: &Path, payload: &[u8]) -> Option<Put> {
        Some(Put {
            question: Question::of(path, payload)?,
            revision: self.revision(),
        })
    }

    /// Lets an answer stand.
    pub(super) fn let_stand(&mut self, pending: &Pending, given: &Given, holds: Duration) {
        let (Some(put), Ok(topic)) = (&pending.put, Topic::new(&pending.topic)) else {
            return;
        };
        let (now, revision) = (self.now, self.revision());
        let stands = |put: &Put, until| put.revision == revision && until > now;
        let until = now + holds;
        if !stands(put, until) {
            return;
        }
        let mut standing = std::mem::take(&mut self.requests.standing);
        let new = &put.question;
        standing.retain(|answer| {
            let question = &answer.put.question;
            let is_same = question.is_same(new.kind, new.ty.as_ref(), &new.payload);
            !(is_same && answer.topic == pending.topic) && stands(&answer.put, answer.until)
        });
        let size = given.payload.len() + put.question.payload.len() + size_of::<Answer>();
        let room = self.limits.memory_bytes / SHARE;
        let fits = given.payload.len() <= ANSWER_BYTES && standing.held + size <= room;
        if fits && standing.count < STANDING {
            standing.answers.entry(topic).or_default().push(Answer {
                put: Put {
                    question: put.question.clone(),
                    revision,
                },
                given: Given {
                    payload: Bytes::copy_from_slice(&given.payload),
                    ..given.clone()
                },
                responder: (pending.responder, pending.sub),
                topic: Rc::clone(&pending.topic),
                until,
                charge: self.tally.charge(size),
            });
            standing.count += 1;
            standing.held += size;
        }
        self.requests.standing = standing;
    }

    /// Answers a question with what stands; `None` if nothing does.
    pub(super) fn answer_standing(
        &mut self,
        id: u64,
        r#ref: u64,
        path: &Path,
        reader: Option<&Rc<SharedType>>,
        payload: &[u8],
    ) -> Option<Result<(), Refusal>> {
        let answers = self.requests.standing.answers.get(&path.topic)?;
        let answer = answers
            .iter()
            .find(|answer| answer.put.question.is(path, payload))?;
        let answers_there = |(conn, sub)| {
            let mut targets = path.targets.iter();
            targets.any(|target| target.conn == conn && target.sub == sub)
        };
        if answer.until <= self.now
            || answer.put.revision != self.revision()
            || !answers_there(answer.responder)
        {
            return None;
        }
        let (responder, sub) = answer.responder;
        let pending = Pending {
            asker: id,
            r#ref,
            reader: reader.cloned(),
            responder,
            sub,
            ends: Ends::At(self.now),
            urgent: path.urgent,
            topic: Rc::clone(&answer.topic),
            put: None,
        };
        let given = answer.given.clone();
        self.requests.standing.given += 1;
        let whole = self.answer_frame(&pending, given);
        Some(whole.map(|whole| self.queue_answer(&pending, whole)))
    }

    /// Nothing stands any more: there is no memory for it. Whether there was anything.
    pub(in crate::hub::core) fn forget_all_answers(&mut self) -> bool {
        let stood = self.requests.standing.count > 0;
        self.requests.standing.retain(|_| false);
        stood
    }

    /// Nothing stands any more that this connection has answered.
    pub(in crate::hub::core) fn forget_answers(&mut self, id: u64) {
        self.requests
            .standing
            .retain(|answer| answer.responder.0 != id);
    }
}
