//! Which triggers stand for the same wish.

use serde::Serialize;

use crate::{
    Event, Generation, Origin, Topic,
    vocab::{
        status::MasterStatus,
        update::{SystemRestartNeeded, WorkerRestartNeeded},
    },
    wire::data::Payload,
};

/// What a trigger stands for. It asks for the same as another one of the same asker that was not heard yet; those of
/// different askers don't replace each other, because one of them may be refused.
#[derive(Serialize)]
enum Meaning<'a> {
    /// From this app and generation, or from no worker: replace the workers of this app, or of all.
    Restart(Option<(&'a str, Generation)>, Option<String>),
    /// The server needs a restart, whoever says so.
    SystemRestart,
    /// From this app, or from no worker: tell the status, on this topic too.
    Status(Option<&'a str>, Option<String>),
}

pub(super) fn conflate(
    topic: &Topic,
    origin: &Origin,
    kind: Payload,
    payload: &[u8],
) -> Option<Vec<u8>> {
    let worker = match origin {
        Origin::Worker {
            app, generation, ..
        } => Some((app.as_str(), *generation)),
        Origin::Master | Origin::Client { .. } => None,
    };
    let meaning = match topic.as_str() {
        WorkerRestartNeeded::TOPIC => {
            let asked = read::<WorkerRestartNeeded>(kind, payload)?;
            let own = || worker.map(|(app, _)| app.to_owned());
            Meaning::Restart(worker, asked.app.or_else(own))
        }
        SystemRestartNeeded::TOPIC => Meaning::SystemRestart,
        <MasterStatus as Event>::TOPIC => {
            let asked = read::<MasterStatus>(kind, payload)?;
            Meaning::Status(worker.map(|(app, _)| app), asked.id)
        }
        _ => return None,
    };
    postcard::to_stdvec(&meaning).ok()
}

fn read<E: Event>(kind: Payload, payload: &[u8]) -> Option<E> {
    match kind {
        Payload::Postcard(_) => postcard::from_bytes(payload).ok(),
        Payload::Json => serde_json::from_slice(payload).ok(),
        Payload::Bytes => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Slot, WorkerId};

    fn worker(app: &str) -> Origin {
        Origin::Worker {
            app: app.into(),
            id: WorkerId(1),
            slot: Slot(0),
            generation: Generation(1),
            pid: 7,
        }
    }

    fn client() -> Origin {
        Origin::Client {
            name: "c".into(),
            conn: 9,
        }
    }

    fn name(topic: &str, origin: &Origin, json: &str) -> Vec<u8> {
        let topic = Topic::new(topic).expect("a topic");
        conflate(&topic, origin, Payload::Json, json.as_bytes()).expect("a trigger")
    }

    #[test]
    fn only_the_same_wish_of_the_same_asker_replaces_a_trigger() {
        let restart = |origin: &Origin, json| name("workerRestartNeeded", origin, json);
        let (web, api) = (worker("web"), worker("api"));
        assert_eq!(
            restart(&web, r#"{"app": "web", "reason": "a"}"#),
            restart(&web, r#"{"app": null, "reason": "b"}"#)
        );
        let different = [
            restart(&web, r#"{"app": null}"#),
            // Refused later: until then it must not have taken another's place.
            restart(&api, r#"{"app": "web"}"#),
            restart(&client(), r#"{"app": "web"}"#),
            restart(&client(), r#"{"app": null}"#),
            restart(&client(), r#"{"app": ""}"#),
        ];
        for (i, one) in different.iter().enumerate() {
            assert!(!different[i + 1..].contains(one), "{i}");
        }
        let status = |json| name("masterStatus", &web, json);
        assert_ne!(status(r#"{"id": null}"#), status(r#"{"id": ""}"#));
    }
}
