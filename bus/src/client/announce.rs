//! Which types this connection has announced, and under which index.
//!
//! A type is announced once per connection, right before its first use; on a later connection at its beginning, under the same index. There are two ways to be announced: with its own topic,
//! so that its events need not name it; or without one, for replies and for topics chosen at run time.

use std::{
    any::TypeId,
    collections::HashMap,
    hash::{BuildHasherDefault, Hasher},
};

use super::standing::Standing;
use crate::{Event, Request, SchemaTrait, schema::TypeSchema, wire::control::Refusal};

/// A type of this program, as far as announcing it takes.
#[derive(Clone, Copy, Debug)]
pub(super) struct TypeRef {
    id: TypeId,
    /// The topic it declares; empty for a reply.
    pub(super) topic: &'static str,
    schema: fn() -> TypeSchema,
}

impl TypeRef {
    fn of<T: SchemaTrait + 'static>(topic: &'static str) -> Self {
        Self {
            id: TypeId::of::<T>(),
            topic,
            schema: TypeSchema::of::<T>,
        }
    }

    pub(super) fn event<E: Event>() -> Self {
        Self::of::<E>(E::TOPIC)
    }

    pub(super) fn request<R: Request>() -> Self {
        Self::of::<R>(R::TOPIC)
    }

    pub(super) fn reply<R: Request>() -> Self {
        Self::of::<R::Reply>("")
    }

    pub(super) fn schema(&self) -> TypeSchema {
        (self.schema)()
    }
}

/// How a type was announced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scope {
    /// With the topic it declares.
    Own,
    /// Without a topic.
    Free,
}

/// An announced type.
#[derive(Debug)]
pub(super) struct Announced {
    pub(super) index: u32,
    topic: &'static str,
    schema: fn() -> TypeSchema,
    pub(super) standing: Standing,
}

/// The announced types; at most as many as the program has types.
#[derive(Debug, Default)]
pub(super) struct Types {
    own: HashMap<TypeId, Announced, BuildHasherDefault<IdHasher>>,
    free: HashMap<TypeId, Announced, BuildHasherDefault<IdHasher>>,
    next: u32,
}

/// Which announcement a reference belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Announcement {
    id: TypeId,
    scope: Scope,
}

impl Types {
    fn table(
        &mut self,
        scope: Scope,
    ) -> &mut HashMap<TypeId, Announced, BuildHasherDefault<IdHasher>> {
        match scope {
            Scope::Own => &mut self.own,
            Scope::Free => &mut self.free,
        }
    }

    /// The announcement of `ty`, if it was made. One type that declares two topics (an event that is a request too) has
    /// its first one as its own.
    pub(super) fn get(&mut self, ty: &TypeRef, scope: Scope) -> Option<&mut Announced> {
        self.table(scope).get_mut(&ty.id)
    }

    /// Whether `ty` was announced with another topic than `ty`'s.
    pub(super) fn has_other_topic(&self, ty: &TypeRef) -> bool {
        self.own.get(&ty.id).is_some_and(|a| a.topic != ty.topic)
    }

    /// Notes that `ty` is being announced, and chooses its index.
    pub(super) fn add(&mut self, ty: &TypeRef, scope: Scope) -> (u32, Announcement) {
        let index = self.next;
        self.next += 1;
        let announced = Announced {
            index,
            topic: ty.topic,
            schema: ty.schema,
            standing: Standing::Unknown,
        };
        self.table(scope).insert(ty.id, announced);
        (index, Announcement { id: ty.id, scope })
    }

    /// Notes that the hub refuses what was announced.
    pub(super) fn refuse(
        &mut self,
        announcement: Announcement,
        refusal: Refusal,
    ) -> Option<&'static str> {
        let announced = self.table(announcement.scope).get_mut(&announcement.id)?;
        announced.standing = Standing::Refused(refusal);
        Some(announced.topic)
    }
}

/// A type to be announced anew.
#[derive(Debug)]
pub(super) struct Anew {
    pub(super) index: u32,
    /// As in the announcement: empty without a topic of its own.
    pub(super) topic: &'static str,
    pub(super) schema: TypeSchema,
    pub(super) announcement: Announcement,
}

impl Types {
    /// Every type, by its index, for a hub that knows none; what an earlier one thought of them is forgotten.
    pub(super) fn anew(&mut self) -> Vec<Anew> {
        let own = self.own.iter_mut().map(|known| (Scope::Own, known));
        let free = self.free.iter_mut().map(|known| (Scope::Free, known));
        let mut all: Vec<_> = own
            .chain(free)
            .map(|(scope, (id, known))| {
                known.standing = Standing::Unknown;
                Anew {
                    index: known.index,
                    topic: match scope {
                        Scope::Own => known.topic,
                        Scope::Free => "",
                    },
                    schema: (known.schema)(),
                    announcement: Announcement { id: *id, scope },
                }
            })
            .collect();
        all.sort_by_key(|anew| anew.index);
        all
    }

    /// The topic of what was announced.
    pub(super) fn topic(&self, announcement: Announcement) -> Option<&'static str> {
        let table = match announcement.scope {
            Scope::Own => &self.own,
            Scope::Free => &self.free,
        };
        table.get(&announcement.id).map(|a| a.topic)
    }
}

impl Announcement {
    pub(super) fn own(ty: &TypeRef) -> Self {
        Self {
            id: ty.id,
            scope: Scope::Own,
        }
    }
}

/// A `TypeId` is a good hash already.
#[derive(Default)]
struct IdHasher(u64);

impl Hasher for IdHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u64(&mut self, n: u64) {
        self.0 = self.0.rotate_left(1) ^ n;
    }
}
