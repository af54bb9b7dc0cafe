//! The handshake: version, codec, and who the peer is.

use std::{
    cell::{Cell, RefCell},
    collections::HashSet,
    rc::Rc,
};

use bytes::Bytes;

use super::{
    Core,
    conn::{Door, Peer, Phase},
    item::{Card, Item, Whole},
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
        if let Some(until) = until {
            self.deadlines
                .clear(until, super::deadlines::Deadline::Hello(id));
        }
        match agree(kind, body, door) {
            Ok(agreed) => self.welcome(id, agreed),
            Err((kind, reason)) => self.close(id, kind, reason),
        }
    }

    fn welcome(&mut self, id: u64, agreed: Agreed) {
        let welcome = Welcome {
            proto: agreed.proto,
            codec: agreed.codec,
            hub: self.name.clone(),
            conn: id,
            life: String::new(),
            token: None,
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
        conn.codec = agreed.codec;
        conn.outbox.set_codec(agreed.codec);
        conn.outbox.push_urgent(urgent(out.freeze()));
        let card = Card {
            conn: id,
            origin: agreed.principal.origin(id),
            gone: Cell::new(false),
            known_to: RefCell::new(HashSet::new()),
            published: Cell::default(),
        };
        conn.phase = Phase::Open(Peer {
            principal: Rc::new(agreed.principal.clone()),
            card: Rc::new(card),
        });
        self.ledger.connected += 1;
        self.notices.push(HubNotice::Connected {
            conn: id,
            principal: agreed.principal,
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

struct Agreed {
    proto: u32,
    codec: Codec,
    principal: Principal,
}

fn agree(kind: u8, body: &[u8], door: Door) -> Result<Agreed, (CloseKind, String)> {
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
    let principal = principal(hello, door)?;
    Ok(Agreed {
        proto,
        codec,
        principal,
    })
}

fn principal(hello: Hello, door: Door) -> Result<Principal, (CloseKind, String)> {
    let admission = match door {
        Door::Known(principal) => return Ok(principal),
        Door::Path(admission) => admission,
    };
    let name = hello.name;
    let (role, principal) = match hello.kind {
        Kind::Observer => (Role::Observer, Principal::Observer { name }),
        Kind::Client => (Role::Client, Principal::Client { name }),
        Kind::Operator => (Role::Operator, Principal::Operator { name }),
        Kind::Worker => {
            return Err((
                CloseKind::Denied,
                "a worker is whoever holds the socket it inherited (OSTLER_BUS_FD); by path, connect as a client".into(),
            ));
        }
    };
    if role > admission.most {
        return Err((
            CloseKind::Denied,
            format!(
                "on this socket nobody may be more than {}, and the peer wants to be {role}",
                admission.most
            ),
        ));
    }
    Ok(principal)
}
