//! Codecs of control messages for `tokio-serde`, which ships none for postcard.

use std::{io, marker::PhantomData, pin::Pin};

use bytes::{Bytes, BytesMut};
use serde::{Serialize, de::DeserializeOwned};
use tokio_serde::{Deserializer, Serializer};

use super::hello::Codec;

/// Postcard for `tokio_serde::Framed`: `Item` is read, `SinkItem` is written.
#[derive(Clone, Copy, Debug)]
pub struct Postcard<Item, SinkItem>(PhantomData<fn(SinkItem) -> Item>);

impl<Item, SinkItem> Default for Postcard<Item, SinkItem> {
    fn default() -> Self {
        Self(PhantomData)
    }
}

impl<Item: DeserializeOwned, SinkItem> Deserializer<Item> for Postcard<Item, SinkItem> {
    type Error = io::Error;

    fn deserialize(self: Pin<&mut Self>, src: &BytesMut) -> io::Result<Item> {
        decode(Codec::Postcard, src)
    }
}

impl<Item, SinkItem: Serialize> Serializer<SinkItem> for Postcard<Item, SinkItem> {
    type Error = io::Error;

    fn serialize(self: Pin<&mut Self>, item: &SinkItem) -> io::Result<Bytes> {
        encode(Codec::Postcard, item).map(Bytes::from)
    }
}

/// The codec that HELLO and WELCOME agreed on, for `tokio_serde::Framed`: `Item` is read, `SinkItem` is written.
///
/// Both ends of a connection hold one; which of the two encodings it is, is known only once the handshake is over.
#[derive(Debug)]
pub struct ControlCodec<Item, SinkItem> {
    codec: Codec,
    items: PhantomData<fn(SinkItem) -> Item>,
}

impl<Item, SinkItem> ControlCodec<Item, SinkItem> {
    /// Speaks `codec` from here on.
    #[must_use]
    pub fn new(codec: Codec) -> Self {
        Self {
            codec,
            items: PhantomData,
        }
    }
}

impl<Item, SinkItem> Clone for ControlCodec<Item, SinkItem> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<Item, SinkItem> Copy for ControlCodec<Item, SinkItem> {}

impl<Item: DeserializeOwned, SinkItem> Deserializer<Item> for ControlCodec<Item, SinkItem> {
    type Error = io::Error;

    fn deserialize(self: Pin<&mut Self>, src: &BytesMut) -> io::Result<Item> {
        decode(self.codec, src)
    }
}

impl<Item, SinkItem: Serialize> Serializer<SinkItem> for ControlCodec<Item, SinkItem> {
    type Error = io::Error;

    fn serialize(self: Pin<&mut Self>, item: &SinkItem) -> io::Result<Bytes> {
        encode(self.codec, item).map(Bytes::from)
    }
}

/// Encodes a control message.
///
/// # Errors
/// If the value can't be represented.
pub fn encode<T: Serialize + ?Sized>(codec: Codec, value: &T) -> io::Result<Vec<u8>> {
    match codec {
        Codec::Postcard => postcard::to_stdvec(value).map_err(invalid),
        Codec::Json => serde_json::to_vec(value).map_err(invalid),
    }
}

/// Decodes a control message; bytes after it are an error.
///
/// # Errors
/// If the bytes are not one.
pub fn decode<T: DeserializeOwned>(codec: Codec, bytes: &[u8]) -> io::Result<T> {
    match codec {
        Codec::Postcard => match postcard::take_from_bytes(bytes).map_err(invalid)? {
            (value, []) => Ok(value),
            (_, rest) => Err(invalid(format!("{} bytes too many", rest.len()))),
        },
        Codec::Json => serde_json::from_slice(bytes).map_err(invalid),
    }
}

/// The reference of a message that can't be decoded, such as one of a newer release, so that its refusal can name it.
#[must_use]
pub fn reference(codec: Codec, bytes: &[u8]) -> Option<u64> {
    #[derive(serde::Deserialize)]
    struct Begin {
        r#ref: u64,
    }
    match codec {
        Codec::Postcard => Some(postcard::take_from_bytes(bytes).ok()?.0),
        Codec::Json => Some(serde_json::from_slice::<Begin>(bytes).ok()?.r#ref),
    }
}

fn invalid(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reference_of_an_unknown_message_is_read_all_the_same() {
        assert_eq!(reference(Codec::Postcard, &[0x80, 0x01, 99, 1]), Some(128));
        assert_eq!(reference(Codec::Postcard, &[0x80]), None);
        let unknown = br#"{"op":{"Dance":{}},"ref":9,"more":[]}"#;
        assert_eq!(reference(Codec::Json, unknown), Some(9));
        assert_eq!(reference(Codec::Json, br#"{"ref":-1}"#), None);
        assert_eq!(reference(Codec::Json, b"7"), None);
    }
}
