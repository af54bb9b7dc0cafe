//! The shapes a JSON value may have to take: text, list, map, option, enum.

use std::fmt;

use serde::de::{
    DeserializeSeed, Deserializer, EnumAccess, Error, MapAccess, SeqAccess, Unexpected,
    VariantAccess, Visitor,
};

use super::error::Segment;
use super::from_json::Fit;
use super::json_object::{Object, Tuple};
use super::text::quote;
use super::tree::{Block, Shape, Tree};

/// Room for a stranger's text within a message, in bytes.
const QUOTED: usize = 64;
/// Variants named in a message.
const NAMED: usize = 8;

/// `expecting` for a shape whose `fit` names the type.
macro_rules! expecting_its_type {
    () => {
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str(&self.fit.encoder.spelled(self.fit.id))
        }
    };
}

/// Refuses a length beyond what the type allows.
fn within<E: Error>(
    len: usize,
    max: Option<u64>,
    expected: &dyn serde::de::Expected,
) -> Result<(), E> {
    match max {
        Some(max) if len as u64 > max => Err(E::invalid_length(len, expected)),
        _ => Ok(()),
    }
}

/// A string.
pub(super) struct Text<'e, 's> {
    pub(super) fit: Fit<'e, 's>,
    pub(super) max: Option<u64>,
}

impl<'de> Visitor<'de> for Text<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.max {
            None => f.write_str("a string"),
            Some(max) => write!(f, "a string of at most {max} bytes"),
        }
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<(), E> {
        within(text.len(), self.max, &self)?;
        self.fit.encoder.put_varint(text.len() as u128)?;
        self.fit.encoder.put(text.as_bytes())
    }
}

/// Something or `null`.
pub(super) struct Maybe<'e, 's> {
    pub(super) fit: Fit<'e, 's>,
}

impl<'de> Visitor<'de> for Maybe<'_, '_> {
    type Value = ();

    expecting_its_type!();

    fn visit_none<E: Error>(self) -> Result<(), E> {
        self.fit.encoder.put(&[0])
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        self.visit_none()
    }

    fn visit_some<D: Deserializer<'de>>(mut self, json: D) -> Result<(), D::Error> {
        self.fit.encoder.put(&[1])?;
        let inner = self.fit.id + 1;
        self.fit.below(inner).deserialize(json)
    }
}

/// Any number of elements of one type.
pub(super) struct Sequence<'e, 's> {
    pub(super) fit: Fit<'e, 's>,
    pub(super) max: Option<u64>,
}

impl<'de> Visitor<'de> for Sequence<'_, '_> {
    type Value = ();

    expecting_its_type!();

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut list: A) -> Result<(), A::Error> {
        let element = self.fit.id + 1;
        let start = self.fit.encoder.out.len();
        self.fit.encoder.put(&[0])?;
        let mut count = 0;
        loop {
            let next = list.next_element_seed(self.fit.below(element));
            let next = self.fit.encoder.under(next, || Segment::Index(count))?;
            if next.is_none() {
                break;
            }
            if self.fit.encoder.tree.node(element).zero_sized {
                return Err(Error::custom("elements without a size are refused"));
            }
            count += 1;
            within(count, self.max, &self)?;
        }
        self.fit.encoder.put_count(start, count as u64)
    }
}

/// Bytes, as JSON lists them: numbers from 0 to 255.
pub(super) struct ByteArray<'e, 's> {
    pub(super) fit: Fit<'e, 's>,
    pub(super) max: Option<u64>,
}

impl<'de> Visitor<'de> for ByteArray<'_, '_> {
    type Value = ();

    expecting_its_type!();

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        let start = self.fit.encoder.out.len();
        self.fit.encoder.put(&[0])?;
        let mut count = 0;
        loop {
            let next = list.next_element::<u8>();
            let next = self.fit.encoder.under(next, || Segment::Index(count))?;
            let Some(byte) = next else { break };
            self.fit.encoder.spend()?;
            self.fit.encoder.put(&[byte])?;
            count += 1;
            within(count, self.max, &self)?;
        }
        self.fit.encoder.put_count(start, count as u64)
    }
}

/// A map. Keys given twice are kept twice, in order: whoever decodes it keeps the last, as with `serde_json`.
pub(super) struct Entries<'e, 's> {
    pub(super) fit: Fit<'e, 's>,
    pub(super) max: Option<u64>,
}

impl<'de> Visitor<'de> for Entries<'_, '_> {
    type Value = ();

    expecting_its_type!();

    fn visit_map<A: MapAccess<'de>>(mut self, mut entries: A) -> Result<(), A::Error> {
        let key = self.fit.id + 1;
        let value = self.fit.encoder.tree.after(key);
        let start = self.fit.encoder.out.len();
        self.fit.encoder.put(&[0])?;
        let mut count = 0;
        loop {
            let key_at = self.fit.encoder.out.len();
            let next = entries.next_key_seed(self.fit.below(key));
            let next = self.fit.encoder.under(next, || Segment::Index(count))?;
            if next.is_none() {
                break;
            }
            let key_end = self.fit.encoder.out.len();
            if let Err(error) = entries.next_value_seed(self.fit.below(value)) {
                let segment = self.fit.encoder.key_segment(key, key_at..key_end, count);
                return self.fit.encoder.under(Err(error), || segment);
            }
            count += 1;
            within(count, self.max, &self)?;
        }
        self.fit.encoder.put_count(start, count as u64)
    }
}

/// One of the variants of an enum, tagged from outside: `"Name"` or `{"Name": …}`.
pub(super) struct Choice<'e, 's> {
    pub(super) fit: Fit<'e, 's>,
    pub(super) variants: Block,
}

impl<'de> Visitor<'de> for Choice<'_, '_> {
    type Value = ();

    expecting_its_type!();

    fn visit_enum<A: EnumAccess<'de>>(self, json: A) -> Result<(), A::Error> {
        let Self { fit, variants } = self;
        let tree = fit.encoder.tree;
        let wanted = VariantName { tree, variants };
        let (position, content) = json.variant_seed(wanted)?;
        fit.encoder.put_varint(position.into())?;
        let variant = tree.variants(variants)[position as usize];
        let Fit { encoder, id, depth } = fit;
        let mut fit = Fit {
            encoder: &mut *encoder,
            id,
            depth,
        };
        let result = match variant.shape {
            Shape::Unit => content.unit_variant(),
            Shape::Newtype(inner) => content.newtype_variant_seed(fit.below(inner)),
            Shape::Tuple { first, len } => {
                content.tuple_variant(len as usize, Tuple::new(fit, first, len))
            }
            Shape::Struct(fields) => content.struct_variant(&[], Object { fit, fields }),
        };
        encoder.under(result, || {
            Segment::Key(tree.name(variant.name).text.to_string())
        })
    }
}

/// A variant's name, read as its position.
struct VariantName<'s> {
    tree: &'s Tree,
    variants: Block,
}

impl<'de> DeserializeSeed<'de> for VariantName<'_> {
    type Value = u32;

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<u32, D::Error> {
        json.deserialize_identifier(self)
    }
}

impl<'de> Visitor<'de> for VariantName<'_> {
    type Value = u32;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("one of ")?;
        for (at, variant) in self.tree.variants(self.variants).iter().enumerate() {
            if at == NAMED {
                return f.write_str(", …");
            }
            let separator = if at == 0 { "" } else { ", " };
            let name = quote(&self.tree.name(variant.name).text, QUOTED);
            write!(f, "{separator}{name}")?;
        }
        Ok(())
    }

    fn visit_str<E: Error>(self, name: &str) -> Result<u32, E> {
        self.tree.variant_named(self.variants, name).ok_or_else(|| {
            let found = format!("variant {}", quote(name, QUOTED));
            E::invalid_value(Unexpected::Other(&found), &self)
        })
    }
}
