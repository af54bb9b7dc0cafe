//! Requests: REQUEST → one responder → CALL → REPLY → ANSWER, with a bounded table of what is [`pending`]. Requests to many
//! are in [`many`].

mod frames;
mod many;
mod pending;
mod reply;
mod standing;

use std::{
    rc::Rc,
    time::{Duration, Instant},
};

use bytes::Bytes;
pub(super) use pending::Requests;
use pending::{Ends, Pending};
pub(super) use reply::Replied;

use super::{
    Core,
    conn::Peer,
    edge::{Forms, How},
    item::{Item, Whole},
    path::{Path, Target},
    queue::Urgent,
    types::SharedType,
};
use crate::{
    hub::Action,
    wire::{
        control::{HubOp, Refusal, RefusalKind},
        data::{Payload, READERS_TYPE},
        headers::{BadHeaders, Headers},
    },
};

/// A REQUEST as it was sent, in either codec.
pub(super) struct Asked<'a> {
    pub(super) r#ref: u64,
    pub(super) topic: &'a [u8],
    pub(super) kind: Payload,
    pub(super) payload: Bytes,
    pub(super) reply_type: u32,
    pub(super) timeout_ms: u32,
    /// If everybody who serves the topic is asked: how many answers are enough; 0: all.
    pub(super) limit: Option<u32>,
    pub(super) headers: Result<Headers, BadHeaders>,
}

/// A request that may be called through.
struct Admitted<'a> {
    asker: u64,
    peer: &'a Peer,
    path: Rc<Path>,
    /// What the asker reads; `None`: anything.
    reader: Option<Rc<SharedType>>,
    payload: Bytes,
    headers: Headers,
    r#ref: u64,
    timeout_ms: u32,
    until: Instant,
}

fn refusal(kind: RefusalKind, reason: impl Into<String>) -> Refusal {
    Refusal {
        kind,
        reason: reason.into(),
    }
}

impl Core {
    /// Takes a request: it is called through, or refused.
    pub(super) fn request(&mut self, id: u64, peer: &Peer, asked: Asked<'_>) {
        let r#ref = asked.r#ref;
        if let Err(refusal) = self.try_request(id, peer, asked) {
            self.answer(id, r#ref, HubOp::Refused(refusal));
        }
    }

    fn try_request(&mut self, id: u64, peer: &Peer, asked: Asked<'_>) -> Result<(), Refusal> {
        self.check_payload_size(asked.payload.len())?;
        let headers = asked.headers.map_err(bad_headers)?;
        let path = self.path(id, peer, Action::Request, asked.kind, asked.topic)?;
        path.verdict.clone()?;
        let reader = self.reply_reader(id, asked.reply_type)?;
        if asked.limit.is_none()
            && let Some(done) =
                self.answer_standing(id, asked.r#ref, &path, reader.as_ref(), &asked.payload)
        {
            return done;
        }
        let (payload, most) = (asked.payload.clone(), self.limits.payload_bytes);
        let mut forms = Forms::new(asked.kind, payload, path.ty.clone(), most);
        if let Some(builtin) = &path.builtin
            && asked.kind == Payload::Json
        {
            forms.fits(builtin).map_err(|e| misfit(&path, &e))?;
        }
        let admitted = Admitted {
            asker: id,
            peer,
            path,
            reader,
            payload: asked.payload,
            headers,
            r#ref: asked.r#ref,
            timeout_ms: asked.timeout_ms,
            until: self.now + Duration::from_millis(u64::from(asked.timeout_ms)),
        };
        match asked.limit {
            None => self.ask_one(&admitted, &mut forms)?,
            Some(limit) => self.ask_many(&admitted, &mut forms, limit)?,
        }
        self.relieve();
        Ok(())
    }

    fn ask_one(&mut self, asked: &Admitted<'_>, forms: &mut Forms) -> Result<(), Refusal> {
        self.check_waiting(asked.asker, 1)?;
        let call = self.requests.last + 1;
        let (target, frame) = self.choose(call, asked, forms)?;
        self.put_through(call, asked, &target, frame, Ends::At(asked.until))?;
        self.blame(asked.asker, target.conn);
        Ok(())
    }

    /// Whether so many calls more may wait for an answer to this connection.
    fn check_waiting(&self, id: u64, more: usize) -> Result<(), Refusal> {
        let waiting = self.conn(id).map_or(0, |c| c.asks.len());
        let limit = self.limits.requests;
        if waiting + more <= limit {
            return Ok(());
        }
        let reason = match more {
            1 => format!("{waiting} requests of this connection wait for an answer already"),
            _ => format!(
                "{waiting} requests of this connection wait for an answer already, and with {more} more there would be over {limit}"
            ),
        };
        Err(refusal(RefusalKind::Limit, reason))
    }

    /// Calls one responder, and gives the call's number.
    fn call(
        &mut self,
        asked: &Admitted<'_>,
        target: &Target,
        forms: &mut Forms,
        ends: Ends,
    ) -> Result<u64, Refusal> {
        let call = self.requests.last + 1;
        let frame = asked
            .call_frame(call, target, forms)
            .map_err(|e| misfit(&asked.path, &e))?;
        self.put_through(call, asked, target, frame, ends)?;
        Ok(call)
    }

    fn put_through(
        &mut self,
        call: u64,
        asked: &Admitted<'_>,
        target: &Target,
        frame: Whole,
        ends: Ends,
    ) -> Result<(), Refusal> {
        self.queue_call(asked.asker, &asked.path, target, frame)?;
        let pending = Pending {
            asker: asked.asker,
            r#ref: asked.r#ref,
            reader: asked.reader.clone(),
            responder: target.conn,
            sub: target.sub,
            ends,
            urgent: asked.path.urgent,
            topic: asked.path.topic.as_str().into(),
            put: match ends {
                Ends::At(_) => self.put(&asked.path, &asked.payload),
                Ends::With(_) => None,
            },
        };
        self.begin_call(call, pending);
        Ok(())
    }

    fn reply_reader(&self, id: u64, reply_type: u32) -> Result<Option<Rc<SharedType>>, Refusal> {
        if reply_type == READERS_TYPE {
            return Ok(None);
        }
        let ty = self.announced(id, reply_type)?;
        Ok(Some(Rc::clone(&ty.shared)))
    }

    /// The responder with the fewest calls to answer, and the call it gets; of several, the one that was asked longest
    /// ago. One that can't read this request is passed over: it may be of an older version than another.
    fn choose(
        &self,
        call: u64,
        asked: &Admitted<'_>,
        forms: &mut Forms,
    ) -> Result<(Target, Whole), Refusal> {
        let mut targets: Vec<&Target> = asked.path.targets.iter().collect();
        targets.sort_by_key(|target| self.load(target));
        let mut unfit = None;
        for target in targets {
            match asked.call_frame(call, target, forms) {
                Ok(frame) => return Ok((target.clone(), frame)),
                Err(reason) => unfit = unfit.or(Some(reason)),
            }
        }
        Err(match unfit {
            Some(reason) => misfit(&asked.path, &reason),
            None => nobody(&asked.path),
        })
    }

    /// How busy a responder is: its calls that wait, and when it got its last.
    fn load(&self, target: &Target) -> Option<(u32, u64)> {
        let sub = self.conn(target.conn)?.subs.get(&target.sub)?;
        Some((sub.outstanding, sub.last_call))
    }

    fn queue_call(
        &mut self,
        asker: u64,
        path: &Path,
        target: &Target,
        whole: Whole,
    ) -> Result<(), Refusal> {
        let Some(conn) = self.conns.get_mut(&target.conn) else {
            return Err(refusal(RefusalKind::Declined, "whoever answers has gone"));
        };
        if path.urgent {
            conn.outbox.push_urgent(Urgent {
                item: Item::Whole(whole),
                sub: Some(target.sub),
                from: Some(asker),
                stands_for: None,
            });
        } else if conn
            .outbox
            .has_room(target.sub, whole.head.len() + whole.payload.len())
        {
            conn.outbox.push(target.sub, Item::Whole(whole));
        } else {
            let reason = format!(
                "whoever answers {:?} has not read the requests that wait for it, and no more may",
                path.topic.as_str()
            );
            return Err(refusal(RefusalKind::Limit, reason));
        }
        self.mark(target.conn);
        Ok(())
    }
}

fn bad_headers(error: BadHeaders) -> Refusal {
    refusal(RefusalKind::Malformed, error.to_string())
}

fn misfit(path: &Path, reason: &str) -> Refusal {
    refusal(RefusalKind::Misfit, format!("{}: {reason}", path.topic))
}

/// Why nobody can be asked.
fn nobody(path: &Path) -> Refusal {
    match path.targets.first().map(|t| &t.how) {
        Some(How::Misfit(reason)) => misfit(path, reason),
        _ => refusal(
            RefusalKind::NoResponders,
            format!("nobody answers requests on {:?}", path.topic.as_str()),
        ),
    }
}
