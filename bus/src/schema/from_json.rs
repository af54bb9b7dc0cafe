//! JSON to bytes, by schema.
//!
//! `serde_json` parses, and is asked for exactly the types the schema names: so what fits, and what is said of what
//! doesn't, is what a Rust program with the type at hand would get. Nothing is built in between; each value is encoded as
//! it is parsed.

use std::ops::Range;

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, Error};

use super::budget::Budget;
use super::error::{ConvertError, Failure, Segment};
use super::json_object::{Object, Tuple};
use super::json_shapes::{ByteArray, Choice, Entries, Maybe, Sequence, Text};
use super::keys::key_text;
use super::output::Output;
use super::owned::TypeSchema;
use super::scalar::Scalar;
use super::text::{PHRASE, spell};
use super::tree::{Kind, NodeId, Shape, Tree};
use super::walk::Full;

/// Encodes JSON as the postcard bytes of a value of this type.
///
/// As `serde` derives it: a missing `Option` is `None`, unknown fields are ignored, a field given twice is an error, a
/// number must be in its type's range. Also an error: elements without a size, a number too large for an `f32`, a missing
/// field that the type's author gave a `#[serde(default)]` (a schema can't carry it), and `null` for a number, though that
/// is how a NaN is shown.
///
/// ```
/// use ostler_bus::schema::{Budget, TypeSchema, from_json};
///
/// let schema = TypeSchema::of::<Vec<(u8, Option<char>)>>();
/// let budget = Budget::default();
/// assert_eq!(from_json(&schema, r#"[[7, null], [8, "x"]]"#, &budget).unwrap(), [2, 7, 0, 8, 1, 1, b'x']);
///
/// let misfit = from_json(&schema, "[[7, null], [800, null]]", &budget).unwrap_err();
/// assert_eq!(misfit.path, "$[1][0]");
/// ```
///
/// # Errors
/// If it isn't JSON, doesn't fit (the error names the path of the first misfit), or exceeds the budget.
pub fn from_json(
    schema: &TypeSchema,
    json: &str,
    budget: &Budget,
) -> Result<Vec<u8>, ConvertError> {
    encode(Encoder::new(schema, budget), json)
}

/// The same, but a field that the type doesn't have is an error: for commands, where a slip must not become "all".
///
/// # Errors
/// As [`from_json`].
pub fn from_json_strict(
    schema: &TypeSchema,
    json: &str,
    budget: &Budget,
) -> Result<Vec<u8>, ConvertError> {
    let mut encoder = Encoder::new(schema, budget);
    encoder.strict = true;
    encode(encoder, json)
}

fn encode(mut encoder: Encoder<'_>, json: &str) -> Result<Vec<u8>, ConvertError> {
    let mut parser = serde_json::Deserializer::from_str(json);
    let fitted = Fit::root(&mut encoder)
        .deserialize(&mut parser)
        .and_then(|()| parser.end());
    match fitted {
        Ok(()) => Ok(encoder.out.into_bytes()),
        Err(error) => Err(encoder.into_error(&error)),
    }
}

/// What encoding one value needs: shared by all levels.
pub(super) struct Encoder<'s> {
    schema: &'s TypeSchema,
    pub(super) tree: &'s Tree,
    budget: &'s Budget,
    nodes_left: usize,
    /// Unknown fields are errors.
    pub(super) strict: bool,
    pub(super) out: Output,
    /// Where the fields of the structs being read lie in `out`; a struct's own are at the end.
    pub(super) spans: Vec<Option<(usize, usize)>>,
    /// Where an error occurred, innermost first.
    trail: Vec<Segment>,
    /// The scalar type that a value didn't fit.
    unfit: Option<NodeId>,
    over_budget: bool,
}

impl<'s> Encoder<'s> {
    fn new(schema: &'s TypeSchema, budget: &'s Budget) -> Self {
        Self {
            schema,
            tree: schema.tree(),
            budget,
            nodes_left: budget.nodes,
            strict: false,
            out: Output::new(budget.output),
            spans: Vec::new(),
            trail: Vec::new(),
            unfit: None,
            over_budget: false,
        }
    }

    fn into_error(self, error: &serde_json::Error) -> ConvertError {
        let mut reason = error.to_string();
        // The parser itself doesn't always say what it was asked for.
        let expected = self.unfit.map(|id| self.spelled(id));
        if let Some(expected) = expected.filter(|expected| !reason.contains(expected)) {
            reason.push_str(&format!(" (expected {expected})"));
        }
        let failure = if self.over_budget {
            Failure::over_budget(reason)
        } else {
            Failure::misfit(reason)
        };
        self.trail
            .into_iter()
            .fold(failure, Failure::under)
            .into_error()
    }

    pub(super) fn put<E: Error>(&mut self, bytes: &[u8]) -> Result<(), E> {
        let put = self.out.put(bytes);
        self.written(put)
    }

    pub(super) fn put_varint<E: Error>(&mut self, value: u128) -> Result<(), E> {
        let put = self.out.put_varint(value);
        self.written(put)
    }

    /// Puts how many elements there are in front of them, where one byte was left for it.
    pub(super) fn put_count<E: Error>(&mut self, at: usize, count: u64) -> Result<(), E> {
        let put = self.out.put_count(at, count);
        self.written(put)
    }

    fn written<E: Error>(&mut self, put: Result<(), Full>) -> Result<(), E> {
        let limit = self.budget.output;
        put.map_err(|Full| self.exceeds(format_args!("more than {limit} bytes")))
    }

    pub(super) fn spend<E: Error>(&mut self) -> Result<(), E> {
        match self.nodes_left.checked_sub(1) {
            Some(left) => {
                self.nodes_left = left;
                Ok(())
            }
            None => Err(self.exceeds(format_args!("more than {} values", self.budget.nodes))),
        }
    }

    fn exceeds<E: Error>(&mut self, what: std::fmt::Arguments<'_>) -> E {
        self.over_budget = true;
        E::custom(what)
    }

    /// Notes on the way out where an error occurred.
    pub(super) fn under<T, E>(
        &mut self,
        result: Result<T, E>,
        segment: impl FnOnce() -> Segment,
    ) -> Result<T, E> {
        if result.is_err() {
            self.trail.push(segment());
        }
        result
    }

    /// A map key already encoded, for a path; its position where it can't be text.
    pub(super) fn key_segment(&self, id: NodeId, encoded: Range<usize>, at: usize) -> Segment {
        key_text(self.schema, id, &self.out.as_slice()[encoded])
            .map_or(Segment::Index(at), Segment::Key)
    }

    pub(super) fn spelled(&self, id: NodeId) -> String {
        spell(self.tree, self.schema.encoded(), id, PHRASE)
    }
}

/// A value to be parsed and encoded as type `id`.
pub(super) struct Fit<'e, 's> {
    pub(super) encoder: &'e mut Encoder<'s>,
    pub(super) id: NodeId,
    pub(super) depth: usize,
}

impl<'e, 's> Fit<'e, 's> {
    fn root(encoder: &'e mut Encoder<'s>) -> Self {
        Self {
            encoder,
            id: 0,
            depth: 1,
        }
    }

    /// The same for a value one level below.
    pub(super) fn below(&mut self, id: NodeId) -> Fit<'_, 's> {
        Fit {
            encoder: self.encoder,
            id,
            depth: self.depth + 1,
        }
    }

    fn scalar<'de, D: Deserializer<'de>>(self, json: D) -> Result<(), D::Error> {
        let kind = self.encoder.tree.kind(self.id);
        let value = match kind {
            Kind::Unit => return <()>::deserialize(json),
            Kind::Bool => Scalar::Bool(Deserialize::deserialize(json)?),
            Kind::U8 => Scalar::Unsigned(u8::deserialize(json)?.into()),
            Kind::U16 => Scalar::Unsigned(u16::deserialize(json)?.into()),
            Kind::U32 => Scalar::Unsigned(u32::deserialize(json)?.into()),
            Kind::U64 | Kind::Usize => Scalar::Unsigned(u64::deserialize(json)?.into()),
            Kind::U128 => Scalar::Unsigned(Deserialize::deserialize(json)?),
            Kind::I8 => Scalar::Signed(i8::deserialize(json)?.into()),
            Kind::I16 => Scalar::Signed(i16::deserialize(json)?.into()),
            Kind::I32 => Scalar::Signed(i32::deserialize(json)?.into()),
            Kind::I64 | Kind::Isize => Scalar::Signed(i64::deserialize(json)?.into()),
            Kind::I128 => Scalar::Signed(Deserialize::deserialize(json)?),
            Kind::F32 => Scalar::F32(Deserialize::deserialize(json)?),
            Kind::F64 => Scalar::F64(Deserialize::deserialize(json)?),
            Kind::Char => Scalar::Char(Deserialize::deserialize(json)?),
            Kind::String { .. }
            | Kind::Bytes { .. }
            | Kind::Option
            | Kind::Seq { .. }
            | Kind::Tuple { .. }
            | Kind::Map { .. }
            | Kind::Struct { .. }
            | Kind::Enum { .. } => return Err(D::Error::custom("not a scalar")),
        };
        // Only an `f32` can come out of its range unnoticed.
        let kind = kind.scalar().filter(|_| value.is_finite());
        let kind = kind.ok_or_else(|| D::Error::custom("number out of range for f32"))?;
        let put = value.write(kind, &mut self.encoder.out);
        self.encoder.written(put)
    }
}

impl<'de> DeserializeSeed<'de> for Fit<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(mut self, json: D) -> Result<(), D::Error> {
        if self.depth > self.encoder.budget.depth {
            let depth = self.encoder.budget.depth;
            return Err(self
                .encoder
                .exceeds(format_args!("nested more than {depth} levels")));
        }
        self.encoder.spend()?;
        let id = self.id;
        match self.encoder.tree.kind(id) {
            Kind::String { max } => json.deserialize_str(Text { fit: self, max }),
            Kind::Bytes { max } => json.deserialize_seq(ByteArray { fit: self, max }),
            Kind::Option => json.deserialize_option(Maybe { fit: self }),
            Kind::Seq { max } => json.deserialize_seq(Sequence { fit: self, max }),
            Kind::Map { max } => json.deserialize_map(Entries { fit: self, max }),
            Kind::Tuple { len } => {
                json.deserialize_tuple(len as usize, Tuple::new(self, id + 1, len))
            }
            Kind::Struct { shape, .. } => match shape {
                Shape::Unit => <()>::deserialize(json),
                Shape::Newtype(inner) => self.below(inner).deserialize(json),
                Shape::Tuple { first, len } => {
                    json.deserialize_tuple(len as usize, Tuple::new(self, first, len))
                }
                Shape::Struct(fields) => {
                    json.deserialize_struct("", &[], Object { fit: self, fields })
                }
            },
            Kind::Enum { variants, .. } => json.deserialize_enum(
                "",
                &[],
                Choice {
                    fit: self,
                    variants,
                },
            ),
            Kind::Bool
            | Kind::I8
            | Kind::U8
            | Kind::I16
            | Kind::I32
            | Kind::I64
            | Kind::I128
            | Kind::U16
            | Kind::U32
            | Kind::U64
            | Kind::U128
            | Kind::Usize
            | Kind::Isize
            | Kind::F32
            | Kind::F64
            | Kind::Char
            | Kind::Unit => {
                let fitted = self.below(id).scalar(json);
                if fitted.is_err() && !self.encoder.over_budget {
                    self.encoder.unfit = Some(id);
                }
                fitted
            }
        }
    }
}
