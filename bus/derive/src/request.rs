//! `#[derive(Request)]`.

use proc_macro2::TokenStream;
use quote::quote;
use syn::{DeriveInput, LitStr, Type};

use crate::{bus_path::bus_path, schema, topic};

pub(crate) fn expand(input: &DeriveInput) -> syn::Result<TokenStream> {
    let (topic, reply) = attributes_of(input)?;
    let schema = schema::expand(input)?;
    // `Event`, derived for the same type, brings the schema already.
    let is_event = input.attrs.iter().any(|a| a.path().is_ident("event"));
    let schema = if is_event { quote!() } else { schema };
    let bus = bus_path(input)?;
    let generics = schema::owned_generics(input, &bus, "a request")?;
    let fits = schema::assert_fits(input, &bus);
    let (impl_generics, _, where_clause) = generics.split_for_impl();
    let (_, ty_generics, _) = input.generics.split_for_impl();
    let name = &input.ident;
    Ok(quote! {
        #schema
        #[automatically_derived]
        impl #impl_generics #bus::Request for #name #ty_generics #where_clause {
            const TOPIC: &'static str = #topic;
            type Reply = #reply;
        }
        #fits
    })
}

fn attributes_of(input: &DeriveInput) -> syn::Result<(LitStr, Type)> {
    let (mut topic, mut reply): (Option<LitStr>, Option<Type>) = (None, None);
    for attr in input.attrs.iter().filter(|a| a.path().is_ident("request")) {
        attr.parse_nested_meta(|meta| {
            let twice = if meta.path.is_ident("topic") {
                topic.replace(meta.value()?.parse()?).is_some()
            } else if meta.path.is_ident("reply") {
                reply.replace(meta.value()?.parse()?).is_some()
            } else {
                return Err(meta.error("a request has a `topic` and a `reply` and nothing else"));
            };
            if twice {
                return Err(meta.error("this is given twice"));
            }
            Ok(())
        })?;
    }
    let (Some(topic), Some(reply)) = (topic, reply) else {
        let help = "a request needs a topic and the type of its reply: `#[request(topic = \"orders.price\", reply = Price)]`";
        return Err(syn::Error::new(input.ident.span(), help));
    };
    topic::check(&topic)?;
    Ok((topic, reply))
}
