//! A payload whose type this program need not know; and the decoding of one whose type it does.

use std::{fmt, sync::Arc};

use bytes::Bytes;
use serde::de::DeserializeOwned;

use super::publishers::{PublishedType, Publisher};
use crate::{Budget, SchemaTrait, TypeSchema, schema, wire::data};

/// What an event carries, as it came.
///
/// The bytes are a slice of what was received in one go, up to some 100 KiB, and keep all of it alive: copy what you
/// keep for long (`Bytes::copy_from_slice`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Payload {
    /// Postcard, and the type it is of.
    Postcard {
        /// The writer's type.
        schema: TypeSchema,
        /// The encoded value.
        bytes: Bytes,
    },
    /// JSON text. Not checked to be JSON.
    Json(Bytes),
    /// Bytes that mean nothing to the bus.
    Bytes(Bytes),
}

/// Why a payload can't be shown as JSON.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ToJsonError {
    /// It was published as plain bytes; this many.
    PlainBytes(usize),
    /// It is not what its publisher said it is.
    Malformed(String),
}

impl fmt::Display for ToJsonError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::PlainBytes(n) => write!(f, "{n} plain bytes: they have no JSON form"),
            Self::Malformed(why) => write!(f, "not what its publisher says it is: {why}"),
        }
    }
}

impl std::error::Error for ToJsonError {}

impl Payload {
    /// The payload as JSON text: typed values by their schema, JSON as it came.
    ///
    /// # Errors
    /// If it was published as plain bytes, or doesn't fit its type.
    pub fn to_json(&self) -> Result<String, ToJsonError> {
        let malformed = |why: String| ToJsonError::Malformed(why);
        match self {
            Self::Postcard { schema, bytes } => schema::to_json(schema, bytes, &Budget::default())
                .map_err(|e| malformed(e.to_string())),
            Self::Json(text) => {
                let json: &serde_json::value::RawValue =
                    serde_json::from_slice(text).map_err(|e| malformed(e.to_string()))?;
                Ok(json.get().to_owned())
            }
            Self::Bytes(bytes) => Err(ToJsonError::PlainBytes(bytes.len())),
        }
    }
}

/// A payload with all that is known of it: the publisher's type, if it has one.
#[derive(Clone, Copy, Debug)]
pub(super) struct Encoded<'a> {
    pub(super) kind: data::Payload,
    pub(super) published: Option<&'a Arc<PublishedType>>,
    /// What holds the payload, from `at` to `end`.
    pub(super) bytes: &'a Bytes,
    pub(super) at: usize,
    pub(super) end: usize,
}

impl<'a> Encoded<'a> {
    pub(super) fn new(publisher: &'a Publisher, kind: data::Payload, bytes: &'a Bytes) -> Self {
        Self {
            kind,
            published: match kind {
                data::Payload::Postcard(data::READERS_TYPE)
                | data::Payload::Json
                | data::Payload::Bytes => None,
                data::Payload::Postcard(index) => publisher.published(index),
            },
            bytes,
            at: 0,
            end: bytes.len(),
        }
    }

    fn slice(&self) -> &'a [u8] {
        &self.bytes[self.at..self.end]
    }

    /// As it came.
    pub(super) fn raw(&self) -> Result<Payload, String> {
        let bytes = || self.bytes.slice(self.at..self.end);
        match self.kind {
            data::Payload::Postcard(_) => Ok(Payload::Postcard {
                schema: self.published.ok_or_else(unannounced)?.schema()?.clone(),
                bytes: bytes(),
            }),
            data::Payload::Json => Ok(Payload::Json(bytes())),
            data::Payload::Bytes => Ok(Payload::Bytes(bytes())),
        }
    }

    /// As a value of a type.
    pub(super) fn typed<T: DeserializeOwned + SchemaTrait + 'static>(&self) -> Result<T, String> {
        match (self.kind, self.published) {
            (data::Payload::Postcard(data::READERS_TYPE), _) => {}
            (data::Payload::Postcard(_), Some(published)) => {
                let want = TypeSchema::of::<T>();
                if !published.is(&want) {
                    return Err(format!(
                        "written as {}, read as {want}",
                        published.schema()?
                    ));
                }
            }
            (data::Payload::Postcard(_), None) => return Err(unannounced()),
            (data::Payload::Json, _) => {
                return serde_json::from_slice(self.slice()).map_err(|e| e.to_string());
            }
            (data::Payload::Bytes, _) => {
                return Err(format!(
                    "published as plain bytes, read as {}",
                    TypeSchema::of::<T>()
                ));
            }
        }
        self.checked()
    }

    /// As a value of a type that is known to be the writer's.
    pub(super) fn checked<T: DeserializeOwned>(&self) -> Result<T, String> {
        match postcard::take_from_bytes(self.slice()).map_err(|e| e.to_string())? {
            (value, []) => Ok(value),
            (_, rest) => Err(format!("{} bytes too many", rest.len())),
        }
    }
}

fn unannounced() -> String {
    "of a type the hub never told of".into()
}
