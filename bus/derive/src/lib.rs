//! Derives for `ostler-bus`: `Event`, `Request` and `Schema`.

use proc_macro::TokenStream;
use quote::quote;
use syn::{Data, DeriveInput, Fields, LitStr, Type, parse_macro_input};

fn schema_impl(input: &DeriveInput) -> proc_macro2::TokenStream {
    let name = &input.ident;
    let text = name.to_string();
    let ps = quote!(::ostler_bus::__private::postcard_schema_ng);
    let fields = |fields: &Fields| match fields {
        Fields::Named(f) => {
            let f = f.named.iter().map(|f| {
                let n = f
                    .ident
                    .as_ref()
                    .map(ToString::to_string)
                    .unwrap_or_default();
                let ty = &f.ty;
                quote!(&#ps::schema::NamedField { name: #n, ty: <#ty as #ps::Schema>::SCHEMA })
            });
            quote!(#ps::schema::Data::Struct(&[#(#f),*]))
        }
        Fields::Unnamed(f) if f.unnamed.len() == 1 => {
            let ty = &f.unnamed[0].ty;
            quote!(#ps::schema::Data::Newtype(<#ty as #ps::Schema>::SCHEMA))
        }
        Fields::Unnamed(f) => {
            let f = f.unnamed.iter().map(|f| {
                let ty = &f.ty;
                quote!(<#ty as #ps::Schema>::SCHEMA)
            });
            quote!(#ps::schema::Data::Tuple(&[#(#f),*]))
        }
        Fields::Unit => quote!(#ps::schema::Data::Unit),
    };
    let body = match &input.data {
        Data::Struct(s) => {
            let d = fields(&s.fields);
            quote!(&#ps::schema::DataModelType::Struct { name: #text, data: #d })
        }
        Data::Enum(e) => {
            let v = e.variants.iter().map(|v| {
                let n = v.ident.to_string();
                let d = fields(&v.fields);
                quote!(&#ps::schema::Variant { name: #n, data: #d })
            });
            quote!(&#ps::schema::DataModelType::Enum { name: #text, variants: &[#(#v),*] })
        }
        Data::Union(_) => panic!("unions cannot be events"),
    };
    quote!(impl #ps::Schema for #name { const SCHEMA: &'static #ps::schema::DataModelType = #body; })
}

/// Derives the schema of a nested type.
#[proc_macro_derive(Schema)]
pub fn schema(input: TokenStream) -> TokenStream {
    schema_impl(&parse_macro_input!(input as DeriveInput)).into()
}

/// Derives `Event` (and its schema).
#[proc_macro_derive(Event, attributes(event))]
pub fn event(input: TokenStream) -> TokenStream {
    let input = parse_macro_input!(input as DeriveInput);
    let mut topic: Option<LitStr> = None;
    for a in input.attrs.iter().filter(|a| a.path().is_ident("event")) {
        a.parse_nested_meta(|m| {
            topic = Some(m.value()?.parse()?);
            Ok(())
        })
        .unwrap();
    }
    let name = &input.ident;
    let schema = schema_impl(&input);
    quote!(#schema impl ::ostler_bus::Event for #name { const TOPIC: &'static str = #topic; })
        .into()
}

/// Derives `Request` (and its schema, unless `Event` is derived too).
#[proc_macro_derive(Request, attributes(request))]
pub fn request(input: TokenStream) -> TokenStream {
    let input = parse_macro_input!(input as DeriveInput);
    let (mut topic, mut reply): (Option<LitStr>, Option<Type>) = (None, None);
    for a in input.attrs.iter().filter(|a| a.path().is_ident("request")) {
        a.parse_nested_meta(|m| {
            if m.path.is_ident("topic") {
                topic = Some(m.value()?.parse()?);
            } else {
                reply = Some(m.value()?.parse()?);
            }
            Ok(())
        })
        .unwrap();
    }
    let name = &input.ident;
    let schema = if input.attrs.iter().any(|a| a.path().is_ident("event")) {
        quote!()
    } else {
        schema_impl(&input)
    };
    quote!(#schema impl ::ostler_bus::Request for #name { const TOPIC: &'static str = #topic; type Reply = #reply; }).into()
}
