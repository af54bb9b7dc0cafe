//! The fleet's rules: who may publish, ask, answer and hear what, and what travels in the control lane.

mod builtins;
mod conflate;

pub use self::builtins::builtins;
use self::conflate::conflate;
use super::{
    bus::BusStats,
    rights::AppRights,
    status::MasterStatus,
    update::{SystemRestartNeeded, WorkerRestartNeeded},
    worker::AppErrors,
};
use crate::{
    Event, Origin, Request, Topic,
    hub::{
        Action::{self, Emit, Request as Ask, Retain, Serve, Subscribe},
        ControlTopics, HistoryRule, Principal,
        Role::{self, Client, Master, Observer, Operator, Worker},
        Rule, Rules, Subject, Topics, Verdict, authorize,
    },
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
