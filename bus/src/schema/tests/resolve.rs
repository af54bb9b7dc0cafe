//! What becomes of a value that another version of its type reads, case by case.

use std::collections::BTreeMap;

use postcard_schema_ng::schema::owned::{OwnedData, OwnedDataModelType as Ty, OwnedNamedField};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::schema::{Budget, ConvertError, Resolver, TypeSchema};
use crate::{Schema, SchemaTrait};

/// `value`, as a reader of type `R` gets it.
fn read<W, R>(value: &W) -> Result<R, ConvertError>
where
    W: Serialize + SchemaTrait + 'static,
    R: DeserializeOwned + SchemaTrait + 'static,
{
    let resolver = Resolver::between(&TypeSchema::of::<W>(), &TypeSchema::of::<R>())?;
    let written = postcard::to_allocvec(value).unwrap();
    let bytes = resolver.resolve(&written, &Budget::default())?;
    let (read, rest) = postcard::take_from_bytes(&bytes).unwrap();
    assert!(rest.is_empty());
    Ok(read)
}

/// Why no `W` can ever be read as an `R`: the path, and what is said.
fn parts<W: SchemaTrait + 'static, R: SchemaTrait + 'static>() -> (String, String) {
    let error = Resolver::between(&TypeSchema::of::<W>(), &TypeSchema::of::<R>()).unwrap_err();
    (error.path, error.reason)
}

fn decoded(ty: &Ty) -> TypeSchema {
    TypeSchema::decode(&postcard::to_allocvec(ty).unwrap()).unwrap()
}

mod first {
    use super::*;

    #[derive(Debug, PartialEq, Serialize, Deserialize, Schema)]
    pub(super) struct Order {
        pub(super) id: u32,
        pub(super) clerk: String,
        pub(super) lines: Vec<Line>,
        pub(super) readings: BTreeMap<i8, f64>,
        pub(super) wide: (u128, i128),
        pub(super) state: State,
    }

    #[derive(Debug, PartialEq, Serialize, Deserialize, Schema)]
    pub(super) struct Line {
        pub(super) name: String,
        pub(super) count: u8,
        pub(super) price: f32,
    }

    #[derive(Debug, PartialEq, Serialize, Deserialize, Schema)]
    pub(super) enum State {
        Open,
        Paid { cents: u32 },
        Sent(String, u8),
        Lost(u8),
    }
}

mod second {
    use super::*;

    /// Renamed, reordered, with fields that came and one that went.
    #[derive(Debug, PartialEq, Serialize, Deserialize, Schema)]
    pub(super) struct Purchase {
        pub(super) note: Option<String>,
        pub(super) wide: (u128, i128),
        pub(super) state: Progress,
        pub(super) lines: Vec<Item>,
        pub(super) id: u64,
        pub(super) readings: BTreeMap<i64, f64>,
        pub(super) weight: Option<f64>,
    }

    #[derive(Debug, PartialEq, Serialize, Deserialize, Schema)]
    pub(super) struct Item {
        pub(super) price: Option<f64>,
        pub(super) name: String,
        pub(super) count: i32,
    }

    #[derive(Debug, PartialEq, Serialize, Deserialize, Schema)]
    pub(super) enum Progress {
        Returned,
        Lost(String),
        Sent(String, u16),
        Paid { how: Option<String>, cents: u64 },
        Open,
    }
}

fn order(state: first::State) -> first::Order {
    first::Order {
        id: u32::MAX,
        clerk: "Ada".into(),
        lines: vec![
            first::Line {
                name: "nails".into(),
                count: 200,
                price: 0.1,
            },
            first::Line {
                name: "glue".into(),
                count: 0,
                price: f32::INFINITY,
            },
        ],
        readings: BTreeMap::from([(-128, f64::NAN), (0, -0.0), (127, 1e300)]),
        wide: (u128::MAX, i128::MIN),
        state,
    }
}

#[test]
fn fields_are_found_by_name_and_numbers_survive() {
    let read: second::Purchase = read(&order(first::State::Paid { cents: 7 })).unwrap();
    assert_eq!(
        (read.note, read.weight, read.id),
        (None, None, u32::MAX.into())
    );
    assert_eq!(read.wide, (u128::MAX, i128::MIN));
    let names: Vec<_> = read
        .lines
        .iter()
        .map(|line| (&*line.name, line.count))
        .collect();
    assert_eq!(names, [("nails", 200), ("glue", 0)]);
    let prices: Vec<_> = read.lines.iter().map(|line| line.price).collect();
    assert_eq!(prices, [Some(f64::from(0.1_f32)), Some(f64::INFINITY)]);
    assert_eq!(
        read.readings.keys().copied().collect::<Vec<_>>(),
        [-128, 0, 127]
    );
    assert!(read.readings[&-128].is_nan());
    assert_eq!(read.readings[&0].to_bits(), (-0.0_f64).to_bits());
    assert_eq!(
        read.state,
        second::Progress::Paid {
            how: None,
            cents: 7
        }
    );
}

#[test]
fn variants_are_found_by_name_and_the_others_are_misfits_of_their_own() {
    use {first::State, second::Progress};
    assert_eq!(read(&State::Open), Ok(Progress::Open));
    assert_eq!(
        read(&State::Sent("x".into(), 255)),
        Ok(Progress::Sent("x".into(), 255))
    );
    let misfit = read::<_, second::Purchase>(&order(State::Lost(3))).unwrap_err();
    assert_eq!(misfit.path, "$.state.Lost");
    assert_eq!(misfit.reason, "`u8` can't be read as `String`");
    let misfit = read::<_, State>(&Progress::Returned).unwrap_err();
    assert_eq!(
        (&*misfit.path, &*misfit.reason),
        ("$", "the reader doesn't know the variant `Returned`")
    );
    // Narrower, so not even where the number is small.
    let misfit = read::<_, State>(&Progress::Paid {
        how: None,
        cents: 1,
    })
    .unwrap_err();
    assert_eq!(misfit.path, "$.Paid.cents");
    assert_eq!(read(&Progress::Open), Ok(State::Open));
}

#[test]
fn a_variant_that_holds_something_else_is_a_misfit() {
    mod a {
        use super::*;
        #[derive(Serialize, Schema)]
        pub(super) enum E {
            Same,
            Unit,
            One(u8),
            Two(u8, u8),
        }
    }
    #[derive(Debug, PartialEq, Deserialize, Schema)]
    enum E {
        Unit(u8),
        One { x: u8 },
        Two(u8, u8, u8),
        Same,
    }
    assert_eq!(read::<_, E>(&a::E::Same), Ok(E::Same));
    let said = |value: a::E| read::<_, E>(&value).unwrap_err().to_string();
    assert_eq!(
        said(a::E::Unit),
        "at $.Unit: the writer's variant holds nothing, and the reader's one value"
    );
    assert_eq!(
        said(a::E::One(1)),
        "at $.One: the writer's variant holds one value, and the reader's named fields"
    );
    assert_eq!(
        said(a::E::Two(1, 2)),
        "at $.Two: the writer's variant holds a tuple of 2, and the reader's a tuple of 3"
    );
}

#[test]
fn types_that_never_fit_are_told_apart_with_the_path() {
    let never = |(path, reason): (String, String), at: &str, words: &[&str]| {
        assert_eq!(path, at, "{reason}");
        assert!(words.iter().all(|word| reason.contains(word)), "{reason}");
    };
    #[derive(Schema)]
    struct Deep<T> {
        _items: Vec<BTreeMap<u8, (bool, T)>>,
    }
    never(
        parts::<Deep<f64>, Deep<String>>(),
        "$._items[*][*][1]",
        &["`f64`", "`String`"],
    );
    #[derive(Schema)]
    struct Keyed<T: Ord> {
        _by: BTreeMap<T, u8>,
    }
    never(
        parts::<Keyed<String>, Keyed<u8>>(),
        "$._by[key]",
        &["`String`", "`u8`"],
    );
    never(
        parts::<second::Progress, Deep<u8>>(),
        "$",
        &["enum Progress", "Deep"],
    );
    never(parts::<Option<u8>, u8>(), "$", &["`Option<u8>`", "`u8`"]);
    never(
        parts::<(u8, u8), (u8, u8, u8)>(),
        "$",
        &["`(u8, u8)`", "`[u8; 3]`"],
    );
    never(
        parts::<Vec<u8>, (u8, u8)>(),
        "$",
        &["`Vec<u8>`", "`(u8, u8)`"],
    );
}

#[test]
fn a_missing_field_is_none_or_the_types_part() {
    #[derive(Schema)]
    struct Old {
        _a: u8,
    }
    #[derive(Schema)]
    struct New {
        _a: u8,
        _b: (),
    }
    let (path, reason) = parts::<Old, New>();
    assert_eq!(path, "$._b");
    assert!(
        reason.contains("doesn't have the field") && reason.contains("`()`"),
        "{reason}"
    );
}

/// Every kind of scalar, by what it may become: the whole table, so that nothing is allowed by accident.
#[test]
fn numbers_widen_and_nothing_else_does() {
    let kinds = [
        (Ty::U8, "u8"),
        (Ty::U16, "u16"),
        (Ty::U32, "u32"),
        (Ty::U64, "u64"),
        (Ty::Usize, "u64"),
        (Ty::U128, "u128"),
        (Ty::I8, "i8"),
        (Ty::I16, "i16"),
        (Ty::I32, "i32"),
        (Ty::I64, "i64"),
        (Ty::Isize, "i64"),
        (Ty::I128, "i128"),
        (Ty::F32, "f32"),
        (Ty::F64, "f64"),
        (Ty::Bool, "bool"),
        (Ty::Char, "char"),
        (Ty::Unit, "()"),
        (Ty::String { max_len: None }, "text"),
        (Ty::ByteArray { max_len: None }, "bytes"),
    ];
    let may = |from: &str, to: &str| {
        let (sign, width) = (from.split_at(1), to.split_at(1));
        let bits = (sign.1.parse::<u32>(), width.1.parse::<u32>());
        from == to
            || (from, to) == ("f32", "f64")
            || match (sign.0, width.0, bits) {
                ("u", "u", (Ok(from), Ok(to))) | ("i", "i", (Ok(from), Ok(to))) => from <= to,
                ("u", "i", (Ok(from), Ok(to))) => from < to,
                _ => false,
            }
    };
    for (from, from_name) in &kinds {
        for (to, to_name) in &kinds {
            let fits = Resolver::between(&decoded(from), &decoded(to)).is_ok();
            assert_eq!(fits, may(from_name, to_name), "{from_name} as {to_name}");
        }
    }
}

#[test]
fn widened_numbers_remain_themselves_to_the_last_one() {
    fn each<W, R>(values: &[W])
    where
        W: Copy + Serialize + SchemaTrait + 'static,
        R: From<W> + PartialEq + std::fmt::Debug + DeserializeOwned + SchemaTrait + 'static,
    {
        for value in values {
            assert_eq!(read::<W, R>(value), Ok(R::from(*value)));
        }
    }
    let bytes: Vec<u8> = (0..=255).collect();
    let signed: Vec<i8> = (-128..=127).collect();
    each::<u8, u16>(&bytes);
    each::<u8, u128>(&bytes);
    each::<u8, i16>(&bytes);
    each::<i8, i16>(&signed);
    each::<i8, i128>(&signed);
    each::<u16, u64>(&[0, 127, 128, u16::MAX]);
    each::<u32, i64>(&[0, 63, 64, 127, 128, u32::MAX]);
    each::<u64, i128>(&[0, u64::MAX]);
    each::<i32, i64>(&[i32::MIN, -1, 0, 1, i32::MAX]);
    each::<i64, i128>(&[i64::MIN, i64::MAX]);
    each::<f32, f64>(&[
        0.1,
        -0.0,
        f32::MAX,
        f32::MIN_POSITIVE,
        f32::from_bits(1),
        f32::NEG_INFINITY,
    ]);
    assert!(read::<f32, f64>(&f32::NAN).unwrap().is_nan());
    let odd = f64::from_bits(0x7ff8_dead_beef_0001);
    assert_eq!(
        read::<_, Vec<Option<f64>>>(&vec![odd]).unwrap()[0]
            .unwrap()
            .to_bits(),
        odd.to_bits()
    );
}

#[test]
fn a_value_becomes_some_of_itself() {
    assert_eq!(read(&7_u8), Ok(Some(7_u16)));
    assert_eq!(read(&Some(7_u8)), Ok(Some(Some(7_u8))));
    assert_eq!(read::<Option<u8>, Option<Option<u8>>>(&None), Ok(None));
    assert_eq!(read(&Some(300_u16)), Ok(Some(300_i32)));
    assert_eq!(read::<Option<u16>, Option<i32>>(&None), Ok(None));
    assert_eq!(
        read(&BTreeMap::from([(1_u8, 'x')])),
        Ok(BTreeMap::from([(Some(1_i64), Some('x'))]))
    );
}

#[test]
fn a_newtype_is_what_it_holds_and_names_do_not_matter() {
    #[derive(Debug, PartialEq, Serialize, Deserialize, Schema)]
    struct Id(u32);
    #[derive(Debug, PartialEq, Serialize, Deserialize, Schema)]
    struct Outer(Id);
    #[derive(Debug, PartialEq, Serialize, Deserialize, Schema)]
    struct Pair(u8, String);
    #[derive(Debug, PartialEq, Serialize, Deserialize, Schema)]
    struct Empty;
    assert_eq!(read(&Outer(Id(7))), Ok(7_u64));
    assert_eq!(read(&7_u32), Ok(Outer(Id(7))));
    assert_eq!(read(&(7_u8, String::new())), Ok(Pair(7, String::new())));
    assert_eq!(read(&Empty), Ok(()));
    assert_eq!(read(&[1_u8, 2, 3]), Ok((1_u16, 2_u8, Some(3_u8))));
}

#[test]
fn no_field_is_left_out_of_a_key() {
    #[derive(Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, Schema)]
    struct Place {
        x: u8,
        y: u8,
    }
    #[derive(Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, Schema)]
    struct Column {
        x: u8,
    }
    #[derive(Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, Schema)]
    struct Space {
        z: Option<u8>,
        y: u16,
        x: u16,
    }
    let by_place = BTreeMap::from([(Place { x: 1, y: 2 }, 'a'), (Place { x: 1, y: 200 }, 'b')]);
    let (path, reason) = parts::<BTreeMap<Place, char>, BTreeMap<Column, char>>();
    assert_eq!(path, "$[key].y");
    assert!(reason.contains("two keys"), "{reason}");
    let by_space = by_place.keys().map(|place| {
        (
            Space {
                z: None,
                y: place.y.into(),
                x: place.x.into(),
            },
            by_place[place],
        )
    });
    assert_eq!(read(&by_place), Ok(by_space.collect::<BTreeMap<_, _>>()));
    // As a value it may be.
    assert_eq!(read(&vec![Place { x: 1, y: 2 }]), Ok(vec![Column { x: 1 }]));
}

#[test]
fn lengths_are_a_matter_of_the_value() {
    let seq = |max_len| Ty::Seq {
        element: Box::new(Ty::U8),
        max_len,
    };
    let map = |max_len| Ty::Map {
        key: Box::new(Ty::U8),
        val: Box::new(Ty::U8),
        max_len,
    };
    let cases = [
        (
            Ty::String { max_len: None },
            Ty::String { max_len: Some(2) },
            &b"\x02ab"[..],
            &b"\x03abc"[..],
        ),
        (
            Ty::ByteArray { max_len: Some(9) },
            Ty::ByteArray { max_len: Some(1) },
            b"\x01\xff",
            b"\x02\xff\xff",
        ),
        (seq(None), seq(Some(1)), &[1, 7], &[2, 7, 7]),
        (map(Some(5)), map(Some(0)), &[0], &[1, 7, 7]),
    ];
    for (from, to, fits, is_too_long) in cases {
        let resolver = Resolver::between(&decoded(&from), &decoded(&to)).unwrap();
        assert_eq!(resolver.resolve(fits, &Budget::default()).unwrap(), fits);
        let misfit = resolver
            .resolve(is_too_long, &Budget::default())
            .unwrap_err();
        assert!(!misfit.over_budget, "{misfit}");
        let back = Resolver::between(&decoded(&to), &decoded(&from)).unwrap();
        assert_eq!(back.resolve(fits, &Budget::default()).unwrap(), fits);
    }
}

#[test]
fn bytes_that_are_no_value_of_the_writers_are_misfits() {
    let resolver = Resolver::between(
        &TypeSchema::of::<(u8, bool)>(),
        &TypeSchema::of::<(u16, bool)>(),
    )
    .unwrap();
    let said = |bytes: &[u8]| {
        resolver
            .resolve(bytes, &Budget::default())
            .unwrap_err()
            .to_string()
    };
    assert_eq!(
        said(&[1]),
        "at $[1]: expected `bool`, but the bytes end early"
    );
    assert_eq!(
        said(&[1, 2]),
        "at $[1]: expected `bool`, but a byte is neither 0 nor 1"
    );
    assert_eq!(said(&[1, 1, 1]), "at $: 1 bytes follow the value");
}

/// Rust has no such types, but a peer may say it has.
#[test]
fn names_given_twice_are_taken_once() {
    let fields = |names: &[(&str, Ty)]| {
        let fields = names.iter().map(|(name, ty)| OwnedNamedField {
            name: (*name).into(),
            ty: ty.clone(),
        });
        decoded(&Ty::Struct {
            name: "S".into(),
            data: OwnedData::Struct(fields.collect()),
        })
    };
    let twice = fields(&[("a", Ty::U8), ("a", Ty::U8), ("b", Ty::U8)]);
    let once = fields(&[("b", Ty::U8), ("a", Ty::U16)]);
    let resolver = Resolver::between(&twice, &once).unwrap();
    assert_eq!(
        resolver.resolve(&[200, 2, 3], &Budget::default()).unwrap(),
        [3, 200, 1]
    );
    assert_eq!(Resolver::between(&once, &twice).unwrap_err().path, "$.a");
}
