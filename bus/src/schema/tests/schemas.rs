//! Types as values: their encoding, key, spelling, and the limits at the compiler.

use postcard_schema_ng::schema::DataModelType;
use postcard_schema_ng::schema::owned::OwnedDataModelType;
use serde::{Deserialize, Serialize};

use crate::schema::check::{Size, measure};
use crate::schema::{SchemaError, SchemaLimits, TypeKey, TypeSchema};
use crate::vocab::status::StatusReport;
use crate::{Origin, Schema, SchemaTrait};

#[derive(Serialize, Deserialize, Schema)]
struct OrderCreated {
    id: u64,
    total: f64,
}

#[derive(Serialize, Deserialize, Schema)]
enum Zoo {
    Unit,
    One(Option<Vec<u8>>),
    Two(char, ()),
    Named {
        origin: Origin,
        matrix: [[f32; 3]; 3],
    },
}

#[test]
fn the_encoding_is_the_schema_crates_own() {
    fn same<T: SchemaTrait + 'static>() {
        let schema = TypeSchema::of::<T>();
        let owned = OwnedDataModelType::from(T::SCHEMA);
        assert_eq!(schema.encoded(), postcard::to_allocvec(&owned).unwrap());
        assert_eq!(TypeSchema::decode(schema.encoded()).unwrap(), schema);
    }
    same::<OrderCreated>();
    same::<Zoo>();
    same::<StatusReport>();
    same::<TypeKey>();
}

#[test]
fn the_compiler_measures_what_the_scanner_measures() {
    fn exact<T: SchemaTrait + 'static>() {
        let size = measure(T::SCHEMA, 1, Size::ZERO);
        let encoded = postcard::to_allocvec(T::SCHEMA).unwrap();
        assert_eq!(size.bytes, encoded.len());
        let limits = SchemaLimits {
            bytes: size.bytes,
            depth: size.depth,
            nodes: size.nodes,
        };
        TypeSchema::decode_within(&encoded, &limits).unwrap();
        let depth = size.depth - 1;
        let shallower = TypeSchema::decode_within(&encoded, &SchemaLimits { depth, ..limits });
        assert_eq!(shallower, Err(SchemaError::TooDeep { limit: depth }));
        let nodes = size.nodes - 1;
        let fewer = TypeSchema::decode_within(&encoded, &SchemaLimits { nodes, ..limits });
        assert_eq!(fewer, Err(SchemaError::TooManyNodes { limit: nodes }));
    }
    exact::<OrderCreated>();
    exact::<Zoo>();
    exact::<StatusReport>();
    exact::<u8>();
    exact::<Vec<std::collections::BTreeMap<String, [i64; 200]>>>();
    assert!(measure(&DataModelType::Schema, 1, Size::ZERO).holds_schema);
}

#[test]
fn a_number_not_in_its_shortest_form_is_refused() {
    // Equal types must have equal bytes, or whole-schema comparison would be in vain.
    let short = [2];
    let long = [0x82, 0];
    TypeSchema::decode(&short).unwrap();
    assert!(matches!(
        TypeSchema::decode(&long),
        Err(SchemaError::Malformed { .. })
    ));
    assert!(matches!(
        TypeSchema::decode(&[2, 2]),
        Err(SchemaError::Malformed { at: 1, .. })
    ));
    assert!(matches!(
        TypeSchema::decode(&[]),
        Err(SchemaError::Malformed { at: 0, .. })
    ));
    assert!(matches!(
        TypeSchema::decode(&[99]),
        Err(SchemaError::Malformed { .. })
    ));
}

#[test]
fn types_whose_short_keys_collide_elsewhere_have_different_keys() {
    #[derive(Serialize, Deserialize, Schema)]
    #[serde(rename = "T")]
    struct Two {
        a: f64,
        b: u32,
    }
    #[derive(Serialize, Deserialize, Schema)]
    #[serde(rename = "T")]
    struct One {
        aqb: u32,
    }
    // The schema crate's own key takes the one for the other.
    let path = "orders.created";
    let theirs = postcard_schema_ng::key::Key::for_path::<Two>(path);
    assert_eq!(theirs, postcard_schema_ng::key::Key::for_path::<One>(path));
    let (two, one) = (TypeSchema::of::<Two>(), TypeSchema::of::<One>());
    assert_ne!(two.key(), one.key());
    assert_ne!(two, one);
}

#[test]
fn a_key_is_16_bytes_of_blake3_over_the_canonical_bytes() {
    let schema = TypeSchema::of::<u8>();
    assert_eq!(schema.encoded(), [2]);
    assert_eq!(schema.key().to_bytes(), blake3::hash(&[2]).as_bytes()[..16]);
    assert_eq!(TypeKey::from_bytes(schema.key().to_bytes()), schema.key());
    assert_eq!(schema.key().to_string().len(), 32);
}

#[test]
fn types_are_spelled_as_in_rust() {
    let spelled = |schema: TypeSchema| schema.to_string();
    assert_eq!(
        spelled(TypeSchema::of::<OrderCreated>()),
        "OrderCreated { id: u64, total: f64 }"
    );
    assert_eq!(
        spelled(TypeSchema::of::<Zoo>()),
        "enum Zoo { Unit, One(Option<Vec<u8>>), Two(char, ()), Named { origin: enum Origin { Master, \
         Worker { app: String, id: WorkerId(u64), slot: Slot(u32), generation: Generation(u64), pid: u32 }, \
         Client { name: String, conn: u64 } }, matrix: [[f32; 3]; 3] } }"
    );
    assert_eq!(spelled(TypeSchema::of::<(u8,)>()), "(u8,)");
    assert_eq!(
        spelled(TypeSchema::of::<std::collections::BTreeMap<u8, ()>>()),
        "Map<u8, ()>"
    );
}

#[test]
fn a_spelling_is_bounded_and_harmless() {
    use postcard_schema_ng::schema::owned::OwnedData;
    let hostile = OwnedDataModelType::Struct {
        name: "\u{1b}[31m\u{202e}\n".repeat(500).into(),
        data: OwnedData::Unit,
    };
    let schema = TypeSchema::decode(&postcard::to_allocvec(&hostile).unwrap()).unwrap();
    let spelled = schema.to_string();
    assert!(spelled.len() < 1100 && spelled.ends_with('…'));
    assert!(!spelled.contains(['\u{1b}', '\u{202e}', '\n']));
}
