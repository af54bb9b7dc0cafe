//! The numbers and names of an encoded schema, each checked against what is allowed before it is believed.

use super::bytes::{Flaw, Reader};
use super::check::{SchemaError, SchemaLimits};

/// An encoded schema being read, and what of the limits is used up.
pub(super) struct Input<'a> {
    reader: Reader<'a>,
    limits: &'a SchemaLimits,
    /// Types and variants read or announced so far.
    spent: usize,
}

impl<'a> Input<'a> {
    pub(super) fn new(encoded: &'a [u8], limits: &'a SchemaLimits) -> Result<Self, SchemaError> {
        if encoded.len() > limits.bytes {
            return Err(SchemaError::TooLong {
                limit: limits.bytes,
            });
        }
        Ok(Self {
            reader: Reader::new(encoded),
            limits,
            spent: 0,
        })
    }

    pub(super) const fn position(&self) -> usize {
        self.reader.position()
    }

    pub(super) const fn at_end(&self) -> bool {
        self.reader.left() == 0
    }

    pub(super) fn text(&mut self) -> Result<&'a str, SchemaError> {
        let len = self.varint()?;
        let bytes = self.reader.take(len).map_err(|flaw| self.flawed(flaw))?;
        std::str::from_utf8(bytes).map_err(|_| self.flawed(Flaw::Utf8))
    }

    /// Refuses a type that lies deeper than allowed.
    pub(super) const fn check_depth(&self, depth: usize) -> Result<(), SchemaError> {
        if depth > self.limits.depth {
            return Err(SchemaError::TooDeep {
                limit: self.limits.depth,
            });
        }
        Ok(())
    }

    /// How many types, fields or variants follow. Each takes a byte at least and is itself a node.
    pub(super) fn count(&mut self) -> Result<u32, SchemaError> {
        let count = self.varint()?;
        if count > self.reader.left() as u64 {
            return Err(self.flawed(Flaw::Ended));
        }
        if count > (self.limits.nodes - self.spent) as u64 {
            return Err(self.too_many());
        }
        u32::try_from(count).map_err(|_| self.too_many())
    }

    pub(super) fn length_limit(&mut self) -> Result<Option<u64>, SchemaError> {
        if self.reader.some().map_err(|flaw| self.flawed(flaw))? {
            self.varint().map(Some)
        } else {
            Ok(None)
        }
    }

    /// A varint in its shortest form: a schema has one encoding, so that equal types have equal bytes.
    pub(super) fn varint(&mut self) -> Result<u64, SchemaError> {
        let start = self.reader.position();
        let value = self.reader.varint(64).map_err(|flaw| self.flawed(flaw))?;
        let shortest = 1 + value.checked_ilog2().unwrap_or(0) as usize / 7;
        if self.reader.position() - start != shortest {
            return Err(self.malformed("a number is not in its shortest form"));
        }
        Ok(value)
    }

    pub(super) fn spend(&mut self, nodes: usize) -> Result<(), SchemaError> {
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

    pub(super) const fn malformed(&self, what: &'static str) -> SchemaError {
        SchemaError::Malformed {
            at: self.reader.position(),
            what,
        }
    }
}
