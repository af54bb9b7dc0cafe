use quote::quote;

use super::refusal;
use crate::{event, request, schema};

#[test]
fn each_attribute_that_changes_the_bytes_is_named_with_a_reason() {
    let fields = [
        ("flatten", quote!(flatten), "map of unknown length"),
        ("skip", quote!(skip), "shifts everything behind"),
        ("skip_serializing", quote!(skip_serializing), "shifts"),
        ("skip_deserializing", quote!(skip_deserializing), "shifts"),
        (
            "skip_serializing_if",
            quote!(skip_serializing_if = "f"),
            "shifts",
        ),
        ("with", quote!(with = "m"), "can't know"),
        ("serialize_with", quote!(serialize_with = "f"), "can't know"),
        (
            "deserialize_with",
            quote!(deserialize_with = "f"),
            "can't know",
        ),
        ("alias", quote!(alias = "b"), "lost silently"),
        ("brand_new", quote!(brand_new), "not known"),
    ];
    for (name, attr, why) in fields {
        let words = refusal(
            schema::expand,
            quote!(
                struct S {
                    #[serde(#attr)]
                    a: u8,
                }
            ),
        );
        assert!(words.contains(&format!("`#[serde({name})]`")), "{words}");
        assert!(words.contains(why), "{words}");
        let words = refusal(
            schema::expand,
            quote!(
                enum E {
                    A(#[serde(#attr)] u8),
                }
            ),
        );
        assert!(words.contains(why), "{words}");
    }
    let containers = [
        ("untagged", quote!(untagged), "variant's number"),
        ("tag", quote!(tag = "t"), "variant's number"),
        ("content", quote!(content = "c"), "variant's number"),
        ("into", quote!(into = "u8"), "another type"),
        ("from", quote!(from = "u8"), "another type"),
        ("try_from", quote!(try_from = "u8"), "another type"),
        ("remote", quote!(remote = "D"), "another type"),
        (
            "deny_unknown_fields",
            quote!(deny_unknown_fields),
            "would not be kept",
        ),
    ];
    for (name, attr, why) in containers {
        let words = refusal(
            schema::expand,
            quote!(
                #[serde(#attr)]
                enum E {
                    A,
                }
            ),
        );
        assert!(words.contains(&format!("`#[serde({name})]`")), "{words}");
        assert!(words.contains(why), "{words}");
    }
    let words = refusal(
        schema::expand,
        quote!(
            enum E {
                A,
                #[serde(other)]
                B,
            }
        ),
    );
    assert!(words.contains("`#[serde(other)]`"), "{words}");
}

#[test]
fn all_refused_fields_are_told_at_once() {
    let words = refusal(
        schema::expand,
        quote!(
            struct S {
                #[serde(skip)]
                a: u8,
                b: u8,
                #[serde(flatten)]
                c: u8,
            }
        ),
    );
    assert_eq!(words.lines().count(), 2, "{words}");
}

#[test]
fn names_that_schema_and_bytes_could_not_share() {
    let two_names = quote!(
        struct S {
            #[serde(rename(serialize = "x", deserialize = "y"))]
            a: u8,
        }
    );
    assert!(refusal(schema::expand, two_names).contains("writing and reading"));
    let case = quote!(
        #[serde(rename_all = "Title Case")]
        struct S {
            a: u8,
        }
    );
    assert!(refusal(schema::expand, case).contains("camelCase"));
    let same = quote!(
        struct S {
            a: u8,
            #[serde(rename = "a")]
            b: u8,
        }
    );
    assert!(refusal(schema::expand, same).contains("named `a`"));
    let same = quote!(
        #[serde(rename_all = "lowercase")]
        enum E {
            Ab,
            AB,
        }
    );
    assert!(refusal(schema::expand, same).contains("named `ab`"));
}

#[test]
fn types_that_have_no_schema() {
    assert!(refusal(schema::expand, quote!(union U { a: u8 })).contains("union"));
    let two = quote!(
        #[serde(transparent)]
        struct S {
            a: u8,
            b: u8,
        }
    );
    assert!(refusal(schema::expand, two).contains("exactly one field"));
    let none = quote!(
        #[serde(transparent)]
        struct S;
    );
    assert!(refusal(schema::expand, none).contains("exactly one field"));
    assert!(
        refusal(
            schema::expand,
            quote!(
                #[serde(transparent)]
                enum E {
                    A,
                }
            )
        )
        .contains("enum")
    );
    let borrowed = quote!(
        #[event(topic = "a")]
        struct S<'a> {
            a: &'a str,
        }
    );
    assert!(refusal(event::expand, borrowed).contains("can't borrow"));
}

#[test]
fn topics_nobody_could_publish_on() {
    let too_long = "x".repeat(256);
    let topics = [
        ("", "at least one token"),
        (too_long.as_str(), "at most 255 bytes"),
        ("a..b", "empty token"),
        (".a", "empty token"),
        ("a.", "empty token"),
        ("a.*", "patterns"),
        ("a.>", "patterns"),
        ("*", "patterns"),
        ("a b", "' ' in topic"),
        ("a.b*", "'*' in topic"),
        ("ä", "'ä' in topic"),
        ("a/b", "'/' in topic"),
    ];
    for (topic, why) in topics {
        let words = refusal(
            event::expand,
            quote!(
                #[event(topic = #topic)]
                struct E;
            ),
        );
        assert!(words.contains(why), "{topic}: {words}");
        let words = refusal(
            request::expand,
            quote!(
                #[request(topic = #topic, reply = ())]
                struct R;
            ),
        );
        assert!(words.contains(why), "{topic}: {words}");
    }
}

#[test]
fn attributes_that_are_missing_unknown_or_doubled() {
    assert!(
        refusal(
            event::expand,
            quote!(
                struct E;
            )
        )
        .contains("needs a topic")
    );
    let twice = quote!(
        #[event(topic = "a")]
        #[event(topic = "b")]
        struct E;
    );
    assert!(refusal(event::expand, twice).contains("twice"));
    assert!(
        refusal(
            event::expand,
            quote!(
                #[event(name = "a")]
                struct E;
            )
        )
        .contains("nothing else")
    );
    assert!(
        refusal(
            request::expand,
            quote!(
                #[request(topic = "a")]
                struct R;
            )
        )
        .contains("reply")
    );
    assert!(
        refusal(
            request::expand,
            quote!(
                #[request(reply = ())]
                struct R;
            )
        )
        .contains("topic")
    );
    let twice = quote!(
        #[request(topic = "a", reply = (), reply = u8)]
        struct R;
    );
    assert!(refusal(request::expand, twice).contains("twice"));
    let unknown = quote!(
        #[request(topic = "a", reply = (), x = 1)]
        struct R;
    );
    assert!(refusal(request::expand, unknown).contains("nothing else"));
    assert!(
        refusal(
            event::expand,
            quote!(
                #[event(topic = 5)]
                struct E;
            )
        )
        .contains("string")
    );
    assert!(
        refusal(
            schema::expand,
            quote!(
                #[bus(x = y)]
                struct S;
            )
        )
        .contains("crate")
    );
}
