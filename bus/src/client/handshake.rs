//! The first frame each way, before there is anything to share.

use std::io;

use bytes::BytesMut;
use serde_json::Map;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::{error::ConnectError, options::ConnectOptions};
use crate::{
    transport::{ByteStream, Transport},
    wire::{
        Frame, FrameType, codec,
        control::{CloseKind, HubControl, HubOp},
        frame,
        hello::{Codec, Hello, MAGIC, VERSIONS, Welcome},
    },
};

/// Largest first frame of a hub: a WELCOME takes some 200 bytes, a refusal a sentence.
const WELCOME_BYTES: usize = 64 << 10;

/// A connection that the hub has welcomed.
pub(super) struct Met {
    pub(super) welcome: Welcome,
    pub(super) stream: Box<dyn ByteStream>,
    /// What was received after the WELCOME.
    pub(super) received: BytesMut,
}

/// Connects, says HELLO and waits for the WELCOME, within the time that the options allow. `token` is one the hub has given.
pub(super) async fn within(
    transport: &impl Transport,
    options: &ConnectOptions,
    target: &str,
    token: Option<&str>,
) -> Result<Met, ConnectError> {
    let after = options.connect_timeout;
    let expired = |_| {
        Err(ConnectError::TimedOut {
            target: target.into(),
            after,
        })
    };
    tokio::time::timeout(after, greet(transport, options, target, token))
        .await
        .unwrap_or_else(expired)
}

async fn greet(
    transport: &impl Transport,
    options: &ConnectOptions,
    target: &str,
    token: Option<&str>,
) -> Result<Met, ConnectError> {
    let mut stream = transport
        .connect()
        .await
        .map_err(|source| unreachable_hub(target, source))?;
    let mut out = BytesMut::new();
    let hello = serde_json::to_vec(&hello(options, token)).map_err(|e| lost(target, e.into()))?;
    frame::put(&mut out, FrameType::Hello, 0, &hello);
    // A hub that refuses before it reads has closed already: its reason is still there to be read.
    let said = stream.write_all(&out).await;
    let mut received = BytesMut::new();
    loop {
        if let Some(first) =
            frame::take(&mut received, WELCOME_BYTES).map_err(|e| not_a_hub(target, &e))?
        {
            let welcome = welcome(target, &first)?;
            return Ok(Met {
                welcome,
                stream,
                received,
            });
        }
        match stream.read_buf(&mut received).await {
            Ok(0) => {
                let gone =
                    io::Error::new(io::ErrorKind::UnexpectedEof, "it hung up without a word");
                return Err(lost(target, said.err().unwrap_or(gone)));
            }
            Ok(_) => {}
            Err(source) => return Err(lost(target, source)),
        }
    }
}

fn hello(options: &ConnectOptions, token: Option<&str>) -> Hello {
    Hello {
        magic: MAGIC.into(),
        proto: VERSIONS,
        codecs: vec!["postcard".into()],
        kind: options.kind,
        name: options.name.clone(),
        instance: options.instance.clone(),
        token: token.map(Into::into).or_else(|| options.token.clone()),
        features: Vec::new(),
        ext: Map::new(),
    }
}

/// 128 random bits, as 32 hexadecimal digits.
pub(super) fn random_instance() -> String {
    let mut bits = [0_u8; 16];
    let mut filled = 0;
    while filled < bits.len() {
        match rustix::rand::getrandom(&mut bits[filled..], rustix::rand::GetRandomFlags::empty()) {
            Ok(n) => filled += n,
            Err(rustix::io::Errno::INTR) => {}
            // Without entropy the identity is all zeros from here: it names, it doesn't protect.
            Err(_) => break,
        }
    }
    format!("{:032x}", u128::from_be_bytes(bits))
}

fn welcome(target: &str, first: &Frame) -> Result<Welcome, ConnectError> {
    match FrameType::from_byte(first.kind) {
        Some(FrameType::Welcome) => {}
        Some(FrameType::Control) => return Err(refused(target, first)),
        Some(_) | None => {
            return Err(not_a_hub(
                target,
                &format!("a first frame of type {:#04x}", first.kind),
            ));
        }
    }
    let welcome: Welcome = serde_json::from_slice(&first.body)
        .map_err(|e| not_a_hub(target, &format!("a malformed WELCOME: {e}")))?;
    let [oldest, newest] = VERSIONS;
    if !(oldest..=newest).contains(&welcome.proto) || welcome.codec != Codec::Postcard {
        return Err(ConnectError::NoAgreement {
            target: target.into(),
            reason: format!(
                "it chose version {} with {:?}, this program speaks {oldest} to {newest} with Postcard: upgrade the older side",
                welcome.proto, welcome.codec
            ),
        });
    }
    Ok(welcome)
}

/// A hub that refuses says so in JSON, as nothing else was agreed on yet.
fn refused(target: &str, first: &Frame) -> ConnectError {
    let target = target.to_owned();
    match codec::decode::<HubControl>(Codec::Json, &first.body).map(|c| c.op) {
        Ok(HubOp::Closing { kind, reason }) => match kind {
            CloseKind::Denied => ConnectError::Denied { target, reason },
            CloseKind::Hello => ConnectError::NoAgreement { target, reason },
            CloseKind::Framing
            | CloseKind::Limit
            | CloseKind::Stopping
            | CloseKind::Fault
            | CloseKind::Replaced => ConnectError::Refused {
                target,
                kind,
                reason,
            },
        },
        Ok(op) => not_a_hub(&target, &format!("{op:?} before a WELCOME")),
        Err(e) => not_a_hub(&target, &format!("a malformed refusal: {e}")),
    }
}

fn not_a_hub(target: &str, what: &dyn ToString) -> ConnectError {
    ConnectError::NotAHub {
        target: target.into(),
        what: what.to_string(),
    }
}

fn lost(target: &str, source: io::Error) -> ConnectError {
    ConnectError::Io {
        target: target.into(),
        source,
    }
}

fn unreachable_hub(target: &str, source: io::Error) -> ConnectError {
    let target = target.to_owned();
    match source.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => {
            ConnectError::NotRunning { target, source }
        }
        io::ErrorKind::PermissionDenied => ConnectError::Denied {
            target,
            reason: format!(
                "{source}; run as the user the hub runs as, or ask for access to its socket"
            ),
        },
        _ => ConnectError::Io { target, source },
    }
}
