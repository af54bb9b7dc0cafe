//! Types and values nobody wrote: drawn from a seed, serialized by `postcard` and `serde_json` themselves.

use postcard_schema_ng::schema::owned::{
    OwnedData, OwnedDataModelType as Ty, OwnedNamedField, OwnedVariant,
};
use serde::ser::{
    Serialize, SerializeMap, SerializeSeq, SerializeStruct, SerializeStructVariant, SerializeTuple,
    SerializeTupleStruct, SerializeTupleVariant, Serializer,
};

/// Names as serde wants them: static. Some are awkward in JSON.
pub(super) const NAMES: [&str; 8] = [
    "a",
    "b",
    "type",
    "zwölf",
    "with \"quotes\"",
    "",
    "line\nbreak",
    "camelCase",
];

/// A small generator of numbers: the same seed, the same type and value.
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// SplitMix64.
    pub(super) fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(crate) fn below(&mut self, n: u64) -> u64 {
        self.roll() % n
    }

    /// Numbers of all magnitudes, and the extremes.
    fn bits(&mut self) -> u128 {
        let wide = (u128::from(self.roll()) << 64) | u128::from(self.roll());
        match self.below(4) {
            0 => 0,
            1 => u128::MAX,
            _ => wide >> self.below(128),
        }
    }
}

/// Draws a type of at most `depth` levels.
pub(super) fn ty(dice: &mut Dice, depth: u32) -> Ty {
    if depth == 0 || dice.below(3) == 0 {
        return leaf(dice);
    }
    let below = depth - 1;
    match dice.below(8) {
        0 => Ty::Option(Box::new(ty(dice, below))),
        1 => Ty::Seq {
            element: Box::new(ty(dice, below)),
            max_len: None,
        },
        2 => Ty::Tuple(types(dice, below)),
        3 => Ty::Map {
            key: Box::new(key(dice)),
            val: Box::new(ty(dice, below)),
            max_len: None,
        },
        4 | 5 => Ty::Struct {
            name: name(dice).into(),
            data: data(dice, below),
        },
        _ => Ty::Enum {
            name: name(dice).into(),
            variants: (0..=dice.below(3))
                .map(|at| OwnedVariant {
                    name: NAMES[at as usize].into(),
                    data: data(dice, below),
                })
                .collect(),
        },
    }
}

fn leaf(dice: &mut Dice) -> Ty {
    match dice.below(19) {
        0 => Ty::Bool,
        1 => Ty::I8,
        2 => Ty::U8,
        3 => Ty::I16,
        4 => Ty::I32,
        5 => Ty::I64,
        6 => Ty::I128,
        7 => Ty::U16,
        8 => Ty::U32,
        9 => Ty::U64,
        10 => Ty::U128,
        11 => Ty::Usize,
        12 => Ty::Isize,
        13 => Ty::F32,
        14 => Ty::F64,
        15 => Ty::Char,
        16 => Ty::ByteArray { max_len: None },
        17 => Ty::Unit,
        _ => Ty::String { max_len: None },
    }
}

fn key(dice: &mut Dice) -> Ty {
    match dice.below(3) {
        0 => Ty::String { max_len: None },
        1 => Ty::Struct {
            name: "Key".into(),
            data: OwnedData::Newtype(Box::new(key(dice))),
        },
        _ => match leaf(dice) {
            Ty::Unit | Ty::ByteArray { .. } => Ty::U64,
            other => other,
        },
    }
}

fn types(dice: &mut Dice, depth: u32) -> Box<[Ty]> {
    (0..dice.below(4)).map(|_| ty(dice, depth)).collect()
}

fn data(dice: &mut Dice, depth: u32) -> OwnedData {
    match dice.below(5) {
        0 => OwnedData::Unit,
        1 => OwnedData::Newtype(Box::new(ty(dice, depth))),
        2 => OwnedData::Tuple(types(dice, depth)),
        _ => OwnedData::Struct(
            (0..dice.below(5))
                .map(|at| OwnedNamedField {
                    name: NAMES[at as usize].into(),
                    ty: ty(dice, depth),
                })
                .collect(),
        ),
    }
}

fn name(dice: &mut Dice) -> &'static str {
    NAMES[dice.below(NAMES.len() as u64) as usize]
}

/// Whether the elements of some sequence take no bytes: such values are refused.
pub(super) fn has_zero_sized_elements(ty: &Ty) -> bool {
    let in_data = |data: &OwnedData| parts(data).iter().any(|t| has_zero_sized_elements(t));
    match ty {
        Ty::Seq { element, .. } => zero_sized(element) || has_zero_sized_elements(element),
        Ty::Map { val, .. } => has_zero_sized_elements(val),
        Ty::Option(inner) => has_zero_sized_elements(inner),
        Ty::Tuple(types) => types.iter().any(has_zero_sized_elements),
        Ty::Struct { data, .. } => in_data(data),
        Ty::Enum { variants, .. } => variants.iter().any(|v| in_data(&v.data)),
        _ => false,
    }
}

fn zero_sized(ty: &Ty) -> bool {
    ty.max_size() == Some(0) && !matches!(ty, Ty::Enum { .. })
}

fn parts(data: &OwnedData) -> Vec<&Ty> {
    match data {
        OwnedData::Unit => Vec::new(),
        OwnedData::Newtype(inner) => vec![&**inner],
        OwnedData::Tuple(types) => types.iter().collect(),
        OwnedData::Struct(fields) => fields.iter().map(|f| &f.ty).collect(),
    }
}

/// A value drawn for a type, serializable like a value of the Rust type would be.
pub(super) struct Value<'t> {
    ty: &'t Ty,
    content: Content<'t>,
}

enum Content<'t> {
    Number(u128),
    Float(f64),
    Text(String),
    None,
    /// Elements, or keys and values by turns, or the parts of a struct.
    Parts(Vec<Value<'t>>),
    Variant(u32, Vec<Value<'t>>),
}

/// What a value must be able to do.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Kept {
    /// Anything that postcard can write.
    InBytes,
    /// Only what JSON keeps: no NaN, no infinity, no `Some(null)`.
    InJson,
}

/// Draws a value of a type.
pub(super) fn value<'t>(dice: &mut Dice, ty: &'t Ty, kept: Kept) -> Value<'t> {
    let content = match ty {
        Ty::F32 | Ty::F64 => Content::Float(float(dice, ty, kept)),
        Ty::String { .. } | Ty::Char => Content::Text(text(dice)),
        Ty::ByteArray { .. } => Content::Text(text(dice)),
        Ty::Option(_) if dice.below(3) == 0 => Content::None,
        Ty::Option(inner) => {
            let inner = value(dice, inner, kept);
            let is_null = |json: serde_json::Result<String>| json.is_ok_and(|text| text == "null");
            if kept == Kept::InJson && is_null(serde_json::to_string(&inner)) {
                Content::None
            } else {
                Content::Parts(vec![inner])
            }
        }
        Ty::Seq { element, .. } => {
            let len = dice.below(4);
            Content::Parts((0..len).map(|_| value(dice, element, kept)).collect())
        }
        Ty::Map { key, val, .. } => {
            let len = dice.below(4);
            let mut pairs = Vec::new();
            for _ in 0..len {
                pairs.push(value(dice, key, Kept::InJson));
                pairs.push(value(dice, val, kept));
            }
            Content::Parts(pairs)
        }
        Ty::Tuple(types) => Content::Parts(types.iter().map(|t| value(dice, t, kept)).collect()),
        Ty::Struct { data, .. } => {
            Content::Parts(parts(data).iter().map(|t| value(dice, t, kept)).collect())
        }
        Ty::Enum { variants, .. } => {
            let index = dice.below(variants.len() as u64) as u32;
            let data = parts(&variants[index as usize].data);
            let values = data.iter().map(|t| value(dice, t, kept)).collect();
            Content::Variant(index, values)
        }
        _ => Content::Number(dice.bits()),
    };
    Value { ty, content }
}

fn float(dice: &mut Dice, ty: &Ty, kept: Kept) -> f64 {
    loop {
        let drawn = match dice.below(6) {
            0 => -0.0,
            1 => f64::from_bits(dice.roll() >> 12), // subnormal
            2 => f64::INFINITY,
            3 => f64::NAN,
            4 => f64::from(f32::from_bits(dice.roll() as u32)),
            _ => f64::from_bits(dice.roll()),
        };
        let narrow = matches!(ty, Ty::F32);
        let finite = if narrow {
            (drawn as f32).is_finite()
        } else {
            drawn.is_finite()
        };
        if finite || kept == Kept::InBytes {
            return drawn;
        }
    }
}

fn text(dice: &mut Dice) -> String {
    let len = dice.below(5) + 1;
    (0..len)
        .map(|_| match dice.below(5) {
            0 => char::from(dice.below(0x20) as u8),
            1 => ['"', '\\', '/', '\u{7f}', '\u{2028}'][dice.below(5) as usize],
            2 => char::from_u32(dice.below(0x11_0000) as u32).unwrap_or('é'),
            _ => char::from(b'a' + dice.below(26) as u8),
        })
        .collect()
}

/// One of [`NAMES`], by its text.
fn fixed(name: &str) -> &'static str {
    NAMES
        .iter()
        .find(|known| **known == name)
        .copied()
        .unwrap_or("Key")
}

impl Serialize for Value<'_> {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        match (&self.content, self.ty) {
            (Content::Number(n), ty) => number(*n, ty, s),
            (Content::Float(x), Ty::F32) => s.serialize_f32(*x as f32),
            (Content::Float(x), _) => s.serialize_f64(*x),
            (Content::Text(text), Ty::ByteArray { .. }) => s.serialize_bytes(text.as_bytes()),
            (Content::Text(text), Ty::Char) => s.serialize_char(text.chars().next().unwrap_or('x')),
            (Content::Text(text), _) => s.serialize_str(text),
            (Content::None, _) => s.serialize_none(),
            (Content::Parts(parts), ty) => compound(parts, ty, s),
            (Content::Variant(index, parts), Ty::Enum { name, variants }) => {
                variant(fixed(name), *index, &variants[*index as usize], parts, s)
            }
            (Content::Variant(..), _) => unreachable!("only enums have variants"),
        }
    }
}

fn number<S: Serializer>(n: u128, ty: &Ty, s: S) -> Result<S::Ok, S::Error> {
    match ty {
        Ty::Bool => s.serialize_bool(n & 1 == 1),
        Ty::I8 => s.serialize_i8(n as i8),
        Ty::U8 => s.serialize_u8(n as u8),
        Ty::I16 => s.serialize_i16(n as i16),
        Ty::I32 => s.serialize_i32(n as i32),
        Ty::I64 | Ty::Isize => s.serialize_i64(n as i64),
        Ty::I128 => s.serialize_i128(n as i128),
        Ty::U16 => s.serialize_u16(n as u16),
        Ty::U32 => s.serialize_u32(n as u32),
        Ty::U64 | Ty::Usize => s.serialize_u64(n as u64),
        Ty::U128 => s.serialize_u128(n),
        _ => s.serialize_unit(),
    }
}

fn compound<S: Serializer>(parts: &[Value<'_>], ty: &Ty, s: S) -> Result<S::Ok, S::Error> {
    match ty {
        Ty::Option(_) => s.serialize_some(&parts[0]),
        Ty::Seq { .. } => {
            let mut seq = s.serialize_seq(Some(parts.len()))?;
            parts
                .iter()
                .try_for_each(|part| seq.serialize_element(part))?;
            seq.end()
        }
        Ty::Map { .. } => {
            let mut map = s.serialize_map(Some(parts.len() / 2))?;
            for pair in parts.chunks(2) {
                map.serialize_entry(&pair[0], &pair[1])?;
            }
            map.end()
        }
        Ty::Struct { name, data } => structure(fixed(name), data, parts, s),
        _ => {
            let mut tuple = s.serialize_tuple(parts.len())?;
            parts
                .iter()
                .try_for_each(|part| tuple.serialize_element(part))?;
            tuple.end()
        }
    }
}

fn structure<S: Serializer>(
    name: &'static str,
    data: &OwnedData,
    parts: &[Value<'_>],
    s: S,
) -> Result<S::Ok, S::Error> {
    match data {
        OwnedData::Unit => s.serialize_unit_struct(name),
        OwnedData::Newtype(_) => s.serialize_newtype_struct(name, &parts[0]),
        OwnedData::Tuple(_) => {
            let mut tuple = s.serialize_tuple_struct(name, parts.len())?;
            parts
                .iter()
                .try_for_each(|part| tuple.serialize_field(part))?;
            tuple.end()
        }
        OwnedData::Struct(fields) => {
            let mut object = s.serialize_struct(name, parts.len())?;
            for (field, part) in fields.iter().zip(parts) {
                object.serialize_field(fixed(&field.name), part)?;
            }
            object.end()
        }
    }
}

fn variant<S: Serializer>(
    name: &'static str,
    index: u32,
    variant: &OwnedVariant,
    parts: &[Value<'_>],
    s: S,
) -> Result<S::Ok, S::Error> {
    let own = fixed(&variant.name);
    match &variant.data {
        OwnedData::Unit => s.serialize_unit_variant(name, index, own),
        OwnedData::Newtype(_) => s.serialize_newtype_variant(name, index, own, &parts[0]),
        OwnedData::Tuple(_) => {
            let mut tuple = s.serialize_tuple_variant(name, index, own, parts.len())?;
            parts
                .iter()
                .try_for_each(|part| tuple.serialize_field(part))?;
            tuple.end()
        }
        OwnedData::Struct(fields) => {
            let mut object = s.serialize_struct_variant(name, index, own, parts.len())?;
            for (field, part) in fields.iter().zip(parts) {
                object.serialize_field(fixed(&field.name), part)?;
            }
            object.end()
        }
    }
}
