//! Reads an encoded schema into a [`Tree`], checking every limit on the way.
//!
//! The encoding is postcard's of the schema crate's own type. Decoding *that* would recurse as deeply as the sender
//! pleases; here what is still to be read stands on an explicit stack, which the depth limit bounds, and a count is
//! believed only as far as bytes and the node limit go.

use super::check::{SchemaError, SchemaLimits};
use super::scan_input::Input;
use super::tree::{Block, Field, Kind, Name, Node, NodeId, Shape, Tree, Variant};

/// What is still to be read; the last one pushed comes first.
#[derive(Clone, Copy, Debug)]
enum Step {
    /// This many more types.
    Types { left: u32, depth: usize },
    /// The length limit that follows the element of a sequence or map.
    Limit { node: NodeId },
    /// The fields of a block, from position `next`.
    Fields {
        block: Block,
        next: u32,
        depth: usize,
    },
    /// The variants of a block, from position `next`.
    Variants {
        block: Block,
        next: u32,
        depth: usize,
    },
    /// Nothing: a node is complete.
    Close { node: NodeId },
}

/// Reads all of `encoded` as one schema.
pub(super) fn scan(encoded: &[u8], limits: &SchemaLimits) -> Result<Tree, SchemaError> {
    let mut scanner = Scanner {
        input: Input::new(encoded, limits)?,
        stack: vec![Step::Types { left: 1, depth: 1 }],
        tree: Tree::default(),
    };
    while let Some(step) = scanner.stack.pop() {
        scanner.step(step)?;
    }
    if !scanner.input.at_end() {
        return Err(scanner.input.malformed("bytes follow the schema"));
    }
    Ok(scanner.tree)
}

struct Scanner<'a> {
    input: Input<'a>,
    stack: Vec<Step>,
    tree: Tree,
}

impl Scanner<'_> {
    fn step(&mut self, step: Step) -> Result<(), SchemaError> {
        match step {
            Step::Types { left: 0, .. } => Ok(()),
            Step::Types { left, depth } => {
                self.stack.push(Step::Types {
                    left: left - 1,
                    depth,
                });
                self.read_type(depth)
            }
            Step::Limit { node } => {
                let limit = self.input.length_limit()?;
                match &mut self.tree.nodes[node as usize].kind {
                    Kind::Seq { max } | Kind::Map { max } => *max = limit,
                    _ => {}
                }
                Ok(())
            }
            Step::Fields { block, next, depth } => self.read_field(block, next, depth),
            Step::Variants { block, next, depth } => self.read_variant(block, next, depth),
            Step::Close { node } => {
                self.close(node);
                Ok(())
            }
        }
    }

    fn read_type(&mut self, depth: usize) -> Result<(), SchemaError> {
        self.input.check_depth(depth)?;
        self.input.spend(1)?;
        let start = self.input.position();
        let node = self.next_node();
        let types = |left| Step::Types {
            left,
            depth: depth + 1,
        };
        let tag = self.input.varint()?;
        let kind = match tag {
            16 => Kind::String {
                max: self.input.length_limit()?,
            },
            17 => Kind::Bytes {
                max: self.input.length_limit()?,
            },
            18 => return self.open(start, Kind::Option, [types(1)]),
            20 => {
                let steps = [Step::Limit { node }, types(1)];
                return self.open(start, Kind::Seq { max: None }, steps);
            }
            21 => {
                let len = self.input.count()?;
                return self.open(start, Kind::Tuple { len }, [types(len)]);
            }
            22 => {
                let steps = [Step::Limit { node }, types(2)];
                return self.open(start, Kind::Map { max: None }, steps);
            }
            23 => return self.read_struct(start, depth + 1),
            24 => return self.read_enum(start, depth + 1),
            25 => return Err(SchemaError::SchemaOfSchemas),
            _ => leaf(tag).ok_or_else(|| self.input.malformed("there is no such kind of type"))?,
        };
        self.open(start, kind, [])
    }

    fn read_struct(&mut self, start: usize, depth: usize) -> Result<(), SchemaError> {
        let name = self.name()?;
        let (shape, step) = self.shape(self.next_node() + 1, depth)?;
        self.open(start, Kind::Struct { name, shape }, step)
    }

    fn read_enum(&mut self, start: usize, depth: usize) -> Result<(), SchemaError> {
        let name = self.name()?;
        let len = self.input.count()?;
        self.input.spend(len as usize)?;
        let block = Block {
            first: self.tree.variants.len() as u32,
            len,
        };
        let unread = Variant {
            name: 0,
            shape: Shape::Unit,
        };
        self.tree.variants.resize(block.range().end, unread);
        self.tree.variants_by_name.extend(0..len);
        let variants = Step::Variants {
            block,
            next: 0,
            depth,
        };
        self.open(
            start,
            Kind::Enum {
                name,
                variants: block,
            },
            [variants],
        )
    }

    /// What a struct or variant holds, its first type being `first`, and what is to be read for it.
    fn shape(&mut self, first: NodeId, depth: usize) -> Result<(Shape, Option<Step>), SchemaError> {
        Ok(match self.input.varint()? {
            0 => (Shape::Unit, None),
            1 => (Shape::Newtype(first), Some(Step::Types { left: 1, depth })),
            2 => {
                let len = self.input.count()?;
                let types = Step::Types { left: len, depth };
                (Shape::Tuple { first, len }, Some(types))
            }
            3 => {
                let len = self.input.count()?;
                let block = Block {
                    first: self.tree.fields.len() as u32,
                    len,
                };
                let unread = Field { name: 0, node: 0 };
                self.tree.fields.resize(block.range().end, unread);
                self.tree.fields_by_name.extend(0..len);
                let fields = Step::Fields {
                    block,
                    next: 0,
                    depth,
                };
                (Shape::Struct(block), Some(fields))
            }
            _ => return Err(self.input.malformed("there is no such kind of struct")),
        })
    }

    fn read_field(&mut self, block: Block, next: u32, depth: usize) -> Result<(), SchemaError> {
        if next == block.len {
            let (fields, names) = (&self.tree.fields[block.range()], &self.tree.names);
            self.tree.fields_by_name[block.range()]
                .sort_by_key(|&at| &names[fields[at as usize].name as usize].text);
            return Ok(());
        }
        let name = self.name()?;
        let node = self.next_node();
        self.tree.fields[(block.first + next) as usize] = Field { name, node };
        self.stack.push(Step::Fields {
            block,
            next: next + 1,
            depth,
        });
        self.stack.push(Step::Types { left: 1, depth });
        Ok(())
    }

    fn read_variant(&mut self, block: Block, next: u32, depth: usize) -> Result<(), SchemaError> {
        if next == block.len {
            let (variants, names) = (&self.tree.variants[block.range()], &self.tree.names);
            self.tree.variants_by_name[block.range()]
                .sort_by_key(|&at| &names[variants[at as usize].name as usize].text);
            return Ok(());
        }
        let name = self.name()?;
        let (shape, step) = self.shape(self.next_node(), depth)?;
        self.tree.variants[(block.first + next) as usize] = Variant { name, shape };
        self.stack.push(Step::Variants {
            block,
            next: next + 1,
            depth,
        });
        self.stack.extend(step);
        Ok(())
    }

    /// Adds a node and what is to be read before it is complete, the last step first.
    fn open(
        &mut self,
        start: usize,
        kind: Kind,
        steps: impl IntoIterator<Item = Step>,
    ) -> Result<(), SchemaError> {
        let node = self.next_node();
        self.tree.nodes.push(Node {
            kind,
            end: node + 1,
            encoded: (start as u32, start as u32),
            zero_sized: false,
        });
        self.stack.push(Step::Close { node });
        self.stack.extend(steps);
        Ok(())
    }

    fn close(&mut self, id: NodeId) {
        let end = self.next_node();
        let zero_sized = match self.tree.kind(id) {
            Kind::Unit => true,
            Kind::Tuple { .. } => self.all_zero_sized(id + 1, end),
            // A unit struct has no children at all.
            Kind::Struct { .. } => self.all_zero_sized(id + 1, end),
            _ => false,
        };
        let encoded_end = self.input.position() as u32;
        let node = &mut self.tree.nodes[id as usize];
        node.end = end;
        node.encoded.1 = encoded_end;
        node.zero_sized = zero_sized;
    }

    /// Whether the siblings from `first` up to `end` are all without a size.
    fn all_zero_sized(&self, first: NodeId, end: NodeId) -> bool {
        let mut child = first;
        while child < end {
            if !self.tree.node(child).zero_sized {
                return false;
            }
            child = self.tree.after(child);
        }
        true
    }

    fn next_node(&self) -> NodeId {
        self.tree.nodes.len() as u32
    }

    fn name(&mut self) -> Result<u32, SchemaError> {
        let text = self.input.text()?;
        // Writing text as JSON can't fail; were it ever to, the schema is what is refused.
        let quoted = serde_json::to_string(text)
            .map_err(|_| self.input.malformed("a name that can't be written"))?;
        self.tree.names.push(Name {
            text: text.into(),
            quoted: quoted.into(),
        });
        Ok((self.tree.names.len() - 1) as u32)
    }
}

/// The kinds of type that nothing follows, by the encoding's own numbering.
const fn leaf(tag: u64) -> Option<Kind> {
    Some(match tag {
        0 => Kind::Bool,
        1 => Kind::I8,
        2 => Kind::U8,
        3 => Kind::I16,
        4 => Kind::I32,
        5 => Kind::I64,
        6 => Kind::I128,
        7 => Kind::U16,
        8 => Kind::U32,
        9 => Kind::U64,
        10 => Kind::U128,
        11 => Kind::Usize,
        12 => Kind::Isize,
        13 => Kind::F32,
        14 => Kind::F64,
        15 => Kind::Char,
        19 => Kind::Unit,
        _ => return None,
    })
}
