//! What a schema may be. A received one is measured before anything is built from it; one of this program's own types is
//! measured by the compiler, so that an event too large for the bus never builds.

use std::fmt;

use postcard_schema_ng::schema::{Data, DataModelType};

/// How large a schema may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SchemaLimits {
    /// Encoded bytes. Default: 16 KiB; an ordinary event has about 100.
    pub bytes: usize,
    /// Levels of nesting, the outermost type being the first. Default: 32.
    pub depth: usize,
    /// Types and enum variants in all; each element of an array counts. Default: 1,024.
    pub nodes: usize,
}

impl SchemaLimits {
    /// The limits every hub and client keeps to unless told otherwise.
    pub const DEFAULT: Self = Self {
        bytes: 16 * 1024,
        depth: 32,
        nodes: 1024,
    };
}

impl Default for SchemaLimits {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// Why bytes are not accepted as a schema.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SchemaError {
    /// More encoded bytes than allowed.
    TooLong {
        /// How many are allowed.
        limit: usize,
    },
    /// Nested more deeply than allowed.
    TooDeep {
        /// How many levels are allowed.
        limit: usize,
    },
    /// More types and variants than allowed.
    TooManyNodes {
        /// How many are allowed.
        limit: usize,
    },
    /// Not a schema in its canonical encoding.
    Malformed {
        /// Where, in bytes from the start.
        at: usize,
        /// What is wrong there.
        what: &'static str,
    },
    /// A type whose values are themselves schemas: such values can't be walked.
    SchemaOfSchemas,
}

impl fmt::Display for SchemaError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong { limit } => write!(f, "the schema has more than {limit} bytes"),
            Self::TooDeep { limit } => write!(f, "the schema nests more than {limit} levels"),
            Self::TooManyNodes { limit } => {
                write!(f, "the schema has more than {limit} types and variants")
            }
            Self::Malformed { at, what } => {
                write!(f, "the schema is malformed at byte {at}: {what}")
            }
            Self::SchemaOfSchemas => {
                f.write_str("the schema describes schemas, which can't travel as values")
            }
        }
    }
}

impl std::error::Error for SchemaError {}

/// Fails to compile where `ty` exceeds the default [`SchemaLimits`].
///
/// # Panics
/// When it does; called in constants only.
#[doc(hidden)]
pub const fn assert_fits(ty: &DataModelType) {
    let limits = SchemaLimits::DEFAULT;
    let size = measure(ty, 1, Size::ZERO);
    assert!(
        !size.holds_schema,
        "this type holds a schema as a value, which can't travel on the bus"
    );
    assert!(
        size.depth <= limits.depth,
        "this type nests more than 32 levels, too deep for the bus"
    );
    assert!(
        size.nodes <= limits.nodes,
        "this type consists of more than 1,024 types and variants (each element of an array counts), too many for the bus; a Vec counts once"
    );
    assert!(
        size.bytes <= limits.bytes,
        "this type's schema has more than 16 KiB, too long for the bus"
    );
}

/// The size of a schema, summed up while walking it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Size {
    pub(super) bytes: usize,
    pub(super) depth: usize,
    pub(super) nodes: usize,
    pub(super) holds_schema: bool,
}

impl Size {
    pub(super) const ZERO: Self = Self {
        bytes: 0,
        depth: 0,
        nodes: 0,
        holds_schema: false,
    };

    const fn over(&self) -> bool {
        self.depth > SchemaLimits::DEFAULT.depth || self.nodes > SchemaLimits::DEFAULT.nodes
    }

    const fn plus(mut self, bytes: usize) -> Self {
        self.bytes += bytes;
        self
    }

    const fn plus_text(self, text: &str) -> Self {
        self.plus(varint_len(text.len()) + text.len())
    }

    const fn plus_limit(self, limit: Option<usize>) -> Self {
        match limit {
            Some(limit) => self.plus(1 + varint_len(limit)),
            None => self.plus(1),
        }
    }
}

/// Adds `ty`, found at level `depth`, to `size`. Stops early once a limit is exceeded.
pub(super) const fn measure(ty: &DataModelType, depth: usize, size: Size) -> Size {
    let mut size = size.plus(1);
    size.nodes += 1;
    if depth > size.depth {
        size.depth = depth;
    }
    if size.over() {
        return size;
    }
    match ty {
        DataModelType::String { max_len } | DataModelType::ByteArray { max_len } => {
            size.plus_limit(*max_len)
        }
        DataModelType::Option(inner) => measure(inner, depth + 1, size),
        DataModelType::Seq { element, max_len } => {
            measure(element, depth + 1, size).plus_limit(*max_len)
        }
        DataModelType::Tuple(types) => measure_all(types, depth + 1, size),
        DataModelType::Map { key, val, max_len } => {
            measure(val, depth + 1, measure(key, depth + 1, size)).plus_limit(*max_len)
        }
        DataModelType::Struct { name, data } => measure_data(data, depth + 1, size.plus_text(name)),
        DataModelType::Enum { name, variants } => {
            let mut size = size.plus_text(name).plus(varint_len(variants.len()));
            let mut next = 0;
            while next < variants.len() && !size.over() {
                size.nodes += 1;
                let variant = variants[next];
                size = measure_data(&variant.data, depth + 1, size.plus_text(variant.name));
                next += 1;
            }
            size
        }
        DataModelType::Schema => {
            size.holds_schema = true;
            size
        }
        _ => size,
    }
}

const fn measure_all(types: &[&DataModelType], depth: usize, size: Size) -> Size {
    let mut size = size.plus(varint_len(types.len()));
    let mut next = 0;
    while next < types.len() && !size.over() {
        size = measure(types[next], depth, size);
        next += 1;
    }
    size
}

const fn measure_data(data: &Data, depth: usize, size: Size) -> Size {
    let size = size.plus(1);
    match data {
        Data::Unit => size,
        Data::Newtype(inner) => measure(inner, depth, size),
        Data::Tuple(types) => measure_all(types, depth, size),
        Data::Struct(fields) => {
            let mut size = size.plus(varint_len(fields.len()));
            let mut next = 0;
            while next < fields.len() && !size.over() {
                let field = fields[next];
                size = measure(field.ty, depth, size.plus_text(field.name));
                next += 1;
            }
            size
        }
    }
}

const fn varint_len(mut value: usize) -> usize {
    let mut len = 1;
    while value >= 0x80 {
        value >>= 7;
        len += 1;
    }
    len
}
