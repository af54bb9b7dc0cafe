//! The attacks that made this module what it is, each by name.

use postcard_schema_ng::schema::owned::{
    OwnedData, OwnedDataModelType as Ty, OwnedNamedField, OwnedVariant,
};

use crate::Schema;
use crate::schema::{
    Budget, Resolver, SchemaError, SchemaLimits, TypeSchema, from_json, to_json, validate,
};
use serde::{Deserialize, Serialize};

/// The schema's numbers for an option, a sequence, a tuple and a `u8`.
const OPTION: u8 = 18;
const SEQ: u8 = 20;
const TUPLE: u8 = 21;
const U8: u8 = 2;

fn encoded(ty: &Ty) -> Vec<u8> {
    postcard::to_allocvec(ty).unwrap()
}

fn decoded(ty: &Ty) -> TypeSchema {
    TypeSchema::decode(&encoded(ty)).unwrap()
}

#[test]
fn a_schema_nested_60_kb_deep_overflows_no_stack() {
    let deep = vec![OPTION; 60 * 1024];
    let too_long = SchemaError::TooLong { limit: 16 * 1024 };
    assert_eq!(TypeSchema::decode(&deep), Err(too_long));
    // Not the length alone protects: without that limit, the depth does; and without any, the stack is not used at all.
    let mut limits = SchemaLimits {
        bytes: usize::MAX,
        ..SchemaLimits::DEFAULT
    };
    let too_deep = SchemaError::TooDeep { limit: 32 };
    assert_eq!(TypeSchema::decode_within(&deep, &limits), Err(too_deep));
    limits.depth = usize::MAX;
    limits.nodes = usize::MAX;
    let mut deep = vec![OPTION; 1_000_000];
    deep.push(U8);
    let schema = TypeSchema::decode_within(&deep, &limits).unwrap();
    // Nor can its values overflow one.
    let bytes = vec![1; 1_000_001];
    let error = to_json(&schema, &bytes, &Budget::default()).unwrap_err();
    assert!(error.over_budget, "{error}");
    assert!(
        from_json(&schema, "1", &Budget::default())
            .unwrap_err()
            .over_budget
    );
    assert!(schema.to_string().ends_with('…'));
}

#[test]
fn depth_32_is_taken_and_33_is_not() {
    let nested = |levels: usize| [vec![OPTION; levels - 1], vec![U8]].concat();
    let schema = TypeSchema::decode(&nested(32)).unwrap();
    let bytes = [1; 32];
    let json = to_json(&schema, &bytes, &Budget::default()).unwrap();
    assert_eq!(json, "1");
    assert_eq!(
        from_json(&schema, &json, &Budget::default()).unwrap(),
        bytes
    );
    let too_deep = SchemaError::TooDeep { limit: 32 };
    assert_eq!(TypeSchema::decode(&nested(33)), Err(too_deep));
}

#[test]
fn four_bytes_of_empty_elements_do_not_become_gigabytes() {
    let many = [0xff, 0xff, 0xff, 0x7f];
    let empty_struct = Ty::Struct {
        name: "E".into(),
        data: OwnedData::Struct([].into()),
    };
    let newtype = Ty::Struct {
        name: "N".into(),
        data: OwnedData::Newtype(Box::new(Ty::Unit)),
    };
    let nested = Ty::Tuple([empty_struct.clone(), Ty::Unit, Ty::Tuple([].into())].into());
    for element in [Ty::Unit, empty_struct, newtype, nested] {
        let seq = decoded(&Ty::Seq {
            element: Box::new(element.clone()),
            max_len: None,
        });
        let map = decoded(&Ty::Map {
            key: Box::new(element.clone()),
            val: Box::new(element),
            max_len: None,
        });
        let budget = Budget::default();
        for schema in [&seq, &map] {
            let error = to_json(schema, &many, &budget).unwrap_err();
            assert!(error.reason.contains("without a size"), "{error}");
            let error = validate(schema, &many, &budget).unwrap_err();
            assert!(error.reason.contains("without a size"), "{error}");
            validate(schema, &[0], &budget).unwrap();
        }
        assert_eq!(to_json(&seq, &[0], &budget).unwrap(), "[]");
        assert_eq!(from_json(&seq, "[]", &budget).unwrap(), [0]);
        assert!(from_json(&seq, "[null]", &budget).is_err());
    }
}

#[test]
fn a_wide_schema_is_refused_before_it_is_built() {
    // A tuple that says it has 2^64 - 1 elements; and one that has 2,000.
    let claimed = [vec![TUPLE], vec![0xff; 9], vec![1, U8]].concat();
    assert!(matches!(
        TypeSchema::decode(&claimed),
        Err(SchemaError::Malformed { .. })
    ));
    let wide = encoded(&Ty::Tuple(vec![Ty::U8; 2000].into()));
    let too_many = SchemaError::TooManyNodes { limit: 1024 };
    assert_eq!(TypeSchema::decode(&wide), Err(too_many));
    let widest = encoded(&Ty::Tuple(vec![Ty::U8; 1023].into()));
    TypeSchema::decode(&widest).unwrap();
    // Variants without content are nodes too.
    let variant = |at: usize| OwnedVariant {
        name: at.to_string().into(),
        data: OwnedData::Unit,
    };
    let many = |count| Ty::Enum {
        name: "E".into(),
        variants: (0..count).map(variant).collect(),
    };
    assert_eq!(TypeSchema::decode(&encoded(&many(1024))), Err(too_many));
    TypeSchema::decode(&encoded(&many(1023))).unwrap();
}

#[test]
fn a_schema_of_17_kib_is_refused_for_its_length() {
    let named = |len: usize| Ty::Struct {
        name: "x".repeat(len).into(),
        data: OwnedData::Unit,
    };
    let too_long = SchemaError::TooLong { limit: 16 * 1024 };
    assert_eq!(
        TypeSchema::decode(&encoded(&named(17 * 1024))),
        Err(too_long)
    );
    TypeSchema::decode(&encoded(&named(16 * 1024 - 5))).unwrap();
}

#[test]
fn a_sequence_that_claims_2_to_the_64_elements_allocates_nothing() {
    let schema = TypeSchema::decode(&[SEQ, U8, 0]).unwrap();
    let bytes = [vec![0xff; 9], vec![1, 7, 7, 7]].concat();
    let error = to_json(&schema, &bytes, &Budget::default()).unwrap_err();
    assert_eq!(error.path, "$");
    assert!(
        error
            .reason
            .contains("18446744073709551615 elements in 3 bytes"),
        "{error}"
    );
}

#[test]
fn one_byte_per_element_can_not_become_a_long_name_each() {
    // An enum whose one variant has a name of 10,000 letters, a million times.
    let schema = decoded(&Ty::Seq {
        element: Box::new(Ty::Enum {
            name: "E".into(),
            variants: [OwnedVariant {
                name: "x".repeat(10_000).into(),
                data: OwnedData::Unit,
            }]
            .into(),
        }),
        max_len: None,
    });
    let bytes = postcard::to_allocvec(&vec![0_u8; 1_000_000]).unwrap();
    let error = to_json(&schema, &bytes, &Budget::default()).unwrap_err();
    assert!(error.over_budget, "{error}");
    validate(&schema, &bytes, &Budget::default()).unwrap();
    // Nor a thousand empty values each.
    let schema = decoded(&Ty::Seq {
        element: Box::new(Ty::Tuple(
            [vec![Ty::U8], vec![Ty::Unit; 1000]].concat().into(),
        )),
        max_len: None,
    });
    assert!(
        to_json(&schema, &bytes, &Budget::default())
            .unwrap_err()
            .over_budget
    );
    assert!(
        validate(&schema, &bytes, &Budget::default())
            .unwrap_err()
            .over_budget
    );
}

#[test]
fn three_letters_of_json_can_not_become_a_thousand_bytes_each() {
    let fields = (0..500).map(|at| OwnedNamedField {
        name: at.to_string().into(),
        ty: Ty::Option(Box::new(Ty::U8)),
    });
    let schema = decoded(&Ty::Seq {
        element: Box::new(Ty::Struct {
            name: "S".into(),
            data: OwnedData::Struct(fields.collect()),
        }),
        max_len: None,
    });
    let json = format!("[{}{{}}]", "{},".repeat(100_000));
    let error = from_json(&schema, &json, &Budget::default()).unwrap_err();
    assert!(error.over_budget, "{error}");
}

#[test]
fn json_nested_without_end_is_an_error() {
    #[derive(Serialize, Deserialize, Schema)]
    struct Small {
        a: u8,
    }
    let schema = TypeSchema::of::<Small>();
    let deep = "[".repeat(1_000_000);
    assert!(from_json(&schema, &deep, &Budget::default()).is_err());
    // Where it is ignored as well.
    let ignored = format!("{{\"b\":{deep}{},\"a\":1}}", "]".repeat(1_000_000));
    assert_eq!(
        from_json(&schema, &ignored, &Budget::default()).unwrap(),
        [1]
    );
}

#[test]
fn a_schema_whose_values_are_schemas_is_refused() {
    assert_eq!(TypeSchema::decode(&[25]), Err(SchemaError::SchemaOfSchemas));
}

#[test]
fn the_deepest_value_needs_little_stack() {
    // Structs within enums, to the last level; on a quarter of the stack a thread has by default, without optimization.
    let mut ty = Ty::Bool;
    for level in 1..32 {
        let data = OwnedData::Struct(
            [OwnedNamedField {
                name: "next".into(),
                ty,
            }]
            .into(),
        );
        ty = if level % 2 == 0 {
            let name = "S".into();
            Ty::Struct { name, data }
        } else {
            let name = "V".into();
            Ty::Enum {
                name: "E".into(),
                variants: [OwnedVariant { name, data }].into(),
            }
        };
    }
    let schema = decoded(&ty);
    let bytes = [vec![0; 16], vec![1]].concat();
    let small = std::thread::Builder::new().stack_size(512 * 1024);
    let both_ways = move || {
        let json = to_json(&schema, &bytes, &Budget::default()).unwrap();
        assert_eq!(
            from_json(&schema, &json, &Budget::default()).unwrap(),
            bytes
        );
        assert_eq!(
            from_json(&schema, &json.replace("true", "7"), &Budget::default())
                .unwrap_err()
                .path
                .len(),
            1 + 31 * 5 + 16 * 2
        );
    };
    small.spawn(both_ways).unwrap().join().unwrap();
}

fn structure(fields: Vec<(String, Ty)>) -> Ty {
    let fields = fields.into_iter().map(|(name, ty)| OwnedNamedField {
        name: name.into(),
        ty,
    });
    Ty::Struct {
        name: "S".into(),
        data: OwnedData::Struct(fields.collect()),
    }
}

fn seq(element: Ty) -> Ty {
    Ty::Seq {
        element: Box::new(element),
        max_len: None,
    }
}

#[test]
fn one_byte_per_element_can_not_become_500_nones_each() {
    let one = |name: &str| (name.to_owned(), Ty::U8);
    let option = |at: usize| (at.to_string(), Ty::Option(Box::new(Ty::U8)));
    let writer = decoded(&seq(structure(vec![one("a")])));
    let many = (0..500).map(option).chain([one("a")]).collect();
    let reader = decoded(&seq(structure(many)));
    let resolver = Resolver::between(&writer, &reader).unwrap();
    let bytes = postcard::to_allocvec(&vec![0_u8; 100_000]).unwrap();
    let error = resolver.resolve(&bytes, &Budget::default()).unwrap_err();
    assert!(error.over_budget, "{error}");
    // Nor what is left out become work without end: a thousand empty values for each byte.
    let empty = (0..1000).map(|at: usize| (at.to_string(), Ty::Unit));
    let writer = decoded(&seq(structure(empty.chain([one("a")]).collect())));
    let reader = decoded(&seq(structure(vec![one("a")])));
    let resolver = Resolver::between(&writer, &reader).unwrap();
    let error = resolver.resolve(&bytes, &Budget::default()).unwrap_err();
    assert!(error.over_budget, "{error}");
}

#[test]
fn elements_do_not_lose_their_size() {
    let writer = decoded(&seq(structure(vec![("a".into(), Ty::U8)])));
    let reader = decoded(&seq(structure(vec![])));
    let resolver = Resolver::between(&writer, &reader).unwrap();
    assert_eq!(resolver.resolve(&[0], &Budget::default()).unwrap(), [0]);
    let error = resolver.resolve(&[1, 7], &Budget::default()).unwrap_err();
    assert!(error.reason.contains("without a size"), "{error}");
}

#[test]
fn types_nested_without_end_are_not_resolved() {
    let limits = SchemaLimits {
        bytes: usize::MAX,
        depth: usize::MAX,
        nodes: usize::MAX,
    };
    let nested = |levels: usize| {
        let encoded = [vec![OPTION; levels], vec![U8]].concat();
        TypeSchema::decode_within(&encoded, &limits).unwrap()
    };
    let deep = nested(1_000_000);
    for other in [&deep, &nested(999_999), &nested(0)] {
        let error = Resolver::between(other, &deep).unwrap_err();
        assert!(error.reason.contains("64 levels"), "{error}");
    }
    // Within the limits, a value may have all its levels yet to come.
    let resolver = Resolver::between(&nested(0), &nested(31)).unwrap();
    let resolved = resolver.resolve(&[7], &Budget::default()).unwrap();
    assert_eq!(resolved, [vec![1; 31], vec![7]].concat());
}

#[test]
fn the_deepest_plan_needs_little_stack_and_time() {
    // Structs in structs, each with its fields the other way round, so that each level is put into order.
    let nested = |turned: bool, leaf: Ty| {
        (1..31).fold(leaf, |inner, _| {
            let mut fields = vec![("next".into(), inner), ("other".into(), Ty::U8)];
            if turned {
                fields.reverse();
            }
            structure(fields)
        })
    };
    let bytes = vec![7_u8; 1 << 20];
    let (writer, reader) = (
        decoded(&nested(false, Ty::ByteArray { max_len: None })),
        decoded(&nested(true, Ty::ByteArray { max_len: None })),
    );
    let resolve = move || {
        let resolver = Resolver::between(&writer, &reader).unwrap();
        let head = postcard::to_allocvec(&bytes.len()).unwrap();
        let value = [&head[..], &bytes, &[9; 30]].concat();
        let resolved = resolver.resolve(&value, &Budget::default()).unwrap();
        assert_eq!(resolved, [&[9; 30], &head[..], &bytes].concat());
    };
    let begun = std::time::Instant::now();
    let small = std::thread::Builder::new().stack_size(512 * 1024);
    small.spawn(resolve).unwrap().join().unwrap();
    assert!(begun.elapsed() < std::time::Duration::from_secs(5));
}
