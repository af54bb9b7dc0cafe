//! Two versions of a type, both hostile, and a value: whatever is resolved is a value of the reader's type, within the budget.

use crate::{
    Budget, TypeSchema,
    schema::{Resolver, validate},
};

/// Small, so that the bounds are met.
const BUDGET: Budget = Budget {
    nodes: 4 << 10,
    depth: 32,
    output: 16 << 10,
};

/// Memory that a resolver may take: types are bounded, and what is worked out from them is as well.
const RESOLVER_BYTES: usize = 1 << 20;

/// The writer's schema and the reader's, each behind a byte with its length, and a value said to be the writer's.
pub fn resolution(bytes: &[u8]) {
    let Some((writer, rest)) = schema(bytes) else {
        return;
    };
    let Some((reader, value)) = schema(rest) else {
        return;
    };
    // A hostile type need not even be readable as itself: one that has a name twice has no counterpart for the second.
    for reader in [&reader, &writer] {
        match Resolver::between(&writer, reader) {
            Ok(resolver) => resolved(&resolver, value),
            Err(error) => {
                assert!(!error.over_budget, "no value was looked at: {error}");
                assert!(error.path.starts_with('$'), "{error}");
            }
        }
    }
}

fn resolved(resolver: &Resolver, value: &[u8]) {
    assert!(resolver.size() < RESOLVER_BYTES);
    if let Ok(made) = resolver.resolve(value, &BUDGET) {
        assert!(made.len() <= BUDGET.output);
        let (writer, reader) = (resolver.writer(), resolver.reader());
        validate(reader, &made, &Budget::default()).expect("what was made is the reader's");
        validate(writer, value, &Budget::default()).expect("what it was made of is the writer's");
    }
}

/// A schema behind its length, and what follows it.
fn schema(bytes: &[u8]) -> Option<(TypeSchema, &[u8])> {
    let (&length, rest) = bytes.split_first()?;
    let (encoded, rest) = rest.split_at_checked(usize::from(length))?;
    Some((TypeSchema::decode(encoded).ok()?, rest))
}
