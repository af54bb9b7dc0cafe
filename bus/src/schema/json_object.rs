//! Structs and tuples from JSON: a fixed number of values, each of its own type.
//!
//! JSON objects have no order and postcard has no names, so fields that come out of order are encoded as they come and
//! put into order afterwards.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::error::Segment;
use super::from_json::Fit;
use super::tree::{Block, Kind, NodeId, Tree};

/// A tuple: a JSON list of exactly so many values.
pub(super) struct Tuple<'e, 's> {
    fit: Fit<'e, 's>,
    first: NodeId,
    len: u32,
}

impl<'e, 's> Tuple<'e, 's> {
    pub(super) const fn new(fit: Fit<'e, 's>, first: NodeId, len: u32) -> Self {
        Self { fit, first, len }
    }
}

impl<'de> Visitor<'de> for Tuple<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "a list of {} for {}",
            self.len,
            self.fit.encoder.spelled(self.fit.id)
        )
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut list: A) -> Result<(), A::Error> {
        let tree = self.fit.encoder.tree;
        let mut id = self.first;
        for at in 0..self.len {
            let next = list.next_element_seed(self.fit.below(id));
            let next = self
                .fit
                .encoder
                .under(next, || Segment::Index(at as usize))?;
            if next.is_none() {
                return Err(Error::invalid_length(at as usize, &self));
            }
            id = tree.after(id);
        }
        nothing_more(&mut list, self.len as usize, &self)
    }
}

/// A struct: a JSON object with its fields in any order; or a list of them in the struct's own order, which `serde` takes too.
pub(super) struct Object<'e, 's> {
    pub(super) fit: Fit<'e, 's>,
    pub(super) fields: Block,
}

impl<'de> Visitor<'de> for Object<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.fit.encoder.spelled(self.fit.id))
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut list: A) -> Result<(), A::Error> {
        let tree = self.fit.encoder.tree;
        for (at, field) in tree.fields(self.fields).iter().enumerate() {
            let next = list.next_element_seed(self.fit.below(field.node));
            let next = self.fit.encoder.under(next, || Segment::Index(at))?;
            if next.is_none() {
                return Err(Error::invalid_length(at, &self));
            }
        }
        nothing_more(&mut list, self.fields.len as usize, &self)
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut object: A) -> Result<(), A::Error> {
        let start = self.fit.encoder.out.len();
        let base = self.fit.encoder.spans.len();
        let len = self.fields.len as usize;
        self.fit.encoder.spans.resize(base + len, None);
        let mut in_order = 0;
        let mut seen = 0;
        while let Some(position) = object.next_key_seed(self.field_name(in_order))? {
            let Some(position) = position else {
                object.next_value::<IgnoredAny>()?;
                continue;
            };
            self.read_field(position, base, &mut object)?;
            if position == in_order {
                in_order += 1;
            }
            seen += 1;
        }
        if in_order != self.fields.len || seen != self.fields.len {
            self.put_into_order(start, base)?;
        }
        self.fit.encoder.spans.truncate(base);
        Ok(())
    }
}

impl<'s> Object<'_, 's> {
    fn field_name(&self, likely: u32) -> FieldName<'s> {
        FieldName {
            tree: self.fit.encoder.tree,
            fields: self.fields,
            likely,
            strict: self.fit.encoder.strict,
        }
    }

    fn read_field<'de, A: MapAccess<'de>>(
        &mut self,
        position: u32,
        base: usize,
        object: &mut A,
    ) -> Result<(), A::Error> {
        let tree = self.fit.encoder.tree;
        let field = tree.fields(self.fields)[position as usize];
        let segment = || Segment::Key(tree.name(field.name).text.to_string());
        let slot = base + position as usize;
        if self.fit.encoder.spans[slot].is_some() {
            let twice = Err(Error::custom("the field is given twice"));
            return self.fit.encoder.under(twice, segment);
        }
        let from = self.fit.encoder.out.len();
        let read = object.next_value_seed(self.fit.below(field.node));
        self.fit.encoder.under(read, segment)?;
        self.fit.encoder.spans[slot] = Some((from, self.fit.encoder.out.len()));
        Ok(())
    }

    /// Lays the fields read since `start` in the struct's order; a missing `Option` becomes `None`.
    fn put_into_order<E: Error>(&mut self, start: usize, base: usize) -> Result<(), E> {
        let tree = self.fit.encoder.tree;
        let encoder = &mut *self.fit.encoder;
        for (at, field) in tree.fields(self.fields).iter().enumerate() {
            if encoder.spans[base + at].is_some() {
                continue;
            }
            let from = encoder.out.len();
            let put = if tree.kind(field.node) == Kind::Option {
                encoder.spend().and_then(|()| encoder.put(&[0]))
            } else {
                let expected = encoder.spelled(field.node);
                Err(E::custom(format_args!(
                    "the field is missing, expected {expected}"
                )))
            };
            encoder.under(put, || Segment::Key(tree.name(field.name).text.to_string()))?;
            encoder.spans[base + at] = Some((from, encoder.out.len()));
        }
        let pieces = encoder.spans[base..].iter().flatten();
        encoder
            .out
            .arrange(start, pieces.map(|&(from, to)| from..to));
        Ok(())
    }
}

/// A field's name, read as its position; `None` for a name the struct doesn't have.
struct FieldName<'s> {
    tree: &'s Tree,
    fields: Block,
    /// Which field comes next if the object is in the struct's order.
    likely: u32,
    /// A name the struct doesn't have is an error.
    strict: bool,
}

impl<'de> DeserializeSeed<'de> for FieldName<'_> {
    type Value = Option<u32>;

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<Option<u32>, D::Error> {
        json.deserialize_identifier(self)
    }
}

impl<'de> Visitor<'de> for FieldName<'_> {
    type Value = Option<u32>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a field name")
    }

    fn visit_str<E: Error>(self, name: &str) -> Result<Option<u32>, E> {
        let fields = self.tree.fields(self.fields);
        if let Some(field) = fields.get(self.likely as usize)
            && &*self.tree.name(field.name).text == name
        {
            return Ok(Some(self.likely));
        }
        let found = self.tree.field_named(self.fields, name);
        if found.is_none() && self.strict {
            let known: Vec<&str> = fields
                .iter()
                .map(|f| &*self.tree.name(f.name).text)
                .collect();
            let name: String = name.chars().take(64).collect();
            return Err(Error::custom(format!(
                "there is no field {name:?}, only: {}",
                known.join(", ")
            )));
        }
        Ok(found)
    }
}

/// Refuses elements beyond those that were read.
fn nothing_more<'de, A: SeqAccess<'de>>(
    list: &mut A,
    len: usize,
    expected: &dyn serde::de::Expected,
) -> Result<(), A::Error> {
    match list.next_element::<IgnoredAny>()? {
        None => Ok(()),
        Some(_) => Err(Error::invalid_length(len + 1, expected)),
    }
}
