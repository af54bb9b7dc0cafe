//! Types that change at random: what is resolved from bytes to bytes must be what `serde_json` would have carried over,
//! where JSON can carry it at all.

use postcard_schema_ng::schema::owned::{
    OwnedData, OwnedDataModelType as Ty, OwnedNamedField, OwnedVariant,
};
use proptest::prelude::*;

use super::invent::{Dice, Kept, NAMES, has_zero_sized_elements, ty, value};
use crate::schema::{Budget, Resolver, TypeSchema, from_json, to_json, validate};

/// Levels of an invented type.
const DEPTH: u32 = 4;

/// What may happen to a type.
#[derive(Clone, Copy, PartialEq)]
enum Change {
    /// What the reader of any value can follow.
    Fair,
    /// Variants may go, too.
    Lossy,
    /// Anything.
    Wild,
}

/// A later version of a type.
fn later(dice: &mut Dice, ty: &Ty, change: Change) -> Ty {
    if change == Change::Wild && dice.below(12) == 0 {
        return [Ty::String { max_len: Some(2) }, Ty::Bool, Ty::U8, Ty::Unit]
            [dice.below(4) as usize]
            .clone();
    }
    if dice.below(8) == 0 && !may_be_null(ty) {
        return Ty::Option(Box::new(later(dice, ty, change)));
    }
    match ty {
        Ty::Option(inner) => Ty::Option(Box::new(later(dice, inner, change))),
        Ty::Seq { element, .. } => Ty::Seq {
            element: Box::new(later(dice, element, change)),
            max_len: (change == Change::Wild && dice.below(2) == 0).then_some(1),
        },
        Ty::Tuple(types) => Ty::Tuple(types.iter().map(|t| later(dice, t, change)).collect()),
        Ty::Map { key, val, .. } => Ty::Map {
            key: Box::new(later_key(dice, key)),
            val: Box::new(later(dice, val, change)),
            max_len: None,
        },
        Ty::Struct { data, .. } => Ty::Struct {
            name: "Renamed".into(),
            data: later_data(dice, data, change),
        },
        Ty::Enum { variants, .. } => Ty::Enum {
            name: "Renamed".into(),
            variants: later_variants(dice, variants, change),
        },
        leaf => wider(dice, leaf),
    }
}

fn later_key(dice: &mut Dice, key: &Ty) -> Ty {
    match key {
        Ty::Struct {
            name,
            data: OwnedData::Newtype(inner),
        } => Ty::Struct {
            name: name.clone(),
            data: OwnedData::Newtype(Box::new(later_key(dice, inner))),
        },
        other => wider(dice, other),
    }
}

fn wider(dice: &mut Dice, ty: &Ty) -> Ty {
    if dice.below(3) > 0 {
        return ty.clone();
    }
    let wider: &[Ty] = match ty {
        Ty::U8 => &[Ty::U16, Ty::I16, Ty::U64, Ty::I128],
        Ty::U16 => &[Ty::U32, Ty::I64, Ty::Usize],
        Ty::U32 => &[Ty::U128, Ty::I64],
        Ty::U64 | Ty::Usize => &[Ty::U64, Ty::I128, Ty::Usize],
        Ty::I8 => &[Ty::I16, Ty::I128, Ty::Isize],
        Ty::I16 => &[Ty::I32, Ty::I64],
        Ty::I32 | Ty::I64 => &[Ty::I64, Ty::I128],
        other => return other.clone(),
    };
    wider[dice.below(wider.len() as u64) as usize].clone()
}

fn later_data(dice: &mut Dice, data: &OwnedData, change: Change) -> OwnedData {
    match data {
        OwnedData::Unit => OwnedData::Unit,
        OwnedData::Newtype(inner) => OwnedData::Newtype(Box::new(later(dice, inner, change))),
        OwnedData::Tuple(types) => {
            OwnedData::Tuple(types.iter().map(|t| later(dice, t, change)).collect())
        }
        OwnedData::Struct(fields) => {
            let mut later_fields = Vec::new();
            for field in fields {
                if dice.below(5) > 0 {
                    later_fields.push(OwnedNamedField {
                        name: field.name.clone(),
                        ty: later(dice, &field.ty, change),
                    });
                }
            }
            for name in &NAMES[5..] {
                if dice.below(4) == 0 {
                    let ty = match change == Change::Wild && dice.below(3) == 0 {
                        true => Ty::U8,
                        false => Ty::Option(Box::new(Ty::U8)),
                    };
                    let name = (*name).into();
                    later_fields.push(OwnedNamedField { name, ty });
                }
            }
            shuffle(dice, &mut later_fields);
            OwnedData::Struct(later_fields.into())
        }
    }
}

fn later_variants(
    dice: &mut Dice,
    variants: &[OwnedVariant],
    change: Change,
) -> Box<[OwnedVariant]> {
    let mut all = Vec::new();
    for variant in variants {
        if change == Change::Fair || dice.below(4) > 0 {
            all.push(OwnedVariant {
                name: variant.name.clone(),
                data: later_data(dice, &variant.data, change),
            });
        }
    }
    if dice.below(2) == 0 {
        let (name, data) = (NAMES[7].into(), OwnedData::Unit);
        all.push(OwnedVariant { name, data });
    }
    shuffle(dice, &mut all);
    all.into()
}

fn shuffle<T>(dice: &mut Dice, items: &mut [T]) {
    if dice.below(2) == 0 {
        for at in (1..items.len()).rev() {
            items.swap(at, dice.below(at as u64 + 1) as usize);
        }
    }
}

/// Whether a value may be `null` in JSON, where `Some` of it is nothing.
fn may_be_null(ty: &Ty) -> bool {
    match ty {
        Ty::Option(_) | Ty::Unit | Ty::F32 | Ty::F64 => true,
        Ty::Struct { data, .. } => match data {
            OwnedData::Unit => true,
            OwnedData::Newtype(inner) => may_be_null(inner),
            OwnedData::Tuple(_) | OwnedData::Struct(_) => false,
        },
        _ => false,
    }
}

fn schema_of(ty: &Ty) -> Option<TypeSchema> {
    // Some invented types exceed the limits; those are for other tests.
    TypeSchema::decode(&postcard::to_allocvec(ty).unwrap()).ok()
}

/// A type and a later version of it.
fn versions(dice: &mut Dice, change: Change) -> Option<(Ty, TypeSchema, TypeSchema)> {
    let old = ty(dice, DEPTH);
    let new = later(dice, &old, change);
    // A struct that lost its last field has no size; lists of it are refused.
    if has_zero_sized_elements(&old) || has_zero_sized_elements(&new) {
        return None;
    }
    let schemas = (schema_of(&old)?, schema_of(&new)?);
    Some((old, schemas.0, schemas.1))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1500))]

    #[test]
    fn a_fair_change_loses_no_value(seed in any::<u64>()) {
        let mut dice = Dice::new(seed);
        let Some((old, writer, reader)) = versions(&mut dice, Change::Fair) else { return Ok(()) };
        let resolver = Resolver::between(&writer, &reader);
        let resolver = resolver.unwrap_or_else(|error| panic!("{error}: {writer} as {reader}"));
        let budget = Budget::default();
        for kept in [Kept::InBytes, Kept::InJson] {
            let bytes = postcard::to_allocvec(&value(&mut dice, &old, kept)).unwrap();
            let resolved = resolver.resolve(&bytes, &budget).unwrap();
            validate(&reader, &resolved, &budget).unwrap();
            if kept == Kept::InJson {
                let json = to_json(&writer, &bytes, &budget).unwrap();
                let by_json = from_json(&reader, &json, &budget);
                prop_assert_eq!(Ok(resolved), by_json, "{}: {} as {}", json, writer, reader);
            }
        }
    }

    #[test]
    fn any_other_change_agrees_with_json_where_both_fit(seed in any::<u64>(), wild in any::<bool>()) {
        let mut dice = Dice::new(seed);
        let change = if wild { Change::Wild } else { Change::Lossy };
        let Some((old, writer, reader)) = versions(&mut dice, change) else { return Ok(()) };
        let Ok(resolver) = Resolver::between(&writer, &reader) else { return Ok(()) };
        let budget = Budget::default();
        let bytes = postcard::to_allocvec(&value(&mut dice, &old, Kept::InJson)).unwrap();
        let json = to_json(&writer, &bytes, &budget).unwrap();
        let by_json = from_json(&reader, &json, &budget);
        match (resolver.resolve(&bytes, &budget), by_json) {
            (Ok(resolved), Ok(by_json)) => {
                prop_assert_eq!(resolved, by_json, "{}: {} as {}", json, writer, reader);
            }
            (Ok(_), Err(error)) => prop_assert!(false, "{error}: {json}: {writer} as {reader}"),
            // JSON knows no types, so it takes what just happens to fit.
            (Err(error), _) => prop_assert!(!error.over_budget),
        }
    }

    #[test]
    fn a_type_resolves_to_itself_unchanged(seed in any::<u64>()) {
        let mut dice = Dice::new(seed);
        let ty = ty(&mut dice, DEPTH);
        let Some(schema) = schema_of(&ty) else { return Ok(()) };
        let bytes = postcard::to_allocvec(&value(&mut dice, &ty, Kept::InBytes)).unwrap();
        let resolved = Resolver::between(&schema, &schema).unwrap().resolve(&bytes, &Budget::default());
        match validate(&schema, &bytes, &Budget::default()) {
            Ok(()) => prop_assert_eq!(resolved.unwrap(), bytes),
            Err(error) => prop_assert_eq!(resolved.unwrap_err(), error),
        }
    }

    #[test]
    fn random_bytes_never_panic_and_keep_to_the_budget(
        seed in any::<u64>(),
        random in proptest::collection::vec(any::<u8>(), 0..200),
        damage in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..3),
        output in 0_usize..400,
        nodes in 0_usize..400,
    ) {
        let mut dice = Dice::new(seed);
        let old = ty(&mut dice, DEPTH);
        let new = later(&mut dice, &old, Change::Wild);
        let (Some(writer), Some(reader)) = (schema_of(&old), schema_of(&new)) else { return Ok(()) };
        let Ok(resolver) = Resolver::between(&writer, &reader) else { return Ok(()) };
        let mut near = postcard::to_allocvec(&value(&mut dice, &old, Kept::InBytes)).unwrap();
        for (at, byte) in damage.iter().filter(|_| !near.is_empty()).collect::<Vec<_>>() {
            let at = at.index(near.len());
            near[at] = *byte;
        }
        let budget = Budget { nodes, output, ..Budget::default() };
        for bytes in [random, near] {
            if let Ok(resolved) = resolver.resolve(&bytes, &budget) {
                prop_assert!(resolved.len() <= output);
                validate(&reader, &resolved, &Budget::default()).unwrap();
                validate(&writer, &bytes, &Budget::default()).unwrap();
            }
        }
    }

    #[test]
    fn unrelated_types_never_panic(one in any::<u64>(), other in any::<u64>()) {
        let types = [one, other].map(|seed| schema_of(&ty(&mut Dice::new(seed), DEPTH)));
        let [Some(writer), Some(reader)] = types else { return Ok(()) };
        match Resolver::between(&writer, &reader) {
            Ok(resolver) => prop_assert!(resolver.size() < 1 << 20),
            Err(error) => prop_assert!(error.path.starts_with('$') && !error.over_budget),
        }
    }
}
