//! Walks postcard bytes along their schema, into a [`Sink`].
//!
//! It recurses, and may: a schema is a finite tree, and the budget's depth bounds it once more.

use serde::Serialize;

use super::budget::Budget;
use super::bytes::{Flaw, Reader};
use super::error::{Failure, Segment};
use super::owned::TypeSchema;
use super::scalar::Scalar;
use super::text::{PHRASE, spell};
use super::tree::{Block, Kind, NodeId, Shape, Tree, Variant};

/// The output a walk may write is used up.
#[derive(Debug)]
pub(super) struct Full;

/// What a walk writes to.
pub(super) trait Sink {
    /// Whether map keys must be text, as in JSON.
    const TEXT_KEYS: bool;

    /// Punctuation, or a name that is quoted already.
    fn raw(&mut self, text: &str) -> Result<(), Full>;

    /// A number, truth value or text.
    fn leaf<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Full>;
}

pub(super) type Walked<T = ()> = Result<T, Box<Failure>>;

/// One walk: its input, its output, and what it may still spend.
pub(super) struct Walk<'a, S> {
    pub(super) schema: &'a TypeSchema,
    pub(super) tree: &'a Tree,
    pub(super) input: Reader<'a>,
    pub(super) sink: S,
    budget: &'a Budget,
    nodes_left: usize,
}

impl<'a, S: Sink> Walk<'a, S> {
    pub(super) fn new(
        schema: &'a TypeSchema,
        bytes: &'a [u8],
        sink: S,
        budget: &'a Budget,
    ) -> Self {
        Self {
            schema,
            tree: schema.tree(),
            input: Reader::new(bytes),
            sink,
            budget,
            nodes_left: budget.nodes,
        }
    }

    /// Walks the whole input, which must hold one value and nothing more.
    pub(super) fn run(mut self) -> Walked<S> {
        self.value(0, 1)?;
        self.ended()?;
        Ok(self.sink)
    }

    /// Nothing may follow the value.
    pub(super) fn ended(&self) -> Walked {
        match self.input.left() {
            0 => Ok(()),
            left => Err(Failure::misfit(format!("{left} bytes follow the value"))),
        }
    }

    pub(super) fn value(&mut self, id: NodeId, depth: usize) -> Walked {
        self.charge(depth)?;
        match self.tree.kind(id) {
            Kind::Option => {
                if self.input.some().map_err(|flaw| self.flawed(id, flaw))? {
                    self.value(id + 1, depth + 1)
                } else {
                    self.raw("null")
                }
            }
            Kind::Unit => self.raw("null"),
            Kind::Seq { max } => self.sequence(id, max, depth),
            Kind::Tuple { len } => self.tuple(id + 1, len, depth),
            Kind::Map { max } => self.map(id, max, depth),
            Kind::Struct { shape, .. } => self.shape(shape, depth),
            Kind::Enum { variants, .. } => self.variant(id, variants, depth),
            Kind::Bytes { max } => self.byte_array(id, max),
            Kind::String { .. }
            | Kind::Char
            | Kind::Bool
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
            | Kind::F64 => self.scalar(id),
        }
    }

    pub(super) fn scalar(&mut self, id: NodeId) -> Walked {
        let kind = match self.tree.kind(id) {
            Kind::String { max } => return self.text(id, max),
            kind => kind.scalar(),
        };
        let Some(kind) = kind else {
            return Err(Failure::misfit(format!(
                "{} is no scalar",
                self.spelled(id)
            )));
        };
        let value = Scalar::read(kind, &mut self.input).map_err(|flaw| self.flawed(id, flaw))?;
        self.sink.leaf(&value).map_err(|full| self.full(full))
    }

    fn text(&mut self, id: NodeId, max: Option<u64>) -> Walked {
        let text = self.input.str().map_err(|flaw| self.flawed(id, flaw))?;
        self.within(id, text.len() as u64, max)?;
        self.sink.leaf(text).map_err(|full| self.full(full))
    }

    fn byte_array(&mut self, id: NodeId, max: Option<u64>) -> Walked {
        let bytes = self.input.counted().map_err(|flaw| self.flawed(id, flaw))?;
        self.within(id, bytes.len() as u64, max)?;
        self.spend(bytes.len())?;
        self.raw("[")?;
        for (at, byte) in bytes.iter().enumerate() {
            if at > 0 {
                self.raw(",")?;
            }
            self.sink.leaf(byte).map_err(|full| self.full(full))?;
        }
        self.raw("]")
    }

    fn sequence(&mut self, id: NodeId, max: Option<u64>, depth: usize) -> Walked {
        let element = id + 1;
        let count = self.count(id, max, self.tree.node(element).zero_sized)?;
        self.raw("[")?;
        for at in 0..count {
            if at > 0 {
                self.raw(",")?;
            }
            self.value(element, depth + 1)
                .map_err(|failure| failure.under(Segment::Index(at)))?;
        }
        self.raw("]")
    }

    fn tuple(&mut self, first: NodeId, len: u32, depth: usize) -> Walked {
        self.raw("[")?;
        let mut id = first;
        for at in 0..len {
            if at > 0 {
                self.raw(",")?;
            }
            self.value(id, depth + 1)
                .map_err(|failure| failure.under(Segment::Index(at as usize)))?;
            id = self.tree.after(id);
        }
        self.raw("]")
    }

    fn map(&mut self, id: NodeId, max: Option<u64>, depth: usize) -> Walked {
        let (key, value) = (id + 1, self.tree.after(id + 1));
        let zero_sized = self.tree.node(key).zero_sized && self.tree.node(value).zero_sized;
        let count = self.count(id, max, zero_sized)?;
        self.raw("{")?;
        for at in 0..count {
            if at > 0 {
                self.raw(",")?;
            }
            let key_at = self.input;
            if S::TEXT_KEYS {
                self.key(key, depth + 1)?;
            } else {
                self.value(key, depth + 1)?;
            }
            self.raw(":")?;
            self.value(value, depth + 1)
                .map_err(|failure| failure.under(self.key_segment(key, key_at, at)))?;
        }
        self.raw("}")
    }

    fn variant(&mut self, id: NodeId, variants: Block, depth: usize) -> Walked {
        let (_, Variant { name, shape }) = self.pick(id, variants)?;
        let name = self.tree.name(name);
        if shape == Shape::Unit {
            return self.raw(&name.quoted);
        }
        self.raw("{")?;
        self.raw(&name.quoted)?;
        self.raw(":")?;
        self.shape(shape, depth)
            .map_err(|failure| failure.under(Segment::Key(name.text.to_string())))?;
        self.raw("}")
    }

    /// Reads which variant it is: its position, its name and what it holds.
    pub(super) fn pick(&mut self, id: NodeId, variants: Block) -> Walked<(usize, Variant)> {
        let index = self
            .input
            .varint(32)
            .map_err(|flaw| self.flawed(id, flaw))?;
        match self.tree.variants(variants).get(index as usize) {
            Some(variant) => Ok((index as usize, *variant)),
            None => Err(Failure::misfit(format!(
                "variant number {index} of {}, which has {}",
                self.spelled(id),
                variants.len
            ))),
        }
    }

    fn shape(&mut self, shape: Shape, depth: usize) -> Walked {
        match shape {
            Shape::Unit => self.raw("null"),
            Shape::Newtype(inner) => self.value(inner, depth + 1),
            Shape::Tuple { first, len } => self.tuple(first, len, depth),
            Shape::Struct(block) => {
                self.raw("{")?;
                for (at, field) in self.tree.fields(block).iter().enumerate() {
                    let name = self.tree.name(field.name);
                    if at > 0 {
                        self.raw(",")?;
                    }
                    self.raw(&name.quoted)?;
                    self.raw(":")?;
                    self.value(field.node, depth + 1)
                        .map_err(|failure| failure.under(Segment::Key(name.text.to_string())))?;
                }
                self.raw("}")
            }
        }
    }

    /// How many elements follow. Each takes at least a byte, so more than there are bytes left can't be.
    pub(super) fn count(
        &mut self,
        id: NodeId,
        max: Option<u64>,
        zero_sized: bool,
    ) -> Walked<usize> {
        let count = self
            .input
            .varint(64)
            .map_err(|flaw| self.flawed(id, flaw))?;
        self.within(id, count, max)?;
        if count > 0 && zero_sized {
            return Err(Failure::misfit(format!(
                "{}: elements without a size are refused, since any number of them takes no bytes",
                self.spelled(id)
            )));
        }
        match usize::try_from(count) {
            Ok(count) if count <= self.input.left() => Ok(count),
            _ => Err(Failure::misfit(format!(
                "{} with {count} elements in {} bytes",
                self.spelled(id),
                self.input.left()
            ))),
        }
    }

    fn within(&self, id: NodeId, len: u64, max: Option<u64>) -> Walked {
        match max {
            Some(max) if len > max => Err(Failure::misfit(format!(
                "expected {}, found a length of {len}",
                self.spelled(id)
            ))),
            _ => Ok(()),
        }
    }

    pub(super) fn charge(&mut self, depth: usize) -> Walked {
        if depth > self.budget.depth {
            return Err(Failure::over_budget(format!(
                "nested more than {} levels",
                self.budget.depth
            )));
        }
        self.spend(1)
    }

    fn spend(&mut self, nodes: usize) -> Walked {
        match self.nodes_left.checked_sub(nodes) {
            Some(left) => {
                self.nodes_left = left;
                Ok(())
            }
            None => Err(Failure::over_budget(format!(
                "more than {} values",
                self.budget.nodes
            ))),
        }
    }

    pub(super) fn raw(&mut self, text: &str) -> Walked {
        self.sink.raw(text).map_err(|full| self.full(full))
    }

    pub(super) fn full(&self, _: Full) -> Box<Failure> {
        Failure::over_budget(format!("more than {} bytes", self.budget.output))
    }

    pub(super) fn flawed(&self, id: NodeId, flaw: Flaw) -> Box<Failure> {
        Failure::misfit(format!(
            "expected {}, but {}",
            self.spelled(id),
            flaw.text()
        ))
    }

    pub(super) fn spelled(&self, id: NodeId) -> String {
        let spelled = spell(self.tree, self.schema.encoded(), id, PHRASE);
        format!("`{spelled}`")
    }
}
