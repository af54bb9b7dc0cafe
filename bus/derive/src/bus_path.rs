//! Where generated code finds the bus crate.
//!
//! An app may depend on `ostler-bus`, or on the SDK alone, which brings it along as its module `bus`; and it may have
//! given either another name. So the app's manifest is asked.

use proc_macro_crate::{FoundCrate, crate_name};
use proc_macro2::Span;
use syn::{DeriveInput, Ident, Path, parse_quote};

/// `#[bus(crate = …)]`; else the dependency that brings the bus.
pub(crate) fn bus_path(input: &DeriveInput) -> syn::Result<Path> {
    let mut given: Option<Path> = None;
    for attr in input.attrs.iter().filter(|a| a.path().is_ident("bus")) {
        attr.parse_nested_meta(|meta| {
            if !meta.path.is_ident("crate") {
                return Err(meta.error("only `crate = path::to::bus` is known here"));
            }
            given = Some(meta.value()?.parse()?);
            Ok(())
        })?;
    }
    Ok(given.unwrap_or_else(|| among_dependencies(|package| crate_name(package).ok())))
}

/// The bus by its own name also where it is not found: the compiler then says what is missing.
fn among_dependencies(lookup: impl Fn(&str) -> Option<FoundCrate>) -> Path {
    if let Some(FoundCrate::Name(name)) = lookup("ostler-bus") {
        let bus = Ident::new(&name, Span::call_site());
        return parse_quote!(::#bus);
    }
    if let Some(FoundCrate::Name(name)) = lookup("ostler-worker-sdk") {
        let sdk = Ident::new(&name, Span::call_site());
        return parse_quote!(::#sdk::bus);
    }
    // Within `ostler-bus` too, which goes by its own name: its tests, examples and doc-tests are crates beside it.
    parse_quote!(::ostler_bus)
}

#[cfg(test)]
mod tests {
    use proc_macro_crate::FoundCrate::{Itself, Name};
    use quote::ToTokens;

    use super::*;

    fn path(dependencies: &[(&str, FoundCrate)]) -> String {
        let found = among_dependencies(|package| {
            let mut all = dependencies.iter();
            all.find(|(name, _)| *name == package)
                .map(|(_, found)| found.clone())
        });
        found.to_token_stream().to_string().replace(' ', "")
    }

    #[test]
    fn the_bus_is_found_by_whatever_name_it_has() {
        let name = |name: &str| Name(name.into());
        let cases = [
            (vec![], "::ostler_bus"),
            (vec![("ostler-bus", Itself)], "::ostler_bus"),
            (vec![("ostler-bus", name("b"))], "::b"),
            (vec![("ostler-worker-sdk", name("sdk"))], "::sdk::bus"),
            (
                vec![
                    ("ostler-worker-sdk", Itself),
                    ("ostler-bus", name("ostler_bus")),
                ],
                "::ostler_bus",
            ),
            (
                vec![
                    ("ostler-worker-sdk", name("sdk")),
                    ("ostler-bus", name("b")),
                ],
                "::b",
            ),
        ];
        for (dependencies, expected) in cases {
            assert_eq!(path(&dependencies), expected, "{dependencies:?}");
        }
    }

    #[test]
    fn what_was_given_wins() {
        let input = parse_quote! {
            #[bus(crate = my::own::bus)]
            struct A;
        };
        let found = bus_path(&input).unwrap();
        assert_eq!(
            found.to_token_stream().to_string().replace(' ', ""),
            "my::own::bus"
        );
    }
}
