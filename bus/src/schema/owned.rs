//! A type, as a value one can hold, compare, send and convert by.

use std::any::TypeId;
use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, LazyLock, PoisonError, RwLock};

use super::check::{SchemaError, SchemaLimits, assert_fits};
use super::key::TypeKey;
use super::scan::scan;
use super::text;
use super::tree::Tree;
use crate::SchemaTrait;

/// A type that may travel on the bus: within the limits, and ready to convert by. Cheap to clone.
///
/// Two are equal if their whole schemas are, names included. `Display` spells the type as Rust would, shortened if long.
#[derive(Clone)]
pub struct TypeSchema {
    inner: Arc<Inner>,
}

struct Inner {
    encoded: Box<[u8]>,
    key: TypeKey,
    tree: Tree,
}

/// This program's own types: as many entries as it has event types.
static OWN: LazyLock<RwLock<HashMap<TypeId, TypeSchema>>> = LazyLock::new(RwLock::default);

impl TypeSchema {
    /// The schema of a type of this program. A type that exceeds the default limits does not compile.
    ///
    /// Computed once per type; asking again is a lookup.
    ///
    /// ```
    /// # use ostler_bus::TypeSchema;
    /// assert_eq!(TypeSchema::of::<[u8; 1000]>().to_string(), "[u8; 1000]");
    /// ```
    /// ```compile_fail,E0080
    /// # use ostler_bus::TypeSchema;
    /// let too_large = TypeSchema::of::<[u8; 2000]>();
    /// ```
    #[must_use]
    pub fn of<T: SchemaTrait + 'static>() -> Self {
        const { assert_fits(T::SCHEMA) };
        let id = TypeId::of::<T>();
        let known = OWN.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(schema) = known.get(&id) {
            return schema.clone();
        }
        drop(known);
        let schema = postcard::to_allocvec(T::SCHEMA)
            .map_err(|_| SchemaError::SchemaOfSchemas)
            .and_then(|encoded| Self::decode(&encoded))
            .expect("the compiler has checked this type against the same limits");
        let mut known = OWN.write().unwrap_or_else(PoisonError::into_inner);
        known.entry(id).or_insert(schema).clone()
    }

    /// A schema received from somebody, within the default limits.
    ///
    /// # Errors
    /// If it exceeds a limit, or is not a schema in its canonical encoding.
    pub fn decode(encoded: &[u8]) -> Result<Self, SchemaError> {
        Self::decode_within(encoded, &SchemaLimits::DEFAULT)
    }

    /// A schema received from somebody, within limits of one's own.
    ///
    /// # Errors
    /// If it exceeds a limit, or is not a schema in its canonical encoding.
    pub fn decode_within(encoded: &[u8], limits: &SchemaLimits) -> Result<Self, SchemaError> {
        let tree = scan(encoded, limits)?;
        Ok(Self {
            inner: Arc::new(Inner {
                encoded: encoded.into(),
                key: TypeKey::of_encoded(encoded),
                tree,
            }),
        })
    }

    /// Its one canonical encoding, as it is announced on the wire.
    #[must_use]
    pub fn encoded(&self) -> &[u8] {
        &self.inner.encoded
    }

    /// Its short name.
    #[must_use]
    pub fn key(&self) -> TypeKey {
        self.inner.key
    }

    pub(super) fn tree(&self) -> &Tree {
        &self.inner.tree
    }
}

impl PartialEq for TypeSchema {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.inner, &other.inner) || self.inner.encoded == other.inner.encoded
    }
}

impl Eq for TypeSchema {}

impl std::hash::Hash for TypeSchema {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.inner.key.hash(state);
    }
}

impl fmt::Display for TypeSchema {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&text::spell(self.tree(), self.encoded(), 0, text::WHOLE))
    }
}

impl fmt::Debug for TypeSchema {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TypeSchema({} {self})", self.inner.key)
    }
}
