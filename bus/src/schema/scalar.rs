//! Scalars between their forms: read from bytes in one place, and written in one, whatever is made of them meanwhile.

use serde::{Serialize, Serializer};

use super::bytes::{Flaw, Reader, Varint};
use super::output::Output;
use super::tree::Kind;
use super::walk::Full;

/// What kind of scalar. A number that takes the platform's width has 64 bits: that is how it travels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ScalarKind {
    Bool,
    /// Of so many bits.
    Unsigned(u32),
    /// Of so many bits.
    Signed(u32),
    F32,
    F64,
    Char,
}

impl Kind {
    /// Which scalar it is, if it is one. Text and bytes are none.
    pub(super) const fn scalar(self) -> Option<ScalarKind> {
        Some(match self {
            Self::Bool => ScalarKind::Bool,
            Self::U8 => ScalarKind::Unsigned(8),
            Self::U16 => ScalarKind::Unsigned(16),
            Self::U32 => ScalarKind::Unsigned(32),
            Self::U64 | Self::Usize => ScalarKind::Unsigned(64),
            Self::U128 => ScalarKind::Unsigned(128),
            Self::I8 => ScalarKind::Signed(8),
            Self::I16 => ScalarKind::Signed(16),
            Self::I32 => ScalarKind::Signed(32),
            Self::I64 | Self::Isize => ScalarKind::Signed(64),
            Self::I128 => ScalarKind::Signed(128),
            Self::F32 => ScalarKind::F32,
            Self::F64 => ScalarKind::F64,
            Self::Char => ScalarKind::Char,
            Self::String { .. }
            | Self::Bytes { .. }
            | Self::Option
            | Self::Unit
            | Self::Seq { .. }
            | Self::Tuple { .. }
            | Self::Map { .. }
            | Self::Struct { .. }
            | Self::Enum { .. } => return None,
        })
    }
}

impl ScalarKind {
    /// Whether every value of this kind is one of `wider` as well, and remains itself there.
    pub(super) const fn widens_to(self, wider: Self) -> bool {
        match (self, wider) {
            (Self::Unsigned(from), Self::Unsigned(to)) | (Self::Signed(from), Self::Signed(to)) => {
                from <= to
            }
            (Self::Unsigned(from), Self::Signed(to)) => from < to,
            (Self::F32, Self::F32 | Self::F64)
            | (Self::F64, Self::F64)
            | (Self::Bool, Self::Bool)
            | (Self::Char, Self::Char) => true,
            (
                Self::Bool
                | Self::Unsigned(_)
                | Self::Signed(_)
                | Self::F32
                | Self::F64
                | Self::Char,
                _,
            ) => false,
        }
    }

    /// Whether a value that widens to `wider` keeps its bytes: varints don't tell their width, single bytes are none.
    pub(super) const fn keeps_bytes(self, wider: Self) -> bool {
        match (self, wider) {
            (Self::Unsigned(from), Self::Unsigned(to)) | (Self::Signed(from), Self::Signed(to)) => {
                (from == 8) == (to == 8)
            }
            (Self::F32, Self::F32)
            | (Self::F64, Self::F64)
            | (Self::Bool, Self::Bool)
            | (Self::Char, Self::Char) => true,
            (
                Self::Bool
                | Self::Unsigned(_)
                | Self::Signed(_)
                | Self::F32
                | Self::F64
                | Self::Char,
                _,
            ) => false,
        }
    }
}

/// A scalar's value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Scalar {
    Bool(bool),
    Unsigned(u128),
    Signed(i128),
    F32(f32),
    F64(f64),
    Char(char),
}

impl Scalar {
    pub(super) fn read(kind: ScalarKind, input: &mut Reader<'_>) -> Result<Self, Flaw> {
        Ok(match kind {
            ScalarKind::Bool => Self::Bool(input.bool()?),
            ScalarKind::Unsigned(8) => Self::Unsigned(input.byte()?.into()),
            ScalarKind::Unsigned(128) => Self::Unsigned(input.varint128()?),
            ScalarKind::Unsigned(bits) => Self::Unsigned(input.varint(bits)?.into()),
            ScalarKind::Signed(8) => Self::Signed(input.byte()?.cast_signed().into()),
            ScalarKind::Signed(128) => Self::Signed(input.zigzag128()?),
            ScalarKind::Signed(bits) => Self::Signed(input.zigzag(bits)?.into()),
            ScalarKind::F32 => Self::F32(input.f32()?),
            ScalarKind::F64 => Self::F64(input.f64()?),
            ScalarKind::Char => Self::Char(input.char()?),
        })
    }

    /// Writes it as a value of `kind`, to which its own must [widen](ScalarKind::widens_to).
    pub(super) fn write(self, kind: ScalarKind, out: &mut Output) -> Result<(), Full> {
        match (self, kind) {
            (Self::Bool(value), _) => out.put(&[value.into()]),
            (Self::Unsigned(value), ScalarKind::Unsigned(8)) => out.put(&[value as u8]),
            (Self::Unsigned(value), ScalarKind::Signed(_)) => {
                out.put(Varint::zigzag(value.cast_signed()).as_slice())
            }
            (Self::Unsigned(value), _) => out.put_varint(value),
            (Self::Signed(value), ScalarKind::Signed(8)) => out.put(&(value as i8).to_le_bytes()),
            (Self::Signed(value), _) => out.put(Varint::zigzag(value).as_slice()),
            (Self::F32(value), ScalarKind::F64) => out.put(&f64::from(value).to_le_bytes()),
            (Self::F32(value), _) => out.put(&value.to_le_bytes()),
            (Self::F64(value), _) => out.put(&value.to_le_bytes()),
            (Self::Char(value), _) => {
                out.put_varint(value.len_utf8() as u128)?;
                out.put(value.encode_utf8(&mut [0; 4]).as_bytes())
            }
        }
    }

    /// False for a NaN or an infinity.
    pub(super) const fn is_finite(self) -> bool {
        match self {
            Self::F32(value) => value.is_finite(),
            Self::F64(value) => value.is_finite(),
            Self::Bool(_) | Self::Unsigned(_) | Self::Signed(_) | Self::Char(_) => true,
        }
    }
}

impl Serialize for Scalar {
    /// As `serde_json` prints a value of its own type: the width of an integer makes no difference to it.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match *self {
            Self::Bool(value) => serializer.serialize_bool(value),
            Self::Unsigned(value) => match u64::try_from(value) {
                Ok(value) => serializer.serialize_u64(value),
                Err(_) => serializer.serialize_u128(value),
            },
            Self::Signed(value) => match i64::try_from(value) {
                Ok(value) => serializer.serialize_i64(value),
                Err(_) => serializer.serialize_i128(value),
            },
            Self::F32(value) => serializer.serialize_f32(value),
            Self::F64(value) => serializer.serialize_f64(value),
            Self::Char(value) => serializer.serialize_char(value),
        }
    }
}
