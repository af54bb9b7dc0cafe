//! Sixteen bytes that name a type.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::Schema;

/// Names a type where its whole schema would be too long: the first 16 bytes of BLAKE3 over the canonical schema.
///
/// Not the schema crate's own 64-bit key, which two different types easily share. Where a mistake would be dangerous,
/// the hub compares whole schemas all the same.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, Schema)]
pub struct TypeKey([u8; 16]);

impl TypeKey {
    /// The key of a schema given in its canonical encoding.
    pub(super) fn of_encoded(schema: &[u8]) -> Self {
        let mut key = [0; 16];
        key.copy_from_slice(&blake3::hash(schema).as_bytes()[..16]);
        Self(key)
    }

    /// The key whose bytes are these, as read from the wire.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// Its bytes, as they go on the wire.
    #[must_use]
    pub const fn to_bytes(self) -> [u8; 16] {
        self.0
    }
}

impl fmt::Display for TypeKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for TypeKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TypeKey({self})")
    }
}
