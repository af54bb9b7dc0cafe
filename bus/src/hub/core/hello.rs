//! The handshake: version, codec, and who the peer is.

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
    time::Instant,
};

use bytes::Bytes;

use super::{
    Core,
    conn::{Agreed, Claim, Door, Peer, Phase, WorkerToken},
    deadlines::Deadline,
    item::{Card, Item, Whole},
    owner::Owner,
    queue::Urgent,
};
use crate::{
    hub::{HubNotice, Principal, Role},
    wire::{
        control::CloseKind,
        frame::{self, FrameType},
        hello::{Codec, Hello, Kind, MAGIC, VERSIONS, Welcome, WelcomeLimits},
    },
};

/// A name's longest length, in bytes.
const NAME_BYTES: usize = 64;

impl Core {
    /// Takes a connection's first frame.
    pub(super) fn hello(&mut self, id: u64, kind: u8, body: &[u8]) {
        let Some(Phase::Greeting { door, until }) = self.conn(id).map(|c| &c.phase) else {
            return;
        };
        let (door, until) = (door.clone(), *until);
        let (agreed, hello) = match agree(kind, body) {
            Ok(agreed) => agreed,
            Err((kind, reason)) => return self.close(id, kind, reason),
        };
        match who(hello, door) {
            Ok(Who::Is(principal, token)) => {
                self.heard(id, until);
                if token.is_some() {
                    self.replace_holder(id, &principal);
                }
                self.welcome(id, agreed, principal, token);
            }
            Ok(Who::Claims { kind, name, token }) => {
                if let Some(conn) = self.conns.get_mut(&id) {
                    conn.phase = Phase::Vouching { agreed, until };
                    self.claims.push(Claim {
                        conn: id,
                        kind,
                        name,
                        token,
                    });
                }
            }
            Err(reason) => self.close(id, CloseKind::Denied, reason),
        }
    }

    /// Whether what a connection claimed is true: who it is then, and what it may show next time.
    pub(crate) fn vouched(
        &mut self,
        now: Instant,
        id: u64,
        outcome: Result<(Principal, Option<WorkerToken>), String>,
    ) {
        self.now = now;
        let Some(Phase::Vouching { agreed, until }) = self.conn(id).map(|c| &c.phase) else {
            // It was too late, or has gone.
            return;
        };
        let (agreed, until) = (*agreed, *until);
        match outcome {
            Ok((principal, token)) => {
                self.heard(id, until);
                self.replace_holder(id, &principal);
                self.welcome(id, agreed, principal, token);
            }
            Err(reason) => self.close(id, CloseKind::Denied, reason),
        }
        // Whoever was replaced may have left something to others.
        self.regroup();
    }

    /// HELLO came in time.
    fn heard(&mut self, id: u64, until: Option<Instant>) {
        if let Some(until) = until {
            self.deadlines.clear(until, Deadline::Hello(id));
        }
    }

    /// A worker has one connection: whoever was it before is it no more.
    fn replace_holder(&mut self, id: u64, principal: &Principal) {
        let Principal::Worker { id: worker, .. } = principal else {
            return;
        };
        let holds = |p: &Principal| matches!(p, Principal::Worker { id, .. } if id == worker);
        let held = self.conns.iter().filter(|(other, _)| **other != id);
        let old: Vec<u64> = held
            .filter(|(_, conn)| conn.peer().is_some_and(|peer| holds(&peer.principal)))
            .map(|(other, _)| *other)
            .collect();
        for old in old {
            let reason = format!("worker {worker} has connected again, as connection {id}");
            self.close(old, CloseKind::Replaced, reason);
        }
    }

    fn welcome(
        &mut self,
        id: u64,
        agreed: Agreed,
        principal: Principal,
        token: Option<WorkerToken>,
    ) {
        let Agreed {
            proto,
            codec,
            instance,
        } = agreed;
        if let Some(instance) = instance {
            let whose = self.conn(id).and_then(|c| c.whose.clone());
            self.enter_session(id, Owner::of(&principal, whose), instance);
        }
        let welcome = Welcome {
            proto,
            codec,
            hub: self.name.clone(),
            conn: id,
            life: format!("{:032x}", self.life),
            token: token.as_deref().map(str::to_owned),
            limits: WelcomeLimits {
                payload: self.limits.payload_bytes,
                control: self.limits.control_bytes,
                subscriptions: self.limits.subscriptions,
            },
            ping_ms: 0,
            ext: serde_json::Map::new(),
        };
        let body = serde_json::to_vec(&welcome).expect("WELCOME has text keys");
        let mut out = bytes::BytesMut::with_capacity(body.len() + frame::HEADER_BYTES);
        frame::put(&mut out, FrameType::Welcome, 0, &body);
        let Some(conn) = self.conns.get_mut(&id) else {
            return;
        };
        conn.codec = codec;
        conn.outbox.set_codec(codec);
        conn.outbox.push_urgent(urgent(out.freeze()));
        let card = Card {
            conn: id,
            origin: principal.origin(id),
            gone: Cell::new(false),
            known_to: RefCell::default(),
            published: Cell::default(),
        };
        conn.phase = Phase::Open(Peer {
            principal: Rc::new(principal.clone()),
            card: Rc::new(card),
        });
        self.ledger.connected += 1;
        self.notices.push(HubNotice::Connected {
            conn: id,
            principal,
        });
        self.mark(id);
    }
}

fn urgent(frame: Bytes) -> Urgent {
    Urgent {
        item: Item::Whole(Whole::plain(frame)),
        sub: None,
        from: None,
        stands_for: None,
    }
}

fn agree(kind: u8, body: &[u8]) -> Result<(Agreed, Hello), (CloseKind, String)> {
    let bad = |reason: String| (CloseKind::Hello, reason);
    if FrameType::from_byte(kind) != Some(FrameType::Hello) {
        return Err(bad(format!(
            "the first frame must be HELLO (type 1), and this one has type {kind}"
        )));
    }
    let hello: Hello = serde_json::from_slice(body)
        .map_err(|e| bad(format!("HELLO is not as it should be: {e}")))?;
    if hello.magic != MAGIC {
        return Err(bad(format!("HELLO must have \"magic\": {MAGIC:?}")));
    }
    if hello.name.len() > NAME_BYTES {
        return Err(bad(format!(
            "a name of {} bytes: at most {NAME_BYTES} are allowed",
            hello.name.len()
        )));
    }
    let proto = VERSIONS[1].min(hello.proto[1]);
    if proto < VERSIONS[0].max(hello.proto[0]) {
        return Err(bad(format!(
            "this hub speaks protocol versions {} to {}, the peer {} to {}: update the older one",
            VERSIONS[0], VERSIONS[1], hello.proto[0], hello.proto[1]
        )));
    }
    let codec = hello.codecs.iter().find_map(|name| match name.as_str() {
        "postcard" => Some(Codec::Postcard),
        "json" => Some(Codec::Json),
        _ => None,
    });
    let codec = codec.ok_or_else(|| {
        bad(format!(
            "this hub speaks the codecs \"postcard\" and \"json\", the peer {:?}",
            hello.codecs
        ))
    })?;
    let instance = match &hello.instance {
        Some(text) => Some(instance(text).ok_or_else(|| {
            bad(format!(
                "an instance is 32 hexadecimal digits, and this one is {text:?}"
            ))
        })?),
        None => None,
    };
    let agreed = Agreed {
        proto,
        codec,
        instance,
    };
    Ok((agreed, hello))
}

fn instance(text: &str) -> Option<u128> {
    let is_hex = text.len() == 32 && text.bytes().all(|b| b.is_ascii_hexdigit());
    is_hex
        .then(|| u128::from_str_radix(text, 16).ok())
        .flatten()
}

/// Who a peer is, as far as its HELLO decides it.
enum Who {
    /// This, and it may show that token next time.
    Is(Principal, Option<WorkerToken>),
    /// Whoever the token belongs to.
    Claims {
        kind: Kind,
        name: String,
        token: String,
    },
}

fn who(hello: Hello, door: Door) -> Result<Who, String> {
    let (kind, name, token) = (hello.kind, hello.name, hello.token);
    let admission = match (door, token) {
        (Door::Known(principal), _) => return Ok(Who::Is(principal, None)),
        (Door::Inherited(principal, token), _) => return Ok(Who::Is(principal, Some(token))),
        (Door::Network, Some(token)) => return Ok(Who::Claims { kind, name, token }),
        (Door::Network, None) => {
            return Err("whoever comes over a network shows a token: put one into HELLO".into());
        }
        (Door::Path(_), Some(token)) if kind == Kind::Worker => {
            return Ok(Who::Claims { kind, name, token });
        }
        (Door::Path(admission), _) => admission,
    };
    let (role, principal) = match kind {
        Kind::Observer => (Role::Observer, Principal::Observer { name }),
        Kind::Client => (Role::Client, Principal::Client { name }),
        Kind::Operator => (Role::Operator, Principal::Operator { name }),
        Kind::Worker => {
            return Err(
                "a worker is whoever holds the socket it inherited (OSTLER_BUS_FD), or shows the token it was given there; by path, connect as a client".into(),
            );
        }
    };
    if role > admission.most {
        return Err(format!(
            "on this socket nobody may be more than {}, and the peer wants to be {role}",
            admission.most
        ));
    }
    Ok(Who::Is(principal, None))
}
