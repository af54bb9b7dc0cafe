//! How values of one type become another's: worked out once for each pair of types that meet, and held as long as
//! anything goes that way.

use std::{
    collections::{HashMap, VecDeque},
    rc::{Rc, Weak},
};

use super::{
    memory::{Charge, Tally},
    types::DECODED,
};
use crate::{
    Budget, TypeKey, TypeSchema,
    schema::{ConvertError, Resolver},
};

/// Plans kept though nothing goes that way just now: between one answer and the next.
const RECENT: usize = 4;

/// Plans at which those without users are cleared out.
const CLEAR_AT: usize = 64;

/// What plans may take, and where it is counted.
#[derive(Clone, Debug)]
pub(super) struct Room {
    /// The hub's memory.
    pub(super) tally: Tally,
    /// The part of it that types take, plans included.
    pub(super) held: Tally,
    /// The most that this part may be.
    pub(super) most: usize,
    /// The most that a value may be, in bytes, once it is resolved: what any payload may be.
    pub(super) output: usize,
}

/// How values of a writer's type become a reader's.
#[derive(Debug)]
pub(super) struct Plan {
    resolver: Resolver,
    budget: Budget,
    _charge: Charge,
    _share: Charge,
}

impl Plan {
    pub(super) fn reader(&self) -> &TypeSchema {
        self.resolver.reader()
    }

    /// A value of the reader's type.
    pub(super) fn resolve(&self, payload: &[u8]) -> Result<Vec<u8>, Rc<str>> {
        let resolved = self.resolver.resolve(payload, &self.budget);
        resolved.map_err(|e| misfit(self.resolver.writer(), self.reader(), &e))
    }
}

impl PartialEq for Plan {
    fn eq(&self, other: &Self) -> bool {
        self.resolver == other.resolver
    }
}

impl Eq for Plan {}

fn misfit(writer: &TypeSchema, reader: &TypeSchema, error: &ConvertError) -> Rc<str> {
    format!("it was written as {writer}, and is read as {reader}: {error}").into()
}

/// The plans from one writer's type, by reader's.
#[derive(Debug, Default)]
pub(super) struct Plans {
    known: HashMap<TypeKey, Weak<Plan>>,
    recent: VecDeque<Rc<Plan>>,
    clear_at: usize,
}

impl Plans {
    /// How `writer`'s values become `reader`'s, or why they never can: with both types spelled out.
    pub(super) fn to(
        &mut self,
        writer: &TypeSchema,
        reader: &TypeSchema,
        room: &Room,
    ) -> Result<Rc<Plan>, Rc<str>> {
        let key = reader.key();
        if let Some(plan) = self.known.get(&key).and_then(Weak::upgrade)
            && plan.reader() == reader
        {
            return Ok(plan);
        }
        let resolver =
            Resolver::between(writer, reader).map_err(|error| misfit(writer, reader, &error))?;
        let bytes = resolver.size() + reader.encoded().len() * DECODED;
        if room.held.total() + bytes > room.most {
            return Err(format!(
                "it was written as {writer}, and is read as {reader}: the hub's memory for types is used up, and it resolves no more of them for now"
            )
            .into());
        }
        let plan = Rc::new(Plan {
            resolver,
            budget: Budget {
                output: room.output,
                ..Budget::for_payloads(room.output)
            },
            _charge: room.tally.charge(bytes),
            _share: room.held.charge(bytes),
        });
        self.keep(key, &plan);
        Ok(plan)
    }

    fn keep(&mut self, key: TypeKey, plan: &Rc<Plan>) {
        if self.recent.len() >= RECENT {
            self.recent.pop_front();
        }
        self.recent.push_back(Rc::clone(plan));
        if self.known.len() >= self.clear_at.max(CLEAR_AT) {
            self.known.retain(|_, weak| weak.strong_count() > 0);
            self.clear_at = self.known.len() * 2;
        }
        self.known.insert(key, Rc::downgrade(plan));
    }
}
