//! The fleet's rules: who may publish, ask, answer and hear what, and what travels in the control lane.

use serde::Serialize;

use super::{
    bus::{BusLagged, BusStats},
    commands::{AppAdd, AppAwait, AppDelete, AppRestart, AppSignal, WorkerReleased},
    control::{AppReload, AppScale, AppSend, AppStart, AppStop, MasterKill, OperationFinished},
    describe::AppDescribe,
    log::{AppFlush, AppLogs},
    plan::{MasterPlan, MasterReload},
    rights::AppRights,
    saved::{MasterResurrect, MasterSave},
    status::{MasterStatus, StatusReport},
    update::{
        AppFailed, AppResized, ConfigChanged, ConnectionsLost, ListenerShut, SystemRestartNeeded,
        UpdateAborted, UpdateFinished, UpdateProgress, UpdateRolledBack, UpdateStarted,
        UpdateSuspended, WorkerRestartNeeded,
    },
    worker::{
        AppErrors, Disconnect, Holding, Ready, WorkerDisconnected, WorkerDraining, WorkerExited,
        WorkerHook, WorkerListening, WorkerOnline, WorkerReady, WorkerSpawned,
    },
};
use crate::{
    Event, Generation, Origin, Request, SchemaTrait, Topic,
    hub::{
        Action::{self, Emit, Request as Ask, Retain, Serve, Subscribe},
        ControlTopics, HistoryRule, Principal,
        Role::{self, Client, Master, Observer, Operator, Worker},
        Rule, Rules, Subject, Topics, Verdict, authorize,
    },
    schema::TypeSchema,
    wire::data::Payload,
};

/// The rules of a master's hub, as they are where nobody has said anything else.
#[must_use]
pub fn fleet_rules() -> Rules {
    fleet_rules_with(&[])
}

/// The rules of a master's hub, and what each of `apps` may not do beside.
#[must_use]
pub fn fleet_rules_with(apps: &[AppRights]) -> Rules {
    Rules {
        access: access(apps),
        control_lane: vec![
            ControlTopics {
                action: Emit,
                topics: patterns(&[
                    WorkerRestartNeeded::TOPIC,
                    SystemRestartNeeded::TOPIC,
                    <MasterStatus as Event>::TOPIC,
                ]),
            },
            ControlTopics {
                action: Ask,
                topics: patterns(&[
                    "app.*",
                    "master.*",
                    "masterStatus",
                    "_sys.>",
                    "to.worker.*.drain",
                ]),
            },
        ],
        conflate: Some(conflate),
        mailboxes: own_addresses(),
    }
}

/// The fleet's histories: 64 events of each of the topics on which the master tells what happens, some thousand in
/// all, so that whoever looks after a crash, or comes back after a lost connection, sees what led there.
#[must_use]
pub fn fleet_history() -> Vec<HistoryRule> {
    LIFECYCLE.map(|topics| HistoryRule::last(topics, 64)).into()
}

/// What the master alone tells.
const LIFECYCLE: [&str; 5] = ["worker.*", "app.*", "update.*", "config.*", "bus.*"];

/// Where a worker is sent to.
fn own_addresses() -> Vec<Topics> {
    let own = [
        "to.worker.{id}.>",
        "to.slot.{app}.{slot}.>",
        "to.app.{app}.>",
    ];
    own.map(|t| Topics::OfSelf(t.into())).to_vec()
}

fn patterns(texts: &[&str]) -> Vec<Topics> {
    texts.iter().copied().map(Topics::matching).collect()
}

fn rule(
    name: &'static str,
    verdict: Verdict,
    roles: &[Role],
    actions: &[Action],
    topics: Vec<Topics>,
) -> Rule {
    Rule {
        name: name.into(),
        roles: roles.to_vec(),
        apps: None,
        actions: actions.to_vec(),
        topics,
        verdict,
    }
}

/// All but the master.
const OTHERS: [Role; 4] = [Observer, Client, Worker, Operator];

/// First match decides, so exceptions stand before what they are exceptions from. What is said of apps only takes away:
/// before it stands what a worker can't do without, after it what is nobody's to give.
fn access(apps: &[AppRights]) -> Vec<Rule> {
    let mut rules = essentials();
    rules.extend(apps.iter().flat_map(AppRights::denials));
    rules.push(own_topics());
    rules.extend(apps.iter().flat_map(AppRights::bounds));
    rules.extend(defaults());
    rules
}

/// What holds whatever else is said.
fn essentials() -> Vec<Rule> {
    use Verdict::Allow;
    vec![
        rule(
            "the master may do everything",
            Allow,
            &[Master],
            &Action::ALL,
            vec![Topics::Every],
        ),
        rule(
            "workers report to the master",
            Allow,
            &[Worker],
            &[Ask],
            patterns(&["_sys.worker.*"]),
        ),
        rule(
            "a worker hears when it is to drain",
            Allow,
            &[Worker],
            &[Subscribe, Serve],
            vec![Topics::OfSelf("to.worker.{id}.drain".into())],
        ),
    ]
}

fn own_topics() -> Rule {
    rule(
        "a worker hears what is sent to it",
        Verdict::Allow,
        &[Worker],
        &[Subscribe, Serve],
        own_addresses(),
    )
}

fn defaults() -> Vec<Rule> {
    use Verdict::{Allow, Deny};
    let status = || patterns(&["masterStatus", BusStats::TOPIC]);
    let mut lifecycle = patterns(&LIFECYCLE);
    lifecycle.extend(patterns(&["operation.finished", "masterStatus.report"]));
    lifecycle.extend(patterns(&["to.worker.*.drain", "to.worker.drain"]));
    let answered = patterns(&["app.*", "master.*", "bus.*", "masterStatus"]);
    vec![
        rule(
            "everyone may ask for the status, of the fleet and of the bus",
            Allow,
            &OTHERS,
            &[Ask],
            status(),
        ),
        rule(
            "observers only listen, and ask for the status",
            Deny,
            &[Observer],
            &[Emit, Retain, Ask, Serve],
            vec![Topics::Every],
        ),
        rule(
            "only the master answers its own requests",
            Deny,
            &OTHERS,
            &[Serve],
            answered,
        ),
        rule(
            "topics that begin with _ are the master's",
            Deny,
            &OTHERS,
            &[Emit, Retain, Serve],
            vec![Topics::Reserved],
        ),
        rule(
            "only workers report to the master",
            Deny,
            &OTHERS,
            &[Ask],
            vec![Topics::Reserved],
        ),
        rule(
            "operators command the fleet",
            Allow,
            &[Operator],
            &[Ask],
            patterns(&["app.*", "master.*"]),
        ),
        rule(
            "only operators command the fleet",
            Deny,
            &OTHERS,
            &[Ask],
            patterns(&["app.*", "master.*"]),
        ),
        rule(
            "only the master tells workers to drain",
            Deny,
            &OTHERS,
            &[Ask],
            patterns(&["to.worker.*.drain", "to.worker.drain"]),
        ),
        rule(
            "a worker tells how its requests went",
            Allow,
            &[Worker],
            &[Emit],
            patterns(&[AppErrors::TOPIC]),
        ),
        rule(
            "only the master publishes its own events",
            Deny,
            &OTHERS,
            &[Emit, Retain],
            lifecycle,
        ),
        rule(
            "only workers and operators say that the system needs a restart",
            Deny,
            &[Client],
            &[Emit],
            patterns(&["systemRestartNeeded"]),
        ),
        rule(
            "a worker doesn't hear what is sent to others",
            Deny,
            &[Worker],
            &[Subscribe, Serve],
            patterns(&["to.worker.>", "to.slot.>", "to.app.>"]),
        ),
        rule(
            "all else is allowed",
            Allow,
            &OTHERS,
            &Action::ALL,
            vec![Topics::Every],
        ),
    ]
}

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

fn conflate(topic: &Topic, origin: &Origin, kind: Payload, payload: &[u8]) -> Option<Vec<u8>> {
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

/// Whether, by these rules, `masterStatus` from `asker` may be answered on the topic `id`: never on a built-in one, and only where the
/// asker could publish itself.
///
/// # Errors
/// Why not, in words.
pub fn may_answer_on(rules: &Rules, id: &str, asker: &Origin) -> Result<(), String> {
    let topic = Topic::new(id).map_err(|error| error.to_string())?;
    if builtins().iter().any(|(builtin, _)| *builtin == topic) {
        return Err(format!("{topic} is a topic of the master's own"));
    }
    let who = match asker {
        Origin::Master => Principal::Master,
        Origin::Client { name, .. } => Principal::Client { name: name.clone() },
        Origin::Worker {
            app,
            id,
            slot,
            generation,
            pid,
        } => Principal::Worker {
            app: app.clone(),
            id: *id,
            slot: *slot,
            generation: *generation,
            pid: *pid,
        },
    };
    authorize(rules, &who, Action::Emit, Subject::Topic(topic.as_str()))
}

fn read<E: Event>(kind: Payload, payload: &[u8]) -> Option<E> {
    match kind {
        Payload::Postcard(_) => postcard::from_bytes(payload).ok(),
        Payload::Json => serde_json::from_slice(payload).ok(),
        Payload::Bytes => None,
    }
}

/// The built-in topics with their types: nothing else may be published on them.
#[must_use]
pub fn builtins() -> Vec<(Topic, TypeSchema)> {
    fn named<T: SchemaTrait + 'static>(topic: &str) -> (Topic, TypeSchema) {
        (
            Topic::new(topic).expect("checked when the vocabulary was compiled"),
            TypeSchema::of::<T>(),
        )
    }
    fn event<E: Event>() -> (Topic, TypeSchema) {
        named::<E>(E::TOPIC)
    }
    fn request<R: Request>() -> (Topic, TypeSchema) {
        named::<R>(R::TOPIC)
    }
    vec![
        event::<MasterStatus>(),
        event::<StatusReport>(),
        event::<WorkerRestartNeeded>(),
        event::<SystemRestartNeeded>(),
        event::<WorkerSpawned>(),
        event::<WorkerOnline>(),
        event::<WorkerReady>(),
        event::<WorkerDraining>(),
        event::<WorkerDisconnected>(),
        event::<WorkerExited>(),
        event::<WorkerHook>(),
        event::<WorkerListening>(),
        event::<WorkerReleased>(),
        event::<UpdateStarted>(),
        event::<UpdateProgress>(),
        event::<UpdateFinished>(),
        event::<UpdateAborted>(),
        event::<UpdateRolledBack>(),
        event::<UpdateSuspended>(),
        event::<AppResized>(),
        event::<AppFailed>(),
        event::<ConnectionsLost>(),
        event::<ListenerShut>(),
        event::<AppErrors>(),
        event::<ConfigChanged>(),
        event::<OperationFinished>(),
        event::<BusLagged>(),
        request::<AppReload>(),
        request::<AppScale>(),
        request::<AppSend>(),
        request::<AppLogs>(),
        request::<AppFlush>(),
        request::<AppStop>(),
        request::<AppStart>(),
        request::<AppRestart>(),
        request::<AppDelete>(),
        request::<AppAwait>(),
        request::<AppAdd>(),
        request::<AppSignal>(),
        request::<MasterKill>(),
        request::<MasterReload>(),
        request::<MasterPlan>(),
        request::<AppDescribe>(),
        request::<MasterSave>(),
        request::<MasterResurrect>(),
        request::<BusStats>(),
        request::<Ready>(),
        request::<Holding>(),
        request::<Disconnect>(),
    ]
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
