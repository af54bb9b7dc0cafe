//! Reads an encoded schema into a [`Tree`], checking every limit on the way.
//!
//! The encoding is postcard's of the schema crate's own type. Decoding *that* would recurse as deeply as the sender
//! pleases; here what is still to be read stands on an explicit stack, which the depth limit bounds, and a count is
//! believed only as far as bytes and the node limit go.

use super::bytes::{Flaw, Reader};
use super::check::{SchemaError, SchemaLimits};
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
    if encoded.len() > limits.bytes {
        return Err(SchemaError::TooLong {
            limit: limits.bytes,
        });
    }
    let mut scanner = Scanner {
        input: Reader::new(encoded),
        limits,
        spent: 0,
        stack: vec![Step::Types { left: 1, depth: 1 }],
        tree: Tree::default(),
    };
    while let Some(step) = scanner.stack.pop() {
        scanner.step(step)?;
    }
    if scanner.input.left() > 0 {
        return Err(scanner.malformed("bytes follow the schema"));
    }
    Ok(scanner.tree)
}

struct Scanner<'a> {
    input: Reader<'a>,
    limits: &'a SchemaLimits,
    /// Types and variants read or announced so far.
    spent: usize,
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
                let limit = self.length_limit()?;
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
        if depth > self.limits.depth {
            return Err(SchemaError::TooDeep {
                limit: self.limits.depth,
            });
        }
        self.spend(1)?;
        let start = self.input.position();
        let node = self.next_node();
        let below = depth + 1;
        let one = Step::Types {
            left: 1,
            depth: below,
        };
        // The encoding's own numbering of the kinds of type.
        let kind = match self.varint()? {
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
            16 => Kind::String {
                max: self.length_limit()?,
            },
            17 => Kind::Bytes {
                max: self.length_limit()?,
            },
            18 => return self.open(start, Kind::Option, [one]),
            19 => Kind::Unit,
            20 => {
                return self.open(start, Kind::Seq { max: None }, [Step::Limit { node }, one]);
            }
            21 => {
                let len = self.count()?;
                let types = Step::Types {
                    left: len,
                    depth: below,
                };
                return self.open(start, Kind::Tuple { len }, [types]);
            }
            22 => {
                let two = Step::Types {
                    left: 2,
                    depth: below,
                };
                return self.open(start, Kind::Map { max: None }, [Step::Limit { node }, two]);
            }
            23 => return self.read_struct(start, below),
            24 => return self.read_enum(start, below),
            25 => return Err(SchemaError::SchemaOfSchemas),
            _ => return Err(self.malformed("there is no such kind of type")),
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
        let len = self.count()?;
        self.spend(len as usize)?;
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
        Ok(match self.varint()? {
            0 => (Shape::Unit, None),
            1 => (Shape::Newtype(first), Some(Step::Types { left: 1, depth })),
            2 => {
                let len = self.count()?;
                let types = Step::Types { left: len, depth };
                (Shape::Tuple { first, len }, Some(types))
            }
            3 => {
                let len = self.count()?;
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
            _ => return Err(self.malformed("there is no such kind of struct")),
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
            // All that a struct's descendants include is its own: an enum below it has a size, its variants don't count.
            Kind::Struct { shape, .. } => match shape {
                Shape::Unit => true,
                Shape::Newtype(_) | Shape::Tuple { .. } | Shape::Struct(_) => {
                    self.all_zero_sized(id + 1, end)
                }
            },
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
        let len = self.varint()?;
        let bytes = self.input.take(len).map_err(|flaw| self.flawed(flaw))?;
        let text = std::str::from_utf8(bytes).map_err(|_| self.flawed(Flaw::Utf8))?;
        let quoted = serde_json::to_string(text).map_err(|_| self.flawed(Flaw::Utf8))?;
        self.tree.names.push(Name {
            text: text.into(),
            quoted: quoted.into(),
        });
        Ok((self.tree.names.len() - 1) as u32)
    }

    /// How many types, fields or variants follow. Each takes a byte at least and is itself a node.
    fn count(&mut self) -> Result<u32, SchemaError> {
        let count = self.varint()?;
        if count > self.input.left() as u64 {
            return Err(self.flawed(Flaw::Ended));
        }
        if count > (self.limits.nodes - self.spent) as u64 {
            return Err(self.too_many());
        }
        u32::try_from(count).map_err(|_| self.too_many())
    }

    fn length_limit(&mut self) -> Result<Option<u64>, SchemaError> {
        if self.input.some().map_err(|flaw| self.flawed(flaw))? {
            self.varint().map(Some)
        } else {
            Ok(None)
        }
    }

    /// A varint in its shortest form: a schema has one encoding, so that equal types have equal bytes.
    fn varint(&mut self) -> Result<u64, SchemaError> {
        let start = self.input.position();
        let value = self.input.varint(64).map_err(|flaw| self.flawed(flaw))?;
        let shortest = 1 + value.checked_ilog2().unwrap_or(0) as usize / 7;
        if self.input.position() - start != shortest {
            return Err(self.malformed("a number is not in its shortest form"));
        }
        Ok(value)
    }

    fn spend(&mut self, nodes: usize) -> Result<(), SchemaError> {
        self.spent += nodes;
        if self.spent > self.limits.nodes {
            return Err(self.too_many());
        }
        Ok(())
    }

    const fn too_many(&self) -> SchemaError {
        SchemaError::TooManyNodes {
            limit: self.limits.nodes,
        }
    }

    const fn flawed(&self, flaw: Flaw) -> SchemaError {
        self.malformed(flaw.text())
    }

    const fn malformed(&self, what: &'static str) -> SchemaError {
        SchemaError::Malformed {
            at: self.input.position(),
            what,
        }
    }
}
