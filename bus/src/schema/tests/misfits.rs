//! What is said of values that don't fit, and where.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::schema::{Budget, TypeSchema, from_json, to_json, validate};
use crate::{Schema, SchemaTrait};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Schema)]
struct Item {
    name: String,
    price: f64,
    note: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Schema)]
enum Step {
    Begun,
    Counted(u8),
    Placed { x: i16, y: i16 },
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Schema)]
struct Order {
    id: u64,
    items: Vec<Item>,
    steps: BTreeMap<u32, Step>,
    pair: (u8, char),
}

fn encode(json: &str) -> Result<Order, (String, String)> {
    match from_json(&TypeSchema::of::<Order>(), json, &Budget::default()) {
        Ok(bytes) => Ok(postcard::from_bytes(&bytes).unwrap()),
        Err(error) => Err((error.path, error.reason)),
    }
}

/// An order with one part replaced.
fn with(part: &str, value: &str) -> String {
    let parts = [
        ("id", "1"),
        ("items", "[]"),
        ("steps", "{}"),
        ("pair", "[1, \"c\"]"),
    ];
    let parts = parts.map(|(name, usual)| {
        let value = if name == part { value } else { usual };
        format!("\"{name}\": {value}")
    });
    format!("{{ {} }}", parts.join(", "))
}

#[test]
fn the_first_misfit_is_named_with_its_path() {
    let item = |price: &str| format!(r#"{{"name": "n", "price": {price}}}"#);
    let items = format!("[{}, {}, {}]", item("1"), item("2.5"), item("\"3\""));
    let cases = [
        (with("id", "-1"), "$.id", "expected u64"),
        (with("id", "1.0"), "$.id", "floating point"),
        (with("id", "18446744073709551616"), "$.id", "expected u64"),
        (with("id", "null"), "$.id", "null"),
        (with("items", &items), "$.items[2].price", "expected f64"),
        (
            with("items", &format!("[{}]", item("null"))),
            "$.items[0].price",
            "null",
        ),
        (
            with("items", r#"[{"price": 1}]"#),
            "$.items[0].name",
            "missing, expected String",
        ),
        (
            with("items", "[{\"name\": \"a\", \"name\": \"b\"}]"),
            "$.items[0].name",
            "twice",
        ),
        (with("items", "{}"), "$.items", "expected Vec<Item"),
        (
            with("items", "[7]"),
            "$.items[0]",
            "expected Item { name: String",
        ),
        (
            with("steps", r#"{"7": {"Counted": 256}}"#),
            "$.steps.7.Counted",
            "u8",
        ),
        (
            with("steps", r#"{"7": {"Placed": {"x": 1, "y": 40000}}}"#),
            "$.steps.7.Placed.y",
            "i16",
        ),
        (
            with("steps", r#"{"7": "Ended"}"#),
            "$.steps.7",
            "one of `Begun`, `Counted`, `Placed`",
        ),
        (
            with("steps", r#"{"7": "Counted"}"#),
            "$.steps.7.Counted",
            "unit variant",
        ),
        (with("steps", r#"{"seven": "Begun"}"#), "$.steps[0]", "u32"),
        (with("pair", "[1]"), "$.pair", "list of 2"),
        (with("pair", "[1, \"c\", 3]"), "$.pair", "list of 2"),
        (with("pair", "[1, \"cc\"]"), "$.pair[1]", "character"),
        (with("pair", "[1, \"c\""), "$.pair", "expected"),
        ("{}".to_owned(), "$.id", "missing"),
        ("".to_owned(), "$", "EOF"),
        (with("id", "1") + "x", "$", "trailing"),
    ];
    for (json, path, why) in cases {
        let (at, reason) = encode(&json).expect_err(&json);
        assert_eq!(at, path, "{json}: {reason}");
        assert!(reason.contains(why), "{json}: {reason}");
    }
}

#[test]
fn fields_come_in_any_order_and_strangers_are_ignored() {
    let json = r#"{
        "pair": [2, "d"], "unknown": [[{"id": 5}]],
        "items": [{"note": "x", "price": 1, "name": "n"}, {"price": 2.0, "z": 0, "name": "m", "note": null}],
        "steps": {"9": {"Placed": {"y": -1, "x": 1}}, "8": {"Begun": null}}, "id": 3
    }"#;
    assert_eq!(encode(json).unwrap(), serde_json::from_str(json).unwrap());
    // serde takes a list for a struct, too.
    let listed = r#"[3, [["n", 1, null]], {}, [2, "d"]]"#;
    assert_eq!(
        encode(listed).unwrap(),
        serde_json::from_str(listed).unwrap()
    );
}

#[test]
fn bytes_that_do_not_fit_are_named_by_path_too() {
    let order = Order {
        id: 1,
        items: vec![Item {
            name: "n".into(),
            price: 1.0,
            note: None,
        }],
        steps: BTreeMap::from([(300, Step::Counted(1))]),
        pair: (1, 'c'),
    };
    let schema = TypeSchema::of::<Order>();
    let good = postcard::to_allocvec(&order).unwrap();
    let at = |bytes: &[u8]| {
        let shown = to_json(&schema, bytes, &Budget::default()).unwrap_err();
        let checked = validate(&schema, bytes, &Budget::default()).unwrap_err();
        assert_eq!(shown, checked);
        (shown.path, shown.reason)
    };
    let (path, reason) = at(&good[..8]);
    assert_eq!(path, "$.items[0].price");
    assert_eq!(reason, "expected `f64`, but the bytes end early");
    let mut bad_note = good.clone();
    bad_note[12] = 2;
    assert_eq!(at(&bad_note).0, "$.items[0].note");
    let mut bad_step = good.clone();
    bad_step[16] = 3;
    let (path, reason) = at(&bad_step);
    assert_eq!(path, "$.steps.300");
    assert!(
        reason.starts_with("variant number 3 of `enum Step {"),
        "{reason}"
    );
    let (path, reason) = at(&[good.clone(), vec![0, 0]].concat());
    assert_eq!(
        (path.as_str(), reason.as_str()),
        ("$", "2 bytes follow the value")
    );
}

#[test]
fn a_strangers_key_is_escaped_and_shortened_in_a_path() {
    let schema = TypeSchema::of::<BTreeMap<String, u8>>();
    let json = format!(r#"{{"\u001b[2J{}": 256}}"#, "x".repeat(1000));
    let error = from_json(&schema, &json, &Budget::default()).unwrap_err();
    assert!(
        error.path.len() < 100 && !error.path.contains('\u{1b}'),
        "{error}"
    );
    let json = format!(r#"{{"k": "{}"}}"#, "x".repeat(100_000));
    let error = from_json(&schema, &json, &Budget::default()).unwrap_err();
    assert!(error.reason.len() < 500, "{error}");
}

#[test]
fn bytes_are_read_as_postcard_reads_them() {
    fn agree<T: SchemaTrait + serde::de::DeserializeOwned + 'static>(bytes: &[u8]) {
        let schema = TypeSchema::of::<T>();
        let ours = validate(&schema, bytes, &Budget::default());
        let theirs = postcard::take_from_bytes::<T>(bytes).is_ok_and(|(_, rest)| rest.is_empty());
        assert_eq!(ours.is_ok(), theirs, "{schema}: {bytes:?}: {ours:?}");
    }
    let mut cases: Vec<Vec<u8>> = vec![vec![0x80, 0], vec![0xff, 0xff, 3], vec![0xff, 0xff, 4]];
    for len in 1..=20 {
        for last in [0, 1, 3, 4, 0xf, 0x10, 0x7f, 0x80] {
            let mut bytes = vec![0xff; len - 1];
            bytes.push(last);
            cases.push(bytes);
        }
    }
    for bytes in &cases {
        agree::<u8>(bytes);
        agree::<u16>(bytes);
        agree::<u32>(bytes);
        agree::<u64>(bytes);
        agree::<u128>(bytes);
        agree::<i8>(bytes);
        agree::<i16>(bytes);
        agree::<i32>(bytes);
        agree::<i64>(bytes);
        agree::<i128>(bytes);
        agree::<f32>(bytes);
        agree::<bool>(bytes);
        agree::<Option<u8>>(bytes);
        agree::<String>(bytes);
        agree::<Vec<u16>>(bytes);
        agree::<Step>(bytes);
    }
}

#[test]
fn a_type_that_can_be_no_json_key_is_said_so() {
    let schema = TypeSchema::of::<BTreeMap<Vec<u8>, u8>>();
    let bytes = [1, 1, 7, 9];
    validate(&schema, &bytes, &Budget::default()).unwrap();
    let error = to_json(&schema, &bytes, &Budget::default()).unwrap_err();
    assert_eq!(error.reason, "a JSON key must be text, not `Vec<u8>`");
}

#[test]
fn lengths_beyond_the_types_own_limit_do_not_fit() {
    use postcard_schema_ng::schema::owned::OwnedDataModelType as Ty;
    let max_len = Some(2);
    let types = [
        (Ty::String { max_len }, "\"ab\"", "\"abc\"", &b"\x03abc"[..]),
        (Ty::ByteArray { max_len }, "[1,2]", "[1,2,3]", &[3, 1, 2, 3]),
        (
            Ty::Seq {
                element: Box::new(Ty::Bool),
                max_len,
            },
            "[true,false]",
            "[true,true,true]",
            &[3, 1, 1, 1],
        ),
        (
            Ty::Map {
                key: Box::new(Ty::Bool),
                val: Box::new(Ty::U8),
                max_len,
            },
            r#"{"true":1}"#,
            r#"{"true":1,"false":2,"true":3}"#,
            &[3, 1, 1, 0, 2, 1, 3],
        ),
    ];
    for (ty, fits, too_long, bytes) in types {
        let schema = TypeSchema::decode(&postcard::to_allocvec(&ty).unwrap()).unwrap();
        let budget = Budget::default();
        let encoded = from_json(&schema, fits, &budget).unwrap();
        assert_eq!(to_json(&schema, &encoded, &budget).unwrap(), fits);
        assert!(from_json(&schema, too_long, &budget).is_err(), "{schema}");
        assert!(validate(&schema, bytes, &budget).is_err(), "{schema}");
    }
}

#[test]
fn numbers_too_large_for_f32_are_refused() {
    let schema = TypeSchema::of::<f32>();
    assert!(from_json(&schema, "1e39", &Budget::default()).is_err());
    let largest = f32::MAX.to_string();
    let bytes = from_json(&schema, &largest, &Budget::default()).unwrap();
    assert_eq!(bytes, f32::MAX.to_le_bytes());
}
