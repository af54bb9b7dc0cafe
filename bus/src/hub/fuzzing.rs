//! Any bytes, thrown at a hub: it doesn't panic, grow, or let another connection notice. See [`crate::fuzzing`].

use std::time::{Duration, Instant};

use bytes::Bytes;

use super::{
    Admission, HistoryRule, HubOptions, Principal, Role, Rules,
    core::{Core, Door, Output},
};
use crate::{
    Limits,
    wire::{
        codec,
        control::{ClientControl, ClientOp, SubscribeOptions},
        data::{self, Payload},
        frame::{self, FrameType},
        hello::Codec,
    },
};

/// The hub's memory for all queues, and what an event taken last may add.
const MEMORY_BYTES: usize = 256 << 10;

/// The connection that must not notice.
const WITNESS: u64 = 1;

/// The connection that sends anything.
const PEER: u64 = 2;

/// What a peer that came by path sends, HELLO and all.
pub fn handshake(bytes: &[u8]) {
    let door = Door::Path(Admission {
        most: Role::Operator,
    });
    Scene::new(door).play(bytes);
}

/// What a client sends after its HELLO; the first byte says in which codec, and how long the pieces are in which it arrives.
pub fn conversation(bytes: &[u8]) {
    let Some((&how, bytes)) = bytes.split_first() else {
        return;
    };
    let name = "peer".to_owned();
    let mut scene = Scene::new(Door::Known(Principal::Client { name }));
    let codec = match how & 1 {
        0 => Codec::Postcard,
        _ => Codec::Json,
    };
    scene.feed(PEER, &hello(codec));
    scene.piece = usize::from(how >> 1) * 8 + 1;
    scene.play(bytes);
}

struct Scene {
    core: Core,
    now: Instant,
    piece: usize,
}

impl Scene {
    fn new(door: Door) -> Self {
        let now = Instant::now();
        let options = HubOptions {
            name: "fuzzed".into(),
            limits: Limits {
                memory_bytes: MEMORY_BYTES,
                history_bytes: MEMORY_BYTES / 8,
                retained_bytes: MEMORY_BYTES / 8,
                ..Limits::default()
            },
            rules: Rules::allow_all(),
            builtins: Vec::new(),
            history: vec![HistoryRule::last(">", 16)],
        };
        let mut scene = Self {
            core: Core::new(&options, 7, now),
            now,
            piece: usize::MAX,
        };
        let name = "witness".to_owned();
        let witness = Door::Known(Principal::Client { name });
        scene.core.connect(now, WITNESS, witness);
        scene.feed(WITNESS, &hello(Codec::Postcard));
        scene.feed(WITNESS, &subscribe("witness"));
        scene.core.connect(now, PEER, door);
        scene.written(WITNESS);
        scene
    }

    fn play(mut self, bytes: &[u8]) {
        let mut waiting = Vec::new();
        for piece in bytes.chunks(self.piece) {
            waiting.extend_from_slice(piece);
            let taken = self.feed(PEER, &waiting);
            waiting.drain(..taken);
            assert!(
                self.core.held() <= MEMORY_BYTES + (64 << 10),
                "{} bytes",
                self.core.held()
            );
        }
        self.written(PEER);
        self.written(WITNESS);
        assert!(!self.core.is_closing(WITNESS));
        self.feed(WITNESS, &emit("witness", b"still here"));
        let heard = self.written(WITNESS);
        assert!(heard.ends_with(b"still here"), "the witness hears itself");
        // Whatever was begun ends.
        self.now += Duration::from_secs(24 * 3600);
        self.core.expire(self.now);
        self.core.disconnect(self.now, PEER, "it has gone");
    }

    /// As the shell would: whole frames. Says how many bytes were taken.
    fn feed(&mut self, id: u64, bytes: &[u8]) -> usize {
        let mut done = 0;
        loop {
            let rest = &bytes[done..];
            match self.core.scan(id, rest) {
                Ok(scan) if scan.whole > 0 => {
                    let input = Bytes::copy_from_slice(&rest[..scan.whole]);
                    let taken = self.core.receive(self.now, id, &input);
                    done += taken;
                    if taken < scan.whole {
                        return done;
                    }
                }
                Ok(_) => return done,
                Err(error) => {
                    self.core.broken(self.now, id, error);
                    return bytes.len();
                }
            }
        }
    }

    /// Everything that waits for a connection.
    fn written(&mut self, id: u64) -> Vec<u8> {
        let mut bytes = Vec::new();
        loop {
            let mut out = Output::default();
            self.core.take_output(self.now, id, &mut out);
            if out.is_empty() {
                return bytes;
            }
            for slice in out.slices() {
                bytes.extend_from_slice(&slice);
            }
        }
    }
}

fn hello(codec: Codec) -> Vec<u8> {
    let codec = match codec {
        Codec::Postcard => "postcard",
        Codec::Json => "json",
    };
    let body = format!(
        r#"{{"magic":"ostler","proto":[1,1],"codecs":["{codec}"],"kind":"client","name":"it"}}"#
    );
    framed(FrameType::Hello, body.as_bytes())
}

fn subscribe(pattern: &str) -> Vec<u8> {
    let op = ClientOp::Subscribe {
        sub: 1,
        pattern: pattern.into(),
        reader: None,
        options: SubscribeOptions::default(),
    };
    let message = ClientControl { r#ref: 1, op };
    let body = codec::encode(Codec::Postcard, &message).expect("encodes");
    framed(FrameType::Control, &body)
}

fn emit(topic: &str, payload: &[u8]) -> Vec<u8> {
    let mut body = bytes::BytesMut::new();
    data::put_emit(&mut body, Payload::Bytes, topic, None);
    body.extend_from_slice(payload);
    framed(FrameType::Emit, &body)
}

fn framed(kind: FrameType, body: &[u8]) -> Vec<u8> {
    let mut out = bytes::BytesMut::new();
    frame::put(&mut out, kind, 0, body);
    out.to_vec()
}
