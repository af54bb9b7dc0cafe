//! Spells a type as Rust would, for refusals and error messages. Names are a stranger's: escaped, and never at length.

use super::tree::{Field, Kind, NodeId, Shape, Tree};

/// Room for a whole type, in bytes.
pub(super) const WHOLE: usize = 1024;
/// Room for a type within a sentence, in bytes.
pub(super) const PHRASE: usize = 96;

/// Levels spelled out; what lies deeper is `…`.
const LEVELS: usize = 32;

/// Spells the type `id` of a schema in at most about `room` bytes, ending in `…` if it takes more.
pub(super) fn spell(tree: &Tree, encoded: &[u8], id: NodeId, room: usize) -> String {
    let mut speller = Speller {
        tree,
        encoded,
        text: String::new(),
        room,
    };
    if speller.ty(id, 1).is_err() {
        speller.text.push('…');
    }
    speller.text
}

/// Quotes a stranger's text: control characters escaped, cut after `room` bytes.
pub(super) fn quote(text: &str, room: usize) -> String {
    let mut quoted = String::from("`");
    for c in text.chars() {
        if quoted.len() >= room {
            quoted.push('…');
            break;
        }
        quoted.extend(c.escape_debug());
    }
    quoted.push('`');
    quoted
}

/// The room is used up.
struct Full;

struct Speller<'a> {
    tree: &'a Tree,
    encoded: &'a [u8],
    text: String,
    room: usize,
}

impl Speller<'_> {
    fn ty(&mut self, id: NodeId, level: usize) -> Result<(), Full> {
        if level > LEVELS {
            return Err(Full);
        }
        let first = id + 1;
        match self.tree.kind(id) {
            Kind::Bool => self.put("bool"),
            Kind::I8 => self.put("i8"),
            Kind::U8 => self.put("u8"),
            Kind::I16 => self.put("i16"),
            Kind::I32 => self.put("i32"),
            Kind::I64 => self.put("i64"),
            Kind::I128 => self.put("i128"),
            Kind::U16 => self.put("u16"),
            Kind::U32 => self.put("u32"),
            Kind::U64 => self.put("u64"),
            Kind::U128 => self.put("u128"),
            Kind::Usize => self.put("usize"),
            Kind::Isize => self.put("isize"),
            Kind::F32 => self.put("f32"),
            Kind::F64 => self.put("f64"),
            Kind::Char => self.put("char"),
            Kind::Unit => self.put("()"),
            Kind::String { max } => self.limited("String", max),
            Kind::Bytes { max } => self.limited("Bytes", max),
            Kind::Option => self.generic("Option", &[first], level),
            Kind::Seq { max } => {
                self.generic("Vec", &[first], level)?;
                self.limited("", max)
            }
            Kind::Map { max } => {
                self.generic("Map", &[first, self.tree.after(first)], level)?;
                self.limited("", max)
            }
            Kind::Tuple { len } => self.tuple(first, len, level),
            Kind::Struct { name, shape } => {
                self.name(name)?;
                self.shape(shape, level)
            }
            Kind::Enum { name, variants } => {
                self.put("enum ")?;
                self.name(name)?;
                self.put(" {")?;
                let tree = self.tree;
                for (at, variant) in tree.variants(variants).iter().enumerate() {
                    self.put(if at == 0 { " " } else { ", " })?;
                    self.name(variant.name)?;
                    self.shape(variant.shape, level)?;
                }
                self.put(" }")
            }
        }
    }

    fn shape(&mut self, shape: Shape, level: usize) -> Result<(), Full> {
        match shape {
            Shape::Unit => Ok(()),
            Shape::Newtype(inner) => {
                self.put("(")?;
                self.ty(inner, level + 1)?;
                self.put(")")
            }
            Shape::Tuple { first, len } => {
                self.put("(")?;
                self.siblings(first, len, level)?;
                self.put(")")
            }
            Shape::Struct(block) => {
                let tree = self.tree;
                self.put(" {")?;
                for (at, &Field { name, node }) in tree.fields(block).iter().enumerate() {
                    self.put(if at == 0 { " " } else { ", " })?;
                    self.name(name)?;
                    self.put(": ")?;
                    self.ty(node, level + 1)?;
                }
                self.put(" }")
            }
        }
    }

    /// A tuple, or an array: on the wire they are one.
    fn tuple(&mut self, first: NodeId, len: u32, level: usize) -> Result<(), Full> {
        if len > 2 && self.all_equal(first, len) {
            self.put("[")?;
            self.ty(first, level + 1)?;
            return self.put(&format!("; {len}]"));
        }
        self.put("(")?;
        self.siblings(first, len, level)?;
        self.put(if len == 1 { ",)" } else { ")" })
    }

    fn all_equal(&self, first: NodeId, len: u32) -> bool {
        let encoded = |id: NodeId| {
            let (start, end) = self.tree.node(id).encoded;
            &self.encoded[start as usize..end as usize]
        };
        let mut id = first;
        (1..len).all(|_| {
            id = self.tree.after(id);
            encoded(id) == encoded(first)
        })
    }

    fn siblings(&mut self, first: NodeId, len: u32, level: usize) -> Result<(), Full> {
        let mut id = first;
        for at in 0..len {
            if at > 0 {
                self.put(", ")?;
            }
            self.ty(id, level + 1)?;
            id = self.tree.after(id);
        }
        Ok(())
    }

    fn generic(&mut self, name: &str, types: &[NodeId], level: usize) -> Result<(), Full> {
        self.put(name)?;
        self.put("<")?;
        for (at, &id) in types.iter().enumerate() {
            if at > 0 {
                self.put(", ")?;
            }
            self.ty(id, level + 1)?;
        }
        self.put(">")
    }

    fn limited(&mut self, name: &str, max: Option<u64>) -> Result<(), Full> {
        self.put(name)?;
        match max {
            Some(max) => self.put(&format!("[..={max}]")),
            None => Ok(()),
        }
    }

    fn name(&mut self, name: u32) -> Result<(), Full> {
        let tree = self.tree;
        for c in tree.name(name).text.chars() {
            if self.text.len() >= self.room {
                return Err(Full);
            }
            self.text.extend(c.escape_debug());
        }
        Ok(())
    }

    fn put(&mut self, text: &str) -> Result<(), Full> {
        if self.text.len() + text.len() > self.room {
            return Err(Full);
        }
        self.text.push_str(text);
        Ok(())
    }
}
