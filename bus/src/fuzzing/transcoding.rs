//! Hostile schemas and hostile values: whatever can be shown as JSON can be made from that JSON, and means the same.

use crate::{
    Budget, TypeSchema,
    schema::{from_json, to_json, validate},
};

/// Small, so that the bounds are met.
const BUDGET: Budget = Budget {
    nodes: 4 << 10,
    depth: 32,
    output: 16 << 10,
};

/// A schema, its length in the first byte, and a value said to be of it.
pub fn transcoding(bytes: &[u8]) {
    let Some((&length, rest)) = bytes.split_first() else {
        return;
    };
    let Some((encoded, value)) = rest.split_at_checked(usize::from(length)) else {
        return;
    };
    let Ok(schema) = TypeSchema::decode(encoded) else {
        return;
    };
    // Anybody may be told of it.
    assert!(schema.to_string().len() < 64 << 10);
    if let Ok(json) = to_json(&schema, value, &BUDGET) {
        assert!(json.len() <= BUDGET.output);
        assert!(validate(&schema, value, &BUDGET).is_ok());
        serde_json::from_str::<serde::de::IgnoredAny>(&json).expect("it is JSON");
        // What has no form of its own in JSON (a NaN is `null`) doesn't come back; what comes back is the same.
        if let Ok(again) = from_json(&schema, &json, &BUDGET) {
            assert_eq!(to_json(&schema, &again, &BUDGET).as_deref(), Ok(&*json));
        }
    }
    if let Ok(text) = std::str::from_utf8(value)
        && let Ok(made) = from_json(&schema, text, &BUDGET)
    {
        assert!(made.len() <= BUDGET.output);
        validate(&schema, &made, &BUDGET).expect("what was made fits");
    }
}
