//! Data bodies for connections that speak JSON: one object each, payload inline. Bytes travel as `"bytes"`, in base64.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::headers::{BadHeaders, Headers};
use crate::Origin;

/// Headers, as an object of texts.
pub type HeaderTexts = BTreeMap<String, String>;

/// Headers from an object of texts.
///
/// # Errors
/// As [`Headers::insert`].
pub fn headers(texts: &HeaderTexts) -> Result<Headers, BadHeaders> {
    let mut headers = Headers::new();
    for (name, value) in texts {
        headers.insert(name, value)?;
    }
    Ok(headers)
}

/// Headers as an object of texts.
#[must_use]
pub fn header_texts(headers: &Headers) -> HeaderTexts {
    let owned = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
    headers.iter().map(owned).collect()
}

/// EMIT, client → hub.
#[derive(Debug, Serialize, Deserialize)]
pub struct Emit<'a> {
    /// The topic.
    pub topic: String,
    /// The payload.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub payload: Option<&'a RawValue>,
    /// The payload in base64, if it is bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes: Option<String>,
    /// The reference, if an acknowledgement is wanted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub r#ref: Option<u64>,
    /// Milliseconds from its arrival at the hub until nobody wants it any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttl_ms: Option<u32>,
    /// Headers.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: HeaderTexts,
}

/// REQUEST, client → hub.
#[derive(Debug, Serialize, Deserialize)]
pub struct Request<'a> {
    /// The reference.
    pub r#ref: u64,
    /// The topic.
    pub topic: String,
    /// The payload.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub payload: Option<&'a RawValue>,
    /// Milliseconds until the asker gives up. Default 5,000.
    #[serde(default = "five_seconds")]
    pub timeout_ms: u32,
    /// Everybody who serves the topic is asked; so many answers are enough.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
    /// Headers.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: HeaderTexts,
}

/// REPLY, client → hub.
#[derive(Debug, Serialize, Deserialize)]
pub struct Reply<'a> {
    /// Which call it answers.
    pub call: u64,
    /// The payload.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub payload: Option<&'a RawValue>,
    /// For how many milliseconds the hub may give it to whoever asks the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttl_ms: Option<u32>,
    /// Headers.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: HeaderTexts,
}

/// RUN, hub → client: with JSON, one event a frame.
#[derive(Debug, Serialize, Deserialize)]
pub struct Event<'a> {
    /// For which subscription.
    pub sub: u32,
    /// Its sequence number.
    pub seq: u64,
    /// Who sent it.
    pub origin: Origin,
    /// Its topic.
    pub topic: String,
    /// The payload.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub payload: Option<&'a RawValue>,
    /// The payload in base64, if it is bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes: Option<String>,
    /// Headers.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: HeaderTexts,
}

/// CALL, hub → client.
#[derive(Debug, Serialize, Deserialize)]
pub struct Call<'a> {
    /// The hub's number for it, to be named in the REPLY.
    pub call: u64,
    /// Which subscription serves it.
    pub sub: u32,
    /// Who asks.
    pub origin: Origin,
    /// The topic.
    pub topic: String,
    /// Milliseconds the asker will still wait.
    pub timeout_ms: u32,
    /// The payload.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub payload: Option<&'a RawValue>,
    /// Headers.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: HeaderTexts,
}

/// ANSWER, hub → client.
#[derive(Debug, Serialize, Deserialize)]
pub struct Answer<'a> {
    /// The reference of the REQUEST.
    pub r#ref: u64,
    /// Who answered.
    pub origin: Origin,
    /// The payload.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub payload: Option<&'a RawValue>,
    /// Headers.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: HeaderTexts,
}

fn five_seconds() -> u32 {
    5_000
}
