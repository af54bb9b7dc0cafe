//! The types that tests and their workers exchange over the bus: one of each thing that can stand in a type.

use std::collections::BTreeMap;

use ostler_bus::{Event, Request, Schema};
use serde::{Deserialize, Serialize};

/// What a note is about.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Schema)]
pub enum Mood {
    /// Nothing more to say.
    Calm,
    /// So many exclamation marks.
    Loud(u8),
    /// In colour.
    Coloured {
        /// Red, green, blue.
        rgb: [u8; 3],
    },
}

/// An event of the tests.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Event)]
#[event(topic = "tests.note")]
pub struct Note {
    /// Words.
    pub text: String,
    /// A large number: more than a JSON reader of doubles keeps.
    pub number: u64,
    /// Something that may be missing.
    pub mood: Option<Mood>,
    /// Something of many.
    pub tags: BTreeMap<String, i32>,
}

impl Note {
    /// A note with a text and a number.
    #[must_use]
    pub fn new(text: &str, number: u64) -> Self {
        Self {
            text: text.into(),
            number,
            mood: None,
            tags: BTreeMap::new(),
        }
    }
}

/// A question of the tests.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Request)]
#[request(topic = "tests.double", reply = Doubled)]
pub struct Double {
    /// The number to double.
    pub number: u32,
}

/// The answer to [`Double`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Schema)]
pub struct Doubled {
    /// Twice the number.
    pub number: u64,
    /// The slot of the worker that answered.
    pub slot: u32,
}

/// Something that a worker of the tests (`asker`) is to do, in words.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Request)]
#[request(topic = "tests.do", reply = String)]
pub struct Do {
    /// What.
    pub what: String,
}

/// A message that comes with a connection.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Request)]
#[request(topic = "tests.pass", reply = ())]
pub struct Pass {
    /// Any text.
    pub text: String,
}
