//! Random types with random values, and with random bytes.

use postcard_schema_ng::schema::owned::OwnedDataModelType;
use proptest::prelude::*;

use super::invent::{Dice, Kept, has_zero_sized_elements, ty, value};
use crate::schema::{Budget, TypeSchema, from_json, to_json, validate};

/// Levels of an invented type.
const DEPTH: u32 = 5;

fn schema_of(ty: &OwnedDataModelType) -> Option<TypeSchema> {
    // Some invented types exceed the limits; those are for other tests.
    TypeSchema::decode(&postcard::to_allocvec(ty).unwrap()).ok()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn any_value_is_shown_as_serde_json_shows_it(seed in any::<u64>()) {
        let mut dice = Dice::new(seed);
        let ty = ty(&mut dice, DEPTH);
        let Some(schema) = schema_of(&ty) else { return Ok(()) };
        let value = value(&mut dice, &ty, Kept::InBytes);
        let bytes = postcard::to_allocvec(&value).unwrap();
        let budget = Budget::default();
        if has_zero_sized_elements(&ty) {
            prop_assert_eq!(
                to_json(&schema, &bytes, &budget).is_ok(),
                validate(&schema, &bytes, &budget).is_ok()
            );
            return Ok(());
        }
        validate(&schema, &bytes, &budget).unwrap();
        prop_assert_eq!(
            to_json(&schema, &bytes, &budget).unwrap(),
            serde_json::to_string(&value).unwrap(),
            "{}", schema
        );
    }

    #[test]
    fn what_json_keeps_comes_back_as_the_same_bytes(seed in any::<u64>()) {
        let mut dice = Dice::new(seed);
        let ty = ty(&mut dice, DEPTH);
        let Some(schema) = schema_of(&ty) else { return Ok(()) };
        let value = value(&mut dice, &ty, Kept::InJson);
        let bytes = postcard::to_allocvec(&value).unwrap();
        let json = serde_json::to_string(&value).unwrap();
        match from_json(&schema, &json, &Budget::default()) {
            Ok(back) => prop_assert_eq!(back, bytes, "{} as {}", json, schema),
            Err(error) => prop_assert!(has_zero_sized_elements(&ty), "{error}: {json} as {schema}"),
        }
    }

    #[test]
    fn random_bytes_never_panic_and_keep_to_the_budget(
        seed in any::<u64>(),
        bytes in proptest::collection::vec(any::<u8>(), 0..200),
        output in 0_usize..400,
        nodes in 0_usize..400,
    ) {
        let ty = ty(&mut Dice::new(seed), DEPTH);
        let Some(schema) = schema_of(&ty) else { return Ok(()) };
        let budget = Budget { nodes, output, ..Budget::default() };
        if let Ok(json) = to_json(&schema, &bytes, &budget) {
            prop_assert!(json.len() <= output);
            serde_json::from_str::<serde::de::IgnoredAny>(&json).unwrap();
            validate(&schema, &bytes, &budget).unwrap();
        }
        // A value tells its own length: no value is the beginning of another.
        if validate(&schema, &bytes, &Budget::default()).is_ok() && !bytes.is_empty() {
            prop_assert!(validate(&schema, &bytes[..bytes.len() - 1], &Budget::default()).is_err());
        }
    }

    #[test]
    fn random_json_never_panics_and_keeps_to_the_budget(
        seed in any::<u64>(),
        other in any::<u64>(),
        cut in any::<prop::sample::Index>(),
        output in 0_usize..400,
        nodes in 0_usize..400,
    ) {
        // JSON of one type for another, whole and cut off.
        let mut dice = Dice::new(other);
        let written = ty(&mut dice, 3);
        let json = serde_json::to_string(&value(&mut dice, &written, Kept::InBytes)).unwrap();
        let read = ty(&mut Dice::new(seed), 3);
        let Some(schema) = schema_of(&read) else { return Ok(()) };
        let budget = Budget { nodes, output, ..Budget::default() };
        let mut end = cut.index(json.len() + 1);
        while !json.is_char_boundary(end) {
            end -= 1;
        }
        for json in [&json[..], &json[..end]] {
            if let Ok(bytes) = from_json(&schema, json, &budget) {
                prop_assert!(bytes.len() <= output);
                validate(&schema, &bytes, &Budget::default()).unwrap();
            }
        }
    }

    #[test]
    fn random_schemas_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
        if let Ok(schema) = TypeSchema::decode(&bytes) {
            let theirs: OwnedDataModelType = postcard::from_bytes(&bytes).unwrap();
            prop_assert_eq!(postcard::to_allocvec(&theirs).unwrap(), schema.encoded());
            prop_assert!(schema.to_string().len() < 1100);
        }
    }

    /// Bytes near a real schema get further than random ones.
    #[test]
    fn damaged_schemas_never_panic(
        seed in any::<u64>(),
        damage in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let mut bytes = postcard::to_allocvec(&ty(&mut Dice::new(seed), DEPTH)).unwrap();
        for (at, byte) in damage {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        if let Ok(schema) = TypeSchema::decode(&bytes) {
            let theirs: OwnedDataModelType = postcard::from_bytes(&bytes).unwrap();
            prop_assert_eq!(postcard::to_allocvec(&theirs).unwrap(), schema.encoded());
            let _ = to_json(&schema, &bytes, &Budget::default());
        }
    }
}
