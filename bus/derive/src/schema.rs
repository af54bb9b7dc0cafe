//! `#[derive(Schema)]`, and what the other derives share with it.

use std::collections::HashSet;

use proc_macro2::TokenStream;
use quote::{format_ident, quote, quote_spanned};
use syn::ext::IdentExt;
use syn::spanned::Spanned;
use syn::{
    Data, DeriveInput, Field, Fields, GenericParam, Generics, Path, Variant, WherePredicate,
    parse_quote,
};

use crate::bus_path::bus_path;
use crate::case::Case;
use crate::serde_attrs::{Place, SerdeAttrs};

/// The schema of a type: an `impl` of the schema crate's trait.
pub(crate) fn expand(input: &DeriveInput) -> syn::Result<TokenStream> {
    let bus = bus_path(input)?;
    let schema = quote!(#bus::__private::postcard_schema_ng);
    let body = Builder { schema: &schema }.ty(input)?;
    let mut generics = input.generics.clone();
    for param in &mut generics.params {
        if let GenericParam::Type(param) = param {
            param.bounds.push(parse_quote!(#schema::Schema));
        }
    }
    let (impl_generics, ty_generics, where_clause) = generics.split_for_impl();
    let name = &input.ident;
    Ok(quote! {
        #[automatically_derived]
        impl #impl_generics #schema::Schema for #name #ty_generics #where_clause {
            const SCHEMA: &'static #schema::schema::DataModelType = #body;
        }
    })
}

/// The generics of an `impl` of `Event` or `Request`: what those demand of the type, demanded where it is generic.
pub(crate) fn owned_generics(input: &DeriveInput, bus: &Path, what: &str) -> syn::Result<Generics> {
    if let Some(lifetime) = input.generics.lifetimes().next() {
        let message = format!("{what} outlives its sender and so can't borrow; use owned types");
        return Err(syn::Error::new(lifetime.span(), message));
    }
    let mut generics = input.generics.clone();
    if generics.type_params().next().is_some() {
        let name = &input.ident;
        let (_, ty_generics, _) = input.generics.split_for_impl();
        let private = quote!(#bus::__private);
        let predicate: WherePredicate = parse_quote! {
            #name #ty_generics: #private::serde::Serialize
                + #private::serde::de::DeserializeOwned
                + #private::postcard_schema_ng::Schema
                + ::core::marker::Send
                + 'static
        };
        generics.make_where_clause().predicates.push(predicate);
    }
    Ok(generics)
}

/// Checks at once that the type is within the bus's limits. A generic one is checked where it is used.
pub(crate) fn assert_fits(input: &DeriveInput, bus: &Path) -> TokenStream {
    if !input.generics.params.is_empty() {
        return quote!();
    }
    let name = &input.ident;
    quote_spanned! {name.span()=>
        const _: () = #bus::__private::assert_fits(
            <#name as #bus::__private::postcard_schema_ng::Schema>::SCHEMA,
        );
    }
}

/// Builds the constant.
struct Builder<'a> {
    /// Path of the schema crate.
    schema: &'a TokenStream,
}

impl Builder<'_> {
    fn ty(&self, input: &DeriveInput) -> syn::Result<TokenStream> {
        let attrs = SerdeAttrs::read(&input.attrs, Place::Container)?;
        let schema = self.schema;
        let name = attrs
            .rename
            .clone()
            .unwrap_or_else(|| input.ident.unraw().to_string());
        match &input.data {
            Data::Struct(data) if attrs.transparent => self.transparent(input, &data.fields),
            Data::Struct(data) => {
                let data = self.data(&data.fields, attrs.rename_all)?;
                Ok(quote!(&#schema::schema::DataModelType::Struct { name: #name, data: #data }))
            }
            Data::Enum(_) if attrs.transparent => {
                let message =
                    "an enum can't be transparent: its bytes begin with the variant's number";
                Err(syn::Error::new(input.ident.span(), message))
            }
            Data::Enum(data) => {
                let variants = collect(data.variants.iter().map(|v| self.variant(v, &attrs)))?;
                unique(variants.iter().map(|v| (&v.name, v.span)))?;
                let variants = variants.iter().map(|v| &v.tokens);
                Ok(quote! {
                    &#schema::schema::DataModelType::Enum { name: #name, variants: &[#(#variants),*] }
                })
            }
            Data::Union(_) => Err(syn::Error::new(
                input.ident.span(),
                "a union can't travel: nobody could tell what is in it",
            )),
        }
    }

    /// The one field's own schema: serde writes a transparent struct as that field.
    fn transparent(&self, input: &DeriveInput, fields: &Fields) -> syn::Result<TokenStream> {
        let mut all = fields.iter();
        match (all.next(), all.next()) {
            (Some(only), None) => {
                SerdeAttrs::read(&only.attrs, Place::Field)?;
                Ok(self.of_type(only))
            }
            _ => Err(syn::Error::new(
                input.ident.span(),
                "on the bus, `#[serde(transparent)]` is for structs of exactly one field",
            )),
        }
    }

    fn variant(&self, variant: &Variant, container: &SerdeAttrs) -> syn::Result<Named> {
        let schema = self.schema;
        let attrs = SerdeAttrs::read(&variant.attrs, Place::Variant)?;
        let own = variant.ident.unraw().to_string();
        let name = match (attrs.rename, container.rename_all) {
            (Some(name), _) => name,
            (None, Some(case)) => case.of_variant(&own),
            (None, None) => own,
        };
        let data = self.data(
            &variant.fields,
            attrs.rename_all.or(container.rename_all_fields),
        )?;
        Ok(Named {
            tokens: quote!(&#schema::schema::Variant { name: #name, data: #data }),
            span: variant.ident.span(),
            name,
        })
    }

    fn data(&self, fields: &Fields, case: Option<Case>) -> syn::Result<TokenStream> {
        let data = quote_data(self.schema);
        match fields {
            Fields::Unit => Ok(quote!(#data::Unit)),
            Fields::Named(fields) => {
                let fields = collect(fields.named.iter().map(|f| self.field(f, case)))?;
                unique(fields.iter().map(|f| (&f.name, f.span)))?;
                let fields = fields.iter().map(|f| &f.tokens);
                Ok(quote!(#data::Struct(&[#(#fields),*])))
            }
            Fields::Unnamed(fields) => {
                let types = collect(fields.unnamed.iter().map(|field| {
                    SerdeAttrs::read(&field.attrs, Place::Field)?;
                    Ok(self.of_type(field))
                }))?;
                match types.as_slice() {
                    [only] => Ok(quote!(#data::Newtype(#only))),
                    types => Ok(quote!(#data::Tuple(&[#(#types),*]))),
                }
            }
        }
    }

    fn field(&self, field: &Field, case: Option<Case>) -> syn::Result<Named> {
        let schema = self.schema;
        let attrs = SerdeAttrs::read(&field.attrs, Place::Field)?;
        let ident = field.ident.clone().unwrap_or_else(|| format_ident!("_"));
        let own = ident.unraw().to_string();
        let name = match (attrs.rename, case) {
            (Some(name), _) => name,
            (None, Some(case)) => case.of_field(&own),
            (None, None) => own,
        };
        let ty = self.of_type(field);
        Ok(Named {
            tokens: quote!(&#schema::schema::NamedField { name: #name, ty: #ty }),
            span: ident.span(),
            name,
        })
    }

    /// The schema of a field's type; a missing one is reported at the type.
    fn of_type(&self, field: &Field) -> TokenStream {
        let (schema, ty) = (self.schema, &field.ty);
        quote_spanned!(ty.span()=> <#ty as #schema::Schema>::SCHEMA)
    }
}

/// A field or variant under the name it has in JSON.
struct Named {
    name: String,
    span: proc_macro2::Span,
    tokens: TokenStream,
}

fn quote_data(schema: &TokenStream) -> TokenStream {
    quote!(#schema::schema::Data)
}

/// All of them, or all errors at once.
fn collect<T>(results: impl Iterator<Item = syn::Result<T>>) -> syn::Result<Vec<T>> {
    let mut all = Vec::new();
    let mut errors: Option<syn::Error> = None;
    for result in results {
        match (result, &mut errors) {
            (Ok(value), _) => all.push(value),
            (Err(error), Some(errors)) => errors.combine(error),
            (Err(error), none) => *none = Some(error),
        }
    }
    errors.map_or(Ok(all), Err)
}

/// Refuses two parts that renaming has given one name: JSON could hold only one of them.
fn unique<'a>(names: impl Iterator<Item = (&'a String, proc_macro2::Span)>) -> syn::Result<()> {
    let mut seen = HashSet::new();
    for (name, span) in names {
        if !seen.insert(name) {
            let message = format!("another part is named `{name}` as well, after renaming");
            return Err(syn::Error::new(span, message));
        }
    }
    Ok(())
}
