//! Events as lines of JSON: what `tail`, `wait` and `emit --wait` print; and as lines for people.
//!
//! ```json
//! {"seq":7,"topic":"orders.created","origin":{"Client":{"name":"shop","conn":3}},"payload":{"id":1}}
//! {"lagged":12}
//! {"reconnected":true,"missed":3}
//! ```
//!
//! The names are those of the bus's own JSON codec. Plain bytes stand as `"bytes"`, in base64; a payload that is not what
//! its publisher says it is has a `"misfit"` with the reason instead. Every line is safe for a terminal and stays the same JSON.

use ostler_bus::{
    Origin,
    client::{Delivery, Payload, Received},
    wire::base64,
};
use serde::Serialize;
use serde_json::value::RawValue;

use super::style::Style;
use crate::escape;

#[derive(Serialize)]
struct EventLine<'a> {
    seq: u64,
    topic: &'a str,
    origin: &'a Origin,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    retained: bool,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    history: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    payload: Option<Box<RawValue>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    bytes: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    misfit: Option<String>,
}

#[derive(Serialize)]
struct LaggedLine {
    lagged: u64,
}

/// `missed` is null where nobody knows.
#[derive(Serialize)]
struct ReconnectedLine {
    reconnected: bool,
    missed: Option<u64>,
}

#[derive(Serialize)]
struct MisfitLine<'a> {
    topic: &'a str,
    misfit: &'a str,
    missed: u64,
}

/// An event as one line, newline included.
pub(super) fn event(received: &Received<Payload>) -> String {
    let mut line = EventLine {
        seq: received.seq,
        topic: received.topic.as_str(),
        origin: &received.origin,
        retained: received.is_retained(),
        history: received.is_history(),
        payload: None,
        bytes: None,
        misfit: None,
    };
    match &received.event {
        Payload::Bytes(bytes) => line.bytes = Some(base64::encode(bytes)),
        typed @ (Payload::Postcard { .. } | Payload::Json(_)) => {
            let json = typed.to_json().map_err(|error| error.to_string());
            match json.and_then(|json| RawValue::from_string(json).map_err(|e| e.to_string())) {
                Ok(json) => line.payload = Some(json),
                Err(reason) => line.misfit = Some(reason),
            }
        }
    }
    as_line(&line)
}

/// Whatever a subscription yields as one line; `None` for its end.
pub(super) fn delivery(delivery: &Delivery<Payload>) -> Option<String> {
    match delivery {
        Delivery::Event(received) => Some(event(received)),
        Delivery::Lagged { missed } => Some(as_line(&LaggedLine { lagged: *missed })),
        Delivery::Misfit {
            missed,
            topic,
            reason,
        } => Some(as_line(&MisfitLine {
            topic,
            misfit: reason,
            missed: *missed,
        })),
        Delivery::Reconnected { missed } => Some(as_line(&ReconnectedLine {
            reconnected: true,
            missed: *missed,
        })),
        Delivery::Disconnected(_) => None,
    }
}

/// Everything but its end, for people: number, topic, who sent it, payload.
pub(super) fn pretty(delivery: &Delivery<Payload>, style: Style) -> Option<String> {
    let line = match delivery {
        Delivery::Event(received) => {
            let before = match (received.is_retained(), received.is_history()) {
                (true, _) => " (retained)",
                (_, true) => " (before)",
                (false, false) => "",
            };
            format!(
                "{}  {}  {}  {}",
                style.dim(&format!("{}{before}", received.seq)),
                style.bold(received.topic.as_str()),
                style.dim(&origin(&received.origin)),
                payload(&received.event).unwrap_or_else(|reason| format!("({reason})"))
            )
        }
        Delivery::Lagged { missed } => style.yellow(&format!("{missed} events were lost here")),
        Delivery::Misfit {
            missed,
            topic,
            reason,
        } => style.yellow(&format!(
            "{missed} events on {} can't be read: {}",
            escape::line(topic),
            escape::line(reason)
        )),
        Delivery::Reconnected { missed: Some(0) } | Delivery::Disconnected(_) => return None,
        Delivery::Reconnected { missed } => style.yellow(&match missed {
            Some(missed) => format!("{missed} events were lost here, with the connection"),
            None => "the connection was lost here, and events with it".into(),
        }),
    };
    Some(line + "\n")
}

/// A payload alone: JSON; base64 for plain bytes.
///
/// # Errors
/// Why it is not what its publisher says it is.
pub(super) fn payload(payload: &Payload) -> Result<String, String> {
    match payload {
        Payload::Bytes(bytes) => Ok(base64::encode(bytes)),
        typed @ (Payload::Postcard { .. } | Payload::Json(_)) => match typed.to_json() {
            Ok(json) => Ok(escape::json(&json).into_owned()),
            Err(reason) => Err(escape::line(&reason.to_string()).into_owned()),
        },
    }
}

/// Who sent an event, in few words.
pub(super) fn origin(origin: &Origin) -> String {
    match origin {
        Origin::Master => "master".to_owned(),
        Origin::Worker { app, id, slot, .. } => {
            format!("{}.{slot} worker {id}", escape::line(app))
        }
        Origin::Client { name, .. } => format!("client {}", escape::line(name)),
    }
}

fn as_line(value: &impl Serialize) -> String {
    let json = serde_json::to_string(value).expect("text and numbers always have a JSON form");
    let mut line = escape::json(&json).into_owned();
    line.push('\n');
    line
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use ostler_bus::wire::flags;
    use ostler_bus::{
        Generation, Slot, Topic, TypeSchema, WorkerId, vocab::update::WorkerRestartNeeded,
    };

    use super::*;

    fn received(payload: Payload) -> Received<Payload> {
        let origin = Origin::Client {
            name: "cli".into(),
            conn: 3,
        };
        Received::new(payload, origin, Topic::new("a.b").unwrap(), 7)
    }

    const HEAD: &str = r#"{"seq":7,"topic":"a.b","origin":{"Client":{"name":"cli","conn":3}},"#;

    #[test]
    fn every_kind_of_payload_has_a_form() {
        let wish = WorkerRestartNeeded {
            app: Some("web".into()),
            reason: None,
        };
        let typed = Payload::Postcard {
            schema: TypeSchema::of::<WorkerRestartNeeded>(),
            bytes: postcard::to_stdvec(&wish).unwrap().into(),
        };
        let cases = [
            (typed, r#""payload":{"app":"web","reason":null}}"#),
            (
                Payload::Json(Bytes::from_static(b"{\"n\":\n 1.10}")),
                r#""payload":{"n":  1.10}}"#,
            ),
            (
                Payload::Bytes(Bytes::from_static(b"foob")),
                r#""bytes":"Zm9vYg=="}"#,
            ),
        ];
        for (payload, rest) in cases {
            assert_eq!(event(&received(payload)), format!("{HEAD}{rest}\n"));
        }
    }

    #[test]
    fn a_payload_that_lies_about_its_type_is_told_in_place() {
        for payload in [
            Payload::Json(Bytes::from_static(b"{\"n\":")),
            Payload::Postcard {
                schema: TypeSchema::of::<WorkerRestartNeeded>(),
                bytes: Bytes::from_static(&[9]),
            },
        ] {
            let line = event(&received(payload));
            assert!(
                line.starts_with(&format!("{HEAD}\"misfit\":\"not what")),
                "{line}"
            );
        }
    }

    #[test]
    fn strings_of_others_stay_one_harmless_line() {
        let evil = "{\"\u{202e}\":\"\u{9b}2J\u{7f}\"}";
        let line = event(&received(Payload::Json(Bytes::from_static(
            evil.as_bytes(),
        ))));
        assert!(
            line.trim_end_matches('\n')
                .chars()
                .all(|c| (' '..'\x7f').contains(&c)),
            "{line:?}"
        );
        let value: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert_eq!(value["payload"]["\u{202e}"], "\u{9b}2J\u{7f}");
    }

    #[test]
    fn people_get_one_line_each() {
        let text = Bytes::from_static("{\"a\":\"\u{202e}\"}".as_bytes());
        let retained = received(Payload::Json(text)).with_run_flags(flags::RETAINED);
        let origin = Origin::Worker {
            app: "web".into(),
            id: WorkerId(5),
            slot: Slot(1),
            generation: Generation(2),
            pid: 9,
        };
        let bytes = Payload::Bytes(Bytes::from_static(b"foob"));
        let worker = Received::new(bytes, origin, Topic::new("a.b").unwrap(), 7);
        let shown = [
            Delivery::Event(retained),
            Delivery::Event(worker),
            Delivery::Lagged { missed: 3 },
        ]
        .map(|delivery| pretty(&delivery, Style::plain()).unwrap());
        assert_eq!(
            shown,
            [
                "7 (retained)  a.b  client cli  {\"a\":\"\\u202e\"}\n",
                "7  a.b  web.1 worker 5  Zm9vYg==\n",
                "3 events were lost here\n",
            ]
        );
    }

    #[test]
    fn losses_stand_in_their_place_and_the_end_is_no_line() {
        let lagged = Delivery::Lagged { missed: 12 };
        assert_eq!(delivery(&lagged).unwrap(), "{\"lagged\":12}\n");
        let misfit = Delivery::Misfit {
            missed: 2,
            topic: "a.b".into(),
            reason: "u64 is not String".into(),
        };
        assert_eq!(
            delivery(&misfit).unwrap(),
            "{\"topic\":\"a.b\",\"misfit\":\"u64 is not String\",\"missed\":2}\n"
        );
        let end = Delivery::Disconnected(ostler_bus::client::Disconnected::Drained);
        assert_eq!(delivery(&end), None);
    }
}
