//! Types that connections announced or read: each held once however many use it, and dropped with its last user.

use std::{
    collections::HashMap,
    rc::{Rc, Weak},
};

use super::memory::{Charge, Tally};
use crate::{SchemaError, Topic, TypeKey, TypeSchema};

/// What a decoded schema takes, as a multiple of its encoding: the encoding itself and the table to walk values by.
const DECODED: usize = 5;

/// A type in use.
#[derive(Debug)]
pub(super) struct SharedType {
    pub(super) schema: TypeSchema,
    _charge: Charge,
    _share: Charge,
}

/// The types in use, and the fixed ones of built-in topics.
#[derive(Debug)]
pub(super) struct Types {
    builtins: HashMap<String, TypeSchema>,
    shared: HashMap<TypeKey, Weak<SharedType>>,
    /// What those in use take.
    held: Tally,
    /// Entries at which those without users are cleared out.
    clear_at: usize,
}

impl Types {
    pub(super) fn new(builtins: &[(Topic, TypeSchema)]) -> Self {
        let mut fixed = HashMap::new();
        for (topic, schema) in builtins {
            fixed
                .entry(topic.as_str().to_owned())
                .or_insert_with(|| schema.clone());
        }
        Self {
            builtins: fixed,
            shared: HashMap::new(),
            held: Tally::default(),
            clear_at: 64,
        }
    }

    /// The fixed type of a built-in topic.
    pub(super) fn builtin(&self, topic: &str) -> Option<&TypeSchema> {
        self.builtins.get(topic)
    }

    /// Bytes that the types in use take, of the hub's memory.
    pub(super) fn held(&self) -> usize {
        self.held.total()
    }

    /// The type with this encoding, which nobody vouches for.
    pub(super) fn take(
        &mut self,
        encoded: &[u8],
        tally: &Tally,
    ) -> Result<Rc<SharedType>, SchemaError> {
        let schema = TypeSchema::decode(encoded)?;
        let key = schema.key();
        if let Some(shared) = self.shared.get(&key).and_then(Weak::upgrade)
            && shared.schema == schema
        {
            return Ok(shared);
        }
        if self.shared.len() >= self.clear_at {
            self.shared.retain(|_, weak| weak.strong_count() > 0);
            self.clear_at = 64.max(self.shared.len() * 2);
        }
        let shared = Rc::new(SharedType {
            schema,
            _charge: tally.charge(encoded.len() * DECODED),
            _share: self.held.charge(encoded.len() * DECODED),
        });
        self.shared.insert(key, Rc::downgrade(&shared));
        Ok(shared)
    }
}
