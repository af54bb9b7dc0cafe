//! `#[derive(Event)]`.

use proc_macro2::TokenStream;
use quote::quote;
use syn::{DeriveInput, LitStr};

use crate::{bus_path::bus_path, schema, topic};

pub(crate) fn expand(input: &DeriveInput) -> syn::Result<TokenStream> {
    let topic = topic_of(input)?;
    let schema = schema::expand(input)?;
    let bus = bus_path(input)?;
    let generics = schema::owned_generics(input, &bus, "an event")?;
    let fits = schema::assert_fits(input, &bus);
    let (impl_generics, _, where_clause) = generics.split_for_impl();
    let (_, ty_generics, _) = input.generics.split_for_impl();
    let name = &input.ident;
    Ok(quote! {
        #schema
        #[automatically_derived]
        impl #impl_generics #bus::Event for #name #ty_generics #where_clause {
            const TOPIC: &'static str = #topic;
        }
        #fits
    })
}

fn topic_of(input: &DeriveInput) -> syn::Result<LitStr> {
    let mut topic: Option<LitStr> = None;
    for attr in input.attrs.iter().filter(|a| a.path().is_ident("event")) {
        attr.parse_nested_meta(|meta| {
            if !meta.path.is_ident("topic") {
                return Err(meta.error("an event has a `topic` and nothing else"));
            }
            if topic.is_some() {
                return Err(meta.error("the topic is given twice"));
            }
            topic = Some(meta.value()?.parse()?);
            Ok(())
        })?;
    }
    let Some(topic) = topic else {
        let help = "an event needs a topic: `#[event(topic = \"orders.created\")]`";
        return Err(syn::Error::new(input.ident.span(), help));
    };
    topic::check(&topic)?;
    Ok(topic)
}
