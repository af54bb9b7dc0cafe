//! Real types, both ways, beside `serde_json`.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;

use proptest::prelude::*;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::schema::{Budget, TypeSchema, from_json, to_json, validate};
use crate::{Schema, SchemaTrait};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Schema)]
struct Unit;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Schema)]
struct Newtype(Option<u16>);

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Schema)]
struct Pair(i8, String);

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, Schema)]
enum Color {
    Red,
    Green,
    #[serde(rename = "blau \"é\"")]
    Blue,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Schema)]
enum Figure {
    Nothing,
    Circle(f64),
    Box(u8, u16, Box<Figures>),
    Named {
        label: String,
        #[serde(rename = "fill-colour")]
        fill: Option<Color>,
    },
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, Schema)]
struct Figures {
    all: Vec<(u32, char)>,
    r#type: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Schema)]
struct Numbers {
    a: (u8, u16, u32, u64, u128),
    b: (i8, i16, i32, i64, i128),
    c: f32,
    d: f64,
    e: bool,
    f: char,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Schema)]
struct Maps {
    by_text: BTreeMap<String, u8>,
    by_number: BTreeMap<i64, Newtype>,
    by_wide: BTreeMap<u128, bool>,
    by_char: BTreeMap<char, Vec<u8>>,
    by_bool: BTreeMap<bool, i128>,
    by_color: BTreeMap<Color, Option<Figure>>,
    by_option: BTreeMap<Option<u8>, [u16; 3]>,
    set: BTreeSet<i32>,
    result: Result<String, Pair>,
    unit: (Unit, ()),
}

fn figure() -> impl Strategy<Value = Figure> {
    let figures = (any::<Vec<(u32, char)>>(), any::<Option<String>>());
    prop_oneof![
        Just(Figure::Nothing),
        any::<f64>().prop_map(Figure::Circle),
        (any::<u8>(), any::<u16>(), figures).prop_map(|(a, b, (all, r#type))| {
            Figure::Box(a, b, Box::new(Figures { all, r#type }))
        }),
        (any::<String>(), color()).prop_map(|(label, fill)| Figure::Named {
            label,
            fill: Some(fill)
        }),
    ]
}

fn color() -> impl Strategy<Value = Color> {
    prop_oneof![Just(Color::Red), Just(Color::Green), Just(Color::Blue)]
}

fn maps() -> impl Strategy<Value = Maps> {
    use proptest::collection::btree_map;
    let newtype = any::<Option<u16>>().prop_map(Newtype);
    (
        any::<BTreeMap<String, u8>>(),
        btree_map(any::<i64>(), newtype, 0..4),
        any::<BTreeMap<u128, bool>>(),
        any::<BTreeMap<char, Vec<u8>>>(),
        any::<BTreeMap<bool, i128>>(),
        btree_map(color(), figure().prop_map(Some), 0..3),
        btree_map(any::<u8>().prop_map(Some), any::<[u16; 3]>(), 0..3),
        any::<BTreeSet<i32>>(),
        any::<Result<String, (i8, String)>>(),
    )
        .prop_map(
            |(by_text, by_number, by_wide, by_char, by_bool, by_color, by_option, set, result)| {
                Maps {
                    by_text,
                    by_number,
                    by_wide,
                    by_char,
                    by_bool,
                    by_color,
                    by_option,
                    set,
                    result: result.map_err(|(a, b)| Pair(a, b)),
                    unit: (Unit, ()),
                }
            },
        )
}

/// Shown as `serde_json` shows it; and back to the same bytes, where JSON keeps the value.
fn both_ways<T: Serialize + DeserializeOwned + SchemaTrait + Debug + 'static>(value: &T) {
    let schema = TypeSchema::of::<T>();
    let bytes = postcard::to_allocvec(value).unwrap();
    let budget = Budget::default();
    validate(&schema, &bytes, &budget).unwrap();
    let json = to_json(&schema, &bytes, &budget).unwrap();
    assert_eq!(json, serde_json::to_string(value).unwrap());
    let back = from_json(&schema, &json, &budget);
    match serde_json::from_str::<T>(&json) {
        Ok(value) => {
            let expected = postcard::to_allocvec(&value).unwrap();
            assert_eq!(back.unwrap(), expected, "{json}");
            assert_eq!(expected, bytes, "{json}");
        }
        Err(_) => assert!(back.is_err(), "{json}"),
    }
}

proptest! {
    #[test]
    fn figures_agree_with_serde_json(value in figure()) {
        both_ways(&value);
    }

    #[test]
    fn maps_agree_with_serde_json(value in maps()) {
        both_ways(&value);
    }

    #[test]
    fn numbers_agree_with_serde_json(
        a in any::<(u8, u16, u32, u64, u128)>(),
        b in any::<(i8, i16, i32, i64, i128)>(),
        c in proptest::num::f32::ANY,
        d in proptest::num::f64::ANY,
        e in any::<bool>(),
        f in any::<char>(),
    ) {
        both_ways(&Numbers { a, b, c, d, e, f });
    }
}
