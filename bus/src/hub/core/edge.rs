//! Where payloads change their form: JSON or another version of a type for a typed reader, anything for a connection that
//! speaks JSON.

use std::rc::Rc;

use bytes::{Bytes, BytesMut};
use serde_json::value::RawValue;

use super::{item::Announced, plans::Plan};
use crate::{
    Budget, TypeKey, TypeSchema,
    schema::{ConvertError, from_json, from_json_strict, to_json},
    wire::{
        base64,
        data::{self, Payload, READERS_TYPE},
        flags,
        frame::{self, FrameType},
        headers,
        hello::Codec,
    },
};

/// How a payload gets to a reader.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum How {
    /// As it came.
    AsIs,
    /// As postcard of the reader's type.
    Typed(Making),
    /// As JSON, of the reader's type if there is one.
    Text(Option<Making>),
    /// Not at all, and why.
    Misfit(Rc<str>),
}

/// How a value of a reader's type is made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Making {
    /// From JSON that fits this type.
    FromJson(TypeSchema),
    /// From postcard of another type.
    Resolved(Rc<Plan>),
}

impl Making {
    fn reader(&self) -> &TypeSchema {
        match self {
            Self::FromJson(reader) => reader,
            Self::Resolved(plan) => plan.reader(),
        }
    }

    /// As the reader's codec has it.
    fn for_codec(self, codec: Codec) -> How {
        match codec {
            Codec::Postcard => How::Typed(self),
            Codec::Json => How::Text(Some(self)),
        }
    }
}

/// How a payload of this kind and type gets to a reader of that codec and type.
pub(super) fn how(
    kind: Payload,
    written: Option<&Announced>,
    codec: Codec,
    reader: Option<&TypeSchema>,
) -> How {
    let plain = match codec {
        Codec::Postcard => How::AsIs,
        Codec::Json => How::Text(None),
    };
    let Some(reader) = reader else { return plain };
    match (kind, written) {
        (Payload::Postcard(_), Some(written)) if written.schema == *reader => plain,
        (Payload::Postcard(_), Some(written)) => match written.shared.plan(reader) {
            Ok(plan) => Making::Resolved(plan).for_codec(codec),
            Err(reason) => How::Misfit(reason),
        },
        (Payload::Postcard(_), None) => How::Misfit(
            format!("it was written as an unknown type, and is read as {reader}").into(),
        ),
        (Payload::Json, _) => Making::FromJson(reader.clone()).for_codec(codec),
        (Payload::Bytes, _) => {
            How::Misfit(format!("it was written as plain bytes, and is read as {reader}").into())
        }
    }
}

/// What a payload became.
pub(super) type Converted<T> = Result<T, Rc<str>>;

/// Encodes JSON by schema.
type FromJson = fn(&TypeSchema, &str, &Budget) -> Result<Vec<u8>, ConvertError>;

/// One payload, with what was made of it so far: once per form, however many want it.
#[derive(Debug)]
pub(super) struct Forms {
    kind: Payload,
    payload: Bytes,
    written: Option<Rc<Announced>>,
    /// The most that any payload may have, in bytes.
    most: usize,
    /// By the type that was read, if any.
    texts: Vec<(Option<TypeKey>, Converted<Rc<Text>>)>,
    typed: Vec<(TypeKey, Converted<Bytes>)>,
}

/// A payload as it stands in a JSON object.
#[derive(Debug)]
pub(super) enum Text {
    Json(Box<RawValue>),
    Base64(String),
}

impl Text {
    pub(super) fn json(&self) -> Option<&RawValue> {
        match self {
            Self::Json(json) => Some(json),
            Self::Base64(_) => None,
        }
    }

    pub(super) fn base64(&self) -> Option<String> {
        match self {
            Self::Json(_) => None,
            Self::Base64(text) => Some(text.clone()),
        }
    }
}

impl Forms {
    /// `most`: what any payload may have, in bytes. Of another type it may have no more; as JSON, as many times that as a
    /// [`Budget`] allows.
    pub(super) fn new(
        kind: Payload,
        payload: Bytes,
        written: Option<Rc<Announced>>,
        most: usize,
    ) -> Self {
        Self {
            kind,
            payload,
            written,
            most,
            texts: Vec::new(),
            typed: Vec::new(),
        }
    }

    /// Whether JSON fits the type of a built-in topic. Unknown fields don't: `{"ap": "web"}` must not mean all apps.
    pub(super) fn fits(&mut self, builtin: &TypeSchema) -> Converted<()> {
        let done = self.convert(builtin, from_json_strict);
        self.typed.push((builtin.key(), done.clone()));
        done.map(drop)
    }

    /// Postcard of the reader's type.
    pub(super) fn typed(&mut self, making: &Making) -> Converted<Bytes> {
        let key = making.reader().key();
        if let Some((_, done)) = self.typed.iter().find(|(k, _)| *k == key) {
            return done.clone();
        }
        let done = match making {
            Making::FromJson(reader) => self.convert(reader, from_json),
            Making::Resolved(plan) => plan.resolve(&self.payload).map(Bytes::from),
        };
        self.typed.push((key, done.clone()));
        done
    }

    fn convert(&self, reader: &TypeSchema, from_json: FromJson) -> Converted<Bytes> {
        let budget = Budget {
            output: self.most,
            ..Budget::for_payloads(self.most)
        };
        match std::str::from_utf8(&self.payload) {
            Ok(json) => from_json(reader, json, &budget)
                .map(Bytes::from)
                .map_err(|e| format!("as {reader}: {e}").into()),
            Err(_) => Err("the JSON is not UTF-8".into()),
        }
    }

    /// What stands in a JSON object; the reader's type, if there is one, must be able to read it.
    pub(super) fn text(&mut self, making: Option<&Making>) -> Converted<Rc<Text>> {
        let typed = making.map(|making| self.typed(making)).transpose()?;
        // JSON that fits stays as it is: what doesn't belong to the type does no harm there.
        let resolved = match making {
            Some(Making::Resolved(plan)) => typed.map(|bytes| (plan.reader(), bytes)),
            Some(Making::FromJson(_)) | None => None,
        };
        let key = resolved.as_ref().map(|(reader, _)| reader.key());
        if let Some((_, done)) = self.texts.iter().find(|(k, _)| *k == key) {
            return done.clone();
        }
        let done = match resolved {
            Some((reader, bytes)) => self.show(reader, &bytes),
            None => self.make_text(),
        };
        let done = done.map(Rc::new);
        self.texts.push((key, done.clone()));
        done
    }

    fn make_text(&self) -> Converted<Text> {
        match (self.kind, &self.written) {
            (Payload::Bytes, _) => Ok(Text::Base64(base64::encode(&self.payload))),
            (Payload::Postcard(_), None) => Err("its type is unknown".into()),
            (Payload::Postcard(_), Some(written)) => self.show(&written.schema, &self.payload),
            (Payload::Json, _) => {
                let json = std::str::from_utf8(&self.payload);
                raw(json.map_err(|_| "the JSON is not UTF-8")?.to_owned())
            }
        }
    }

    /// Postcard of this type, as JSON.
    fn show(&self, schema: &TypeSchema, bytes: &[u8]) -> Converted<Text> {
        let json = to_json(schema, bytes, &Budget::for_payloads(self.most));
        raw(json.map_err(|e| match e.over_budget {
            true => format!("as JSON, of {schema}: {e}"),
            false => format!("its bytes are not {schema}: {e}"),
        })?)
    }
}

fn raw(json: String) -> Converted<Text> {
    RawValue::from_string(json)
        .map(Text::Json)
        .map_err(|e| format!("it is not JSON: {e}").into())
}

/// An EMIT frame for a reader of the type that `payload` was converted to.
pub(super) fn typed_frame(topic: &str, headers: &[u8], payload: &[u8]) -> Bytes {
    let emit = Emit {
        kind: Payload::Postcard(READERS_TYPE),
        topic,
        ack: None,
        ttl_ms: None,
        headers,
        payload,
    };
    emit.frame(0)
}

/// What an EMIT frame is made of.
pub(super) struct Emit<'a> {
    pub(super) kind: Payload,
    pub(super) topic: &'a str,
    pub(super) ack: Option<u64>,
    pub(super) ttl_ms: Option<u32>,
    /// As they travel.
    pub(super) headers: &'a [u8],
    pub(super) payload: &'a [u8],
}

impl Emit<'_> {
    /// The flags that say what is there.
    pub(super) fn flags(&self) -> u8 {
        let flag = |is_there, flag| if is_there { flag } else { 0 };
        flag(self.ack.is_some(), flags::ACK)
            | flag(self.ttl_ms.is_some(), flags::EXPIRES)
            | flag(!self.headers.is_empty(), flags::HEADERS)
    }

    /// The whole frame; `more` flags beside those of what is there.
    pub(super) fn frame(&self, more: u8) -> Bytes {
        let length = self.payload.len() + self.headers.len() + self.topic.len() + 40;
        let mut out = BytesMut::with_capacity(length);
        let at = frame::begin(&mut out, FrameType::Emit, self.flags() | more);
        data::put_emit(&mut out, self.kind, self.topic, self.ack);
        if let Some(ttl_ms) = self.ttl_ms {
            out.extend_from_slice(&ttl_ms.to_be_bytes());
        }
        if !self.headers.is_empty() {
            headers::put_block(&mut out, self.headers);
        }
        out.extend_from_slice(self.payload);
        frame::end(&mut out, at);
        out.freeze()
    }
}

/// A frame whose body is one JSON object.
pub(super) fn json_frame<T: serde::Serialize>(kind: FrameType, flags: u8, body: &T) -> Bytes {
    let body = serde_json::to_vec(body).expect("objects of the protocol have text keys");
    let mut out = BytesMut::with_capacity(body.len() + frame::HEADER_BYTES);
    frame::put(&mut out, kind, flags, &body);
    out.freeze()
}
