//! One version of a type to another, bytes to bytes: while two generations of a program live side by side, each reads
//! what the other writes.
//!
//! What can become of a value follows from the two types alone. So that is worked out once, as a table of [`Op`]s laid
//! along the writer's type, and then run for each value; whatever of a value keeps its bytes is walked and copied whole.
//! Nothing passes through JSON or any other form: NaNs, map keys of any type and 128-bit numbers arrive as they were.
//!
//! | | |
//! |---|---|
//! | structs, struct variants | by field name, in any order. A field that the reader doesn't know is left out; one that the writer doesn't have is `None` if it is an `Option`, else the types don't fit |
//! | enums | by variant name. A variant that the reader doesn't know, or knows with other contents, is a misfit of that *value*; if no variant at all can be read the types don't fit |
//! | tuples, arrays, tuple structs | by position, as many as there are |
//! | lists, maps | element by element. No field may be left out of a map's key: two keys could become one |
//! | `T` → `Option<T>` | `Some`. Never back |
//! | integers | to any that has all of their values: `u8` → `u64`, `i32` → `i64`, `u32` → `i64`. Never to one that hasn't |
//! | `f32` → `f64` | the same number. Never back |
//! | text, bytes, lists, maps with a length limit | a *value* that is longer than the reader's limit is a misfit |
//!
//! The names of structs and enums don't matter: postcard and JSON don't write them, and a program that keeps an old version
//! of a type beside the new one must call one of them something else. A newtype struct is what it holds, as in JSON.

mod fields;
mod op;
mod plan;
mod run;

use super::{Budget, ConvertError, TypeSchema};
use op::Op;

/// How values of a writer's type become values of a reader's.
///
/// ```
/// use ostler_bus::{Schema, TypeSchema, schema::{Budget, Resolver}};
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Schema, Serialize)]
/// struct Order { id: u32, clerk: String }
///
/// #[derive(Schema, Deserialize, Debug, PartialEq)]
/// struct NewOrder { note: Option<String>, id: u64 }
///
/// let (writer, reader) = (TypeSchema::of::<Order>(), TypeSchema::of::<NewOrder>());
/// let resolver = Resolver::between(&writer, &reader).unwrap();
/// let written = postcard::to_allocvec(&Order { id: 7, clerk: "Ada".into() }).unwrap();
/// let bytes = resolver.resolve(&written, &Budget::default()).unwrap();
/// assert_eq!(postcard::from_bytes(&bytes), Ok(NewOrder { note: None, id: 7 }));
///
/// let misfit = Resolver::between(&reader, &writer).unwrap_err();
/// assert_eq!(misfit.path, "$.clerk");
/// ```
#[derive(Debug)]
pub struct Resolver {
    writer: TypeSchema,
    reader: TypeSchema,
    op: Op,
    size: usize,
}

impl Resolver {
    /// Works out how `writer`'s values become `reader`'s.
    ///
    /// # Errors
    /// If none ever can: where the types part, and what each has there.
    pub fn between(writer: &TypeSchema, reader: &TypeSchema) -> Result<Self, ConvertError> {
        let (op, size) = plan::plan(writer, reader).map_err(|failure| failure.into_error())?;
        Ok(Self {
            writer: writer.clone(),
            reader: reader.clone(),
            op,
            size,
        })
    }

    /// Makes a value of the reader's type of one of the writer's.
    ///
    /// # Errors
    /// If the bytes are no value of the writer's type to the last one; if this value doesn't fit the reader's type (the
    /// error names the path); or if it exceeds the budget.
    pub fn resolve(&self, bytes: &[u8], budget: &Budget) -> Result<Vec<u8>, ConvertError> {
        run::run(self, bytes, budget).map_err(|failure| failure.into_error())
    }

    /// The writer's type.
    #[must_use]
    pub fn writer(&self) -> &TypeSchema {
        &self.writer
    }

    /// The reader's type.
    #[must_use]
    pub fn reader(&self) -> &TypeSchema {
        &self.reader
    }

    /// About how many bytes of memory it takes, the types themselves apart.
    #[must_use]
    pub fn size(&self) -> usize {
        self.size
    }
}

impl PartialEq for Resolver {
    /// It follows from its types.
    fn eq(&self, other: &Self) -> bool {
        self.writer == other.writer && self.reader == other.reader
    }
}

impl Eq for Resolver {}
