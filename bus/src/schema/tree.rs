//! A schema as one flat table: no boxes to recurse through, and every lookup a walker needs made ready once.
//!
//! Nodes lie in pre-order: a node's first child is the next node, and a child's `end` is where its next sibling begins.

use std::ops::Range;

/// A node's place in the table.
pub(super) type NodeId = u32;

/// A run of fields or variants in their tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Block {
    pub(super) first: u32,
    pub(super) len: u32,
}

impl Block {
    pub(super) const fn range(self) -> Range<usize> {
        self.first as usize..(self.first + self.len) as usize
    }
}

/// What a node is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Bool,
    I8,
    U8,
    I16,
    I32,
    I64,
    I128,
    U16,
    U32,
    U64,
    U128,
    Usize,
    Isize,
    F32,
    F64,
    Char,
    String { max: Option<u64> },
    Bytes { max: Option<u64> },
    Option,
    Unit,
    Seq { max: Option<u64> },
    Tuple { len: u32 },
    Map { max: Option<u64> },
    Struct { name: u32, shape: Shape },
    Enum { name: u32, variants: Block },
}

/// What a struct or a variant holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    Unit,
    Newtype(NodeId),
    Tuple { first: NodeId, len: u32 },
    Struct(Block),
}

/// One type within a schema.
#[derive(Clone, Copy, Debug)]
pub(super) struct Node {
    pub(super) kind: Kind,
    /// One past its last descendant.
    pub(super) end: NodeId,
    /// Its own encoding within the schema's: equal bytes, equal types.
    pub(super) encoded: (u32, u32),
    /// Whether its values take no bytes at all.
    pub(super) zero_sized: bool,
}

/// A name, and the same as a JSON string.
#[derive(Debug)]
pub(super) struct Name {
    pub(super) text: Box<str>,
    pub(super) quoted: Box<str>,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Field {
    pub(super) name: u32,
    pub(super) node: NodeId,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Variant {
    pub(super) name: u32,
    pub(super) shape: Shape,
}

/// A whole schema. The root is node 0.
#[derive(Debug, Default)]
pub(super) struct Tree {
    pub(super) nodes: Vec<Node>,
    pub(super) names: Vec<Name>,
    pub(super) fields: Vec<Field>,
    pub(super) variants: Vec<Variant>,
    /// For each block of fields, positions within the block ordered by name.
    pub(super) fields_by_name: Vec<u32>,
    /// The same for variants.
    pub(super) variants_by_name: Vec<u32>,
}

impl Tree {
    pub(super) fn node(&self, id: NodeId) -> &Node {
        &self.nodes[id as usize]
    }

    pub(super) fn kind(&self, id: NodeId) -> Kind {
        self.node(id).kind
    }

    /// The node after `id` and all its descendants: its next sibling, if it has one.
    pub(super) fn after(&self, id: NodeId) -> NodeId {
        self.node(id).end
    }

    pub(super) fn name(&self, id: u32) -> &Name {
        &self.names[id as usize]
    }

    pub(super) fn fields(&self, block: Block) -> &[Field] {
        &self.fields[block.range()]
    }

    pub(super) fn variants(&self, block: Block) -> &[Variant] {
        &self.variants[block.range()]
    }

    /// The position of the field called `name` within its block.
    pub(super) fn field_named(&self, block: Block, name: &str) -> Option<u32> {
        let fields = self.fields(block);
        let order = &self.fields_by_name[block.range()];
        find(order, name, |position| {
            &self.name(fields[position as usize].name).text
        })
    }

    /// The position of the variant called `name` within its block.
    pub(super) fn variant_named(&self, block: Block, name: &str) -> Option<u32> {
        let variants = self.variants(block);
        let order = &self.variants_by_name[block.range()];
        find(order, name, |position| {
            &self.name(variants[position as usize].name).text
        })
    }
}

fn find<'a>(order: &[u32], name: &str, text: impl Fn(u32) -> &'a str) -> Option<u32> {
    let at = order.partition_point(|&position| text(position) < name);
    order.get(at).copied().filter(|&found| text(found) == name)
}
