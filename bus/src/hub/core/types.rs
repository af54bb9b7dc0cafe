//! Types that connections announced or read: each held once however many use it, and dropped with its last user.

use std::{
    cell::RefCell,
    collections::HashMap,
    rc::{Rc, Weak},
};

use super::{
    memory::{Charge, Tally},
    plans::{Plan, Plans, Room},
};
use crate::{Limits, SchemaError, SchemaLimits, Topic, TypeKey, TypeSchema};

/// What a decoded schema takes, as a multiple of its encoding: the encoding itself and the table to walk values by.
pub(super) const DECODED: usize = 5;

/// Types may take this part of the hub's memory; unlike events they can't be dropped to make room for others.
const SHARE: usize = 4;

/// A type in use.
#[derive(Debug)]
pub(super) struct SharedType {
    pub(super) schema: TypeSchema,
    /// What becomes of its values where another type is read.
    plans: RefCell<Plans>,
    room: Room,
    _charge: Charge,
    _share: Charge,
}

impl SharedType {
    /// How its values become `reader`'s, or why they never can.
    pub(super) fn plan(&self, reader: &TypeSchema) -> Result<Rc<Plan>, Rc<str>> {
        let mut plans = self.plans.borrow_mut();
        plans.to(&self.schema, reader, &self.room)
    }
}

/// The types in use, and the fixed ones of built-in topics.
#[derive(Debug)]
pub(super) struct Types {
    builtins: HashMap<String, TypeSchema>,
    shared: HashMap<TypeKey, Weak<SharedType>>,
    room: Room,
    /// Entries at which those without users are cleared out.
    clear_at: usize,
}

impl Types {
    pub(super) fn new(builtins: &[(Topic, TypeSchema)], limits: &Limits, tally: &Tally) -> Self {
        let mut fixed = HashMap::new();
        for (topic, schema) in builtins {
            fixed
                .entry(topic.as_str().to_owned())
                .or_insert_with(|| schema.clone());
        }
        Self {
            builtins: fixed,
            shared: HashMap::new(),
            room: Room {
                tally: tally.clone(),
                held: Tally::default(),
                most: limits.memory_bytes / SHARE,
                output: limits.payload_bytes,
            },
            clear_at: 64,
        }
    }

    /// The fixed type of a built-in topic.
    pub(super) fn builtin(&self, topic: &str) -> Option<&TypeSchema> {
        self.builtins.get(topic)
    }

    /// Whether the part of the hub's memory that types may take is used up.
    pub(super) fn is_full(&self) -> bool {
        self.room.held.total() > self.room.most
    }

    /// The type with this encoding, which nobody vouches for.
    pub(super) fn take(
        &mut self,
        encoded: &[u8],
        limits: &SchemaLimits,
    ) -> Result<Rc<SharedType>, SchemaError> {
        let schema = TypeSchema::decode_within(encoded, limits).or_else(|error| {
            // The hub's own process is bound by no limit it has set for others.
            let mut builtins = self.builtins.values();
            let builtin = builtins.find(|builtin| builtin.encoded() == encoded);
            builtin.cloned().ok_or(error)
        })?;
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
            plans: RefCell::default(),
            room: self.room.clone(),
            _charge: self.room.tally.charge(encoded.len() * DECODED),
            _share: self.room.held.charge(encoded.len() * DECODED),
        });
        self.shared.insert(key, Rc::downgrade(&shared));
        Ok(shared)
    }
}
