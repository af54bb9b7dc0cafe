//! Map keys: in JSON they are text, whatever the map's own key type.

use super::budget::Budget;
use super::bytes::Reader;
use super::error::{Failure, Segment};
use super::owned::TypeSchema;
use super::scalar::Scalar;
use super::to_json::JsonSink;
use super::tree::{Kind, NodeId, Shape, Variant};
use super::walk::{Sink, Walk, Walked};

impl<'a, S: Sink> Walk<'a, S> {
    /// A map key as JSON has it: text, or a number or truth value in quotes.
    pub(super) fn key(&mut self, id: NodeId, depth: usize) -> Walked {
        self.charge(depth)?;
        match self.tree.kind(id) {
            Kind::String { .. } | Kind::Char => self.scalar(id),
            Kind::F32 | Kind::F64 => self.float_key(id),
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
            | Kind::Isize => self.quoted_scalar(id),
            Kind::Struct {
                shape: Shape::Newtype(inner),
                ..
            } => self.key(inner, depth + 1),
            Kind::Option if self.input.some().map_err(|flaw| self.flawed(id, flaw))? => {
                self.key(id + 1, depth + 1)
            }
            Kind::Enum { variants, .. } => match self.pick(id, variants)? {
                (
                    _,
                    Variant {
                        name,
                        shape: Shape::Unit,
                    },
                ) => self.raw(&self.tree.name(name).quoted),
                _ => Err(self.no_key(id)),
            },
            Kind::Option
            | Kind::Bytes { .. }
            | Kind::Unit
            | Kind::Seq { .. }
            | Kind::Tuple { .. }
            | Kind::Map { .. }
            | Kind::Struct { .. } => Err(self.no_key(id)),
        }
    }

    fn quoted_scalar(&mut self, id: NodeId) -> Walked {
        self.raw("\"")?;
        self.scalar(id)?;
        self.raw("\"")
    }

    fn float_key(&mut self, id: NodeId) -> Walked {
        let (kind, mut ahead) = (self.tree.kind(id).scalar(), self.input);
        let value = kind.map(|kind| Scalar::read(kind, &mut ahead));
        match value.transpose().map_err(|flaw| self.flawed(id, flaw))? {
            Some(value) if value.is_finite() => self.quoted_scalar(id),
            Some(_) | None => Err(Failure::misfit(
                "a number that is not finite can't be a JSON key",
            )),
        }
    }

    fn no_key(&self, id: NodeId) -> Box<Failure> {
        Failure::misfit(format!("a JSON key must be text, not {}", self.spelled(id)))
    }

    /// The key read at `input`, for a path; its position where it can't be text.
    pub(super) fn key_segment(&self, id: NodeId, input: Reader<'a>, at: usize) -> Segment {
        key_text(self.schema, id, input.rest()).map_or(Segment::Index(at), Segment::Key)
    }
}

/// The map key at the start of `bytes`, for a path. `None` if it can't be text, or is long.
pub(super) fn key_text(schema: &TypeSchema, id: NodeId, bytes: &[u8]) -> Option<String> {
    let budget = Budget {
        output: 256,
        ..Budget::default()
    };
    let mut walk = Walk::new(schema, bytes, JsonSink::new(budget.output), &budget);
    walk.key(id, 1).ok()?;
    serde_json::from_slice(&walk.sink.into_bytes()).ok()
}
