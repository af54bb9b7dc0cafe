//! Which serde attributes a type on the bus may have.
//!
//! Postcard writes what `Serialize` says and names nothing, so a schema that differs from it by one field turns every
//! value into garbage. Allowed is only what is known: what leaves the bytes alone, or what the schema repeats. Refused is
//! also what would lose something silently when the bus itself makes a value from JSON.

use syn::meta::ParseNestedMeta;
use syn::{Attribute, Expr, LitStr, Token, parenthesized, token};

use crate::case::{CASES, Case};

/// What an attribute is attached to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    Container,
    Variant,
    Field,
}

/// What serde was told about a type, a variant or a field, as far as the schema repeats it.
#[derive(Clone, Debug, Default)]
pub(crate) struct SerdeAttrs {
    pub(crate) rename: Option<String>,
    pub(crate) rename_all: Option<Case>,
    pub(crate) rename_all_fields: Option<Case>,
    pub(crate) transparent: bool,
}

impl SerdeAttrs {
    /// Reads the serde attributes among `attrs`, or says which of them is refused and why.
    pub(crate) fn read(attrs: &[Attribute], place: Place) -> syn::Result<Self> {
        let mut read = Self::default();
        for attr in attrs.iter().filter(|a| a.path().is_ident("serde")) {
            attr.parse_nested_meta(|meta| read.take(&meta, place))?;
        }
        Ok(read)
    }

    fn take(&mut self, meta: &ParseNestedMeta<'_>, place: Place) -> syn::Result<()> {
        let name = meta.path.get_ident().map(ToString::to_string);
        match (name.as_deref().unwrap_or_default(), place) {
            ("rename", _) => self.rename = Some(one_text(meta)?.value()),
            ("rename_all", Place::Container | Place::Variant) => {
                self.rename_all = Some(one_case(meta)?);
            }
            ("rename_all_fields", Place::Container) => {
                self.rename_all_fields = Some(one_case(meta)?);
            }
            ("transparent", Place::Container) => self.transparent = true,
            ("default" | "bound" | "borrow" | "crate" | "expecting", _) => pass_over(meta)?,
            (refused, _) => {
                let why = why_refused(refused);
                return Err(meta.error(format!(
                    "`#[serde({refused})]` can't be used on the bus: {why}"
                )));
            }
        }
        Ok(())
    }
}

fn why_refused(name: &str) -> &'static str {
    match name {
        "flatten" => {
            "the type would be written as a map of unknown length, while its schema says struct"
        }
        "untagged" | "tag" | "content" => {
            "the bytes would no longer begin with the variant's number, which the schema promises"
        }
        "skip" | "skip_serializing" | "skip_deserializing" | "skip_serializing_if" => {
            "a part that is left out shifts everything behind it; use an `Option`"
        }
        "with" | "serialize_with" | "deserialize_with" | "getter" => {
            "a schema can't know what that code writes; use a type that serializes this way"
        }
        "into" | "from" | "try_from" | "remote" => {
            "what is written would be another type than the one the schema describes; make that type the event"
        }
        "alias" => {
            "the bus knows one name; what comes as JSON under the other would be lost silently"
        }
        "deny_unknown_fields" => {
            "the bus ignores unknown fields when it makes a value from JSON, so the promise would not be kept"
        }
        "other" | "variant_identifier" | "field_identifier" => "the schema has no way to say it",
        _ => "it is not known to leave the bytes as the schema describes them",
    }
}

/// `name = "text"`; but not one name for writing and another for reading.
fn one_text(meta: &ParseNestedMeta<'_>) -> syn::Result<LitStr> {
    if meta.input.peek(token::Paren) {
        return Err(meta.error(
            "different names for writing and reading can't be used on the bus: a schema has one name for each part",
        ));
    }
    meta.value()?.parse()
}

fn one_case(meta: &ParseNestedMeta<'_>) -> syn::Result<Case> {
    let text = one_text(meta)?;
    Case::named(&text.value()).ok_or_else(|| {
        let known = CASES.map(|(name, _)| name).join(", ");
        syn::Error::new(
            text.span(),
            format!("serde knows no such case; it knows {known}"),
        )
    })
}

/// Reads past an attribute's value, whatever it is.
fn pass_over(meta: &ParseNestedMeta<'_>) -> syn::Result<()> {
    if meta.input.peek(Token![=]) {
        meta.value()?.parse::<Expr>()?;
    } else if meta.input.peek(token::Paren) {
        let content;
        parenthesized!(content in meta.input);
        content.parse::<proc_macro2::TokenStream>()?;
    }
    Ok(())
}
