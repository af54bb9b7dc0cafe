use quote::quote;

use super::expanded;
use crate::case::{CASES, Case};
use crate::{event, request, schema};

#[test]
fn names_follow_serde() {
    let out = expanded(
        schema::expand,
        quote! {
            #[serde(rename = "Other", rename_all = "camelCase", rename_all_fields = "kebab-case")]
            enum E {
                FirstOne { a_b: u8, #[serde(rename = "zz", default)] c: u8 },
                #[serde(rename = "x", rename_all = "UPPERCASE")]
                Second { a_b: u8 },
                r#Third(u8),
            }
        },
    );
    for expected in [
        r#"name:"Other""#,
        r#"name:"firstOne""#,
        r#"name:"a-b""#,
        r#"name:"zz""#,
        r#"name:"x""#,
        r#"name:"A_B""#,
        r#"name:"third""#,
    ] {
        assert!(out.contains(expected), "{expected} in {out}");
    }
}

#[test]
fn raw_identifiers_lose_their_prefix() {
    let out = expanded(
        schema::expand,
        quote!(
            struct r#Struct {
                r#type: u8,
            }
        ),
    );
    assert!(
        out.contains(r#"name:"Struct""#) && out.contains(r#"name:"type""#),
        "{out}"
    );
}

#[test]
fn transparent_is_its_one_field() {
    let out = expanded(
        schema::expand,
        quote!(
            #[serde(transparent)]
            struct T {
                inner: Vec<u8>,
            }
        ),
    );
    assert!(!out.contains("DataModelType::Struct"), "{out}");
    assert!(out.contains("DataModelType=<Vec<u8>as"), "{out}");
}

#[test]
fn harmless_attributes_are_passed_over() {
    expanded(
        schema::expand,
        quote! {
            #[serde(bound(serialize = "T: X", deserialize = "T: Y"), default = "make", crate = "serde", expecting = "a thing")]
            struct S<T> { #[serde(borrow, default)] a: T }
        },
    );
}

#[test]
fn event_and_request_on_one_type_share_the_schema() {
    let both = quote! {
        #[event(topic = "a.b")]
        #[request(topic = "a.b", reply = Vec<u8>)]
        struct Both { a: u8 }
    };
    let (event, request) = (
        expanded(event::expand, both.clone()),
        expanded(request::expand, both),
    );
    assert_eq!(event.matches("Schemafor").count(), 1, "{event}");
    assert_eq!(request.matches("Schemafor").count(), 0, "{request}");
    assert!(request.contains("typeReply=Vec<u8>;"), "{request}");

    let alone = quote!(
        #[request(topic = "a.b", reply = ())]
        struct Alone;
    );
    let alone = expanded(request::expand, alone);
    assert_eq!(alone.matches("Schemafor").count(), 1, "{alone}");
}

#[test]
fn generics_are_bounded_and_checked_where_used() {
    let generic = quote! {
        #[event(topic = "a")]
        struct G<T: Clone = u8, const N: usize = 3> where T: Copy { a: [T; N] }
    };
    let out = expanded(event::expand, generic);
    assert!(
        out.contains("T:Clone+::ostler_bus::__private::postcard_schema_ng::Schema"),
        "{out}"
    );
    assert!(
        out.contains("::ostler_bus::EventforG<T,N>whereT:Copy,G<T,N>:"),
        "{out}"
    );
    assert!(!out.contains("assert_fits"), "{out}");
    let plain = expanded(
        event::expand,
        quote!(
            #[event(topic = "a")]
            struct P;
        ),
    );
    assert!(plain.contains("assert_fits"), "{plain}");
}

#[test]
fn the_bus_may_have_another_name() {
    let out = expanded(
        event::expand,
        quote!(
            #[event(topic = "a")]
            #[bus(crate = my_sdk::bus)]
            struct E;
        ),
    );
    assert!(out.contains("my_sdk::bus::EventforE"), "{out}");
    assert!(!out.contains("::ostler_bus"), "{out}");
}

#[test]
fn every_topic_a_publisher_may_use_is_taken() {
    let longest = "x".repeat(255);
    for topic in ["a", "_sys.worker.ready", "A-1._b.0", longest.as_str()] {
        expanded(
            event::expand,
            quote!(
                #[event(topic = #topic)]
                struct E;
            ),
        );
    }
}

#[test]
fn odd_names_do_not_panic() {
    for (_, case) in CASES {
        for name in ["_", "__", "_a", "a__b", "é", "É_x", ""] {
            case.of_field(name);
            case.of_variant(name);
        }
    }
    assert_eq!(Case::Camel.of_field("_a__b"), "aB");
    assert_eq!(Case::Snake.of_variant("HTTPServer"), "h_t_t_p_server");
}
