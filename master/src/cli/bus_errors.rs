//! What the bus refuses, as the user sees it, with the exit code that goes with it.

use ostler_bus::{
    TopicError,
    client::{Disconnected, EmitError, RequestError, SubscribeError},
    wire::control::{CloseKind, Refusal, RefusalKind},
};

use super::{
    connect::OTHER_RELEASE,
    error::{CliError, Exit},
};
use crate::config::units;

const NOBODY_ANSWERS: &str = "check the topic, and that whoever serves it is running (`ostler ls`)";

const NO_ANSWER: &str = "whoever answers there is busy or hung; --timeout allows more time";

/// The connection to the master ended in the middle of something.
pub(super) fn gone(why: &Disconnected) -> CliError {
    let failed = |message: &str| CliError::new(Exit::Failed, message);
    match why {
        Disconnected::Closed {
            kind: CloseKind::Stopping,
            ..
        } => failed("the master has stopped").hint(after_closing(CloseKind::Stopping)),
        Disconnected::Closed { kind, reason } => {
            let mut error = failed("the master closed the connection");
            error.causes.push(reason.clone());
            error.hint(after_closing(*kind))
        }
        Disconnected::Lost { error: cause, .. } => {
            let mut error = failed("the master is gone: the connection to it was lost");
            error.causes.push(cause.clone());
            error.hint("its log may tell why; `ostler ls` shows whether one is running")
        }
        Disconnected::Protocol { .. }
        | Disconnected::GaveUp { .. }
        | Disconnected::NotResumed { .. }
        | Disconnected::Drained
        | Disconnected::HungUp => failed(&why.to_string()),
    }
}

/// What to do when the hub has closed a connection for such a reason.
pub(super) fn after_closing(kind: CloseKind) -> &'static str {
    match kind {
        CloseKind::Stopping => "once it is gone, `ostler run` or `ostler start` brings it up again",
        CloseKind::Limit => {
            "try again later, or raise the limit that was reached: [bus.limits] in its process file"
        }
        CloseKind::Denied => "run the command as the user whose master it is, or as root",
        CloseKind::Framing | CloseKind::Hello => OTHER_RELEASE,
        CloseKind::Fault => "look at its log",
        CloseKind::Replaced => "another connection took this one's place: try again",
    }
}

/// What to do about a refusal, where there is something.
fn after_refusal(kind: RefusalKind) -> Option<&'static str> {
    match kind {
        RefusalKind::Denied => Some(
            "use a topic that the rule leaves open; over a network another token may be allowed more",
        ),
        RefusalKind::BadType | RefusalKind::Misfit => {
            Some("write what the topic's type has; `ostler tail` shows events of it as JSON")
        }
        RefusalKind::Limit => {
            Some("try again later, or raise the limit: [bus.limits] in the master's process file")
        }
        RefusalKind::NoResponders => Some(NOBODY_ANSWERS),
        RefusalKind::TimedOut => Some(NO_ANSWER),
        RefusalKind::Malformed => Some(OTHER_RELEASE),
        // The reason says it all.
        RefusalKind::BadTopic | RefusalKind::Declined => None,
    }
}

/// What to do about an event that was not emitted, where there is something.
fn after_emit(error: &EmitError) -> Option<&'static str> {
    match error {
        EmitError::Full { .. } => {
            Some("the master may be stopped (SIGSTOP), or hung: look at its log")
        }
        EmitError::Held { .. } => Some("`ostler bus` shows who holds up whom"),
        EmitError::TooLarge { .. } => {
            Some("send less, or raise payload_bytes: [bus.limits] in the master's process file")
        }
        EmitError::Unanswered { .. } => {
            Some("look whether it has arrived before you emit it again: that would make two of it")
        }
        EmitError::Disconnected(_)
        | EmitError::Draining
        | EmitError::Refused { .. }
        | EmitError::BadHeader { .. }
        | EmitError::BadTopic(_)
        | EmitError::Encoding { .. } => None,
    }
}

/// How a command ends whose request the hub refused.
fn exit(kind: RefusalKind) -> Exit {
    match kind {
        RefusalKind::BadTopic => Exit::Usage,
        RefusalKind::NoResponders => Exit::UnknownName,
        RefusalKind::Denied
        | RefusalKind::BadType
        | RefusalKind::Misfit
        | RefusalKind::Limit
        | RefusalKind::Malformed
        | RefusalKind::TimedOut
        | RefusalKind::Declined => Exit::Failed,
    }
}

impl From<TopicError> for CliError {
    fn from(error: TopicError) -> Self {
        Self::new(Exit::Usage, error.to_string())
    }
}

/// What the hub, or whoever should have answered, said no to.
fn refused(what: String, refusal: Refusal) -> CliError {
    CliError {
        causes: vec![refusal.reason],
        hint: after_refusal(refusal.kind).map(str::to_owned),
        ..CliError::new(exit(refusal.kind), what)
    }
}

impl From<EmitError> for CliError {
    fn from(error: EmitError) -> Self {
        match error {
            EmitError::Disconnected(why) => gone(&why),
            EmitError::BadTopic(why) => why.into(),
            EmitError::Refused { topic, refusal } => {
                refused(format!("the event on {topic} was refused"), refusal)
            }
            EmitError::Draining
            | EmitError::Full { .. }
            | EmitError::Held { .. }
            | EmitError::BadHeader { .. }
            | EmitError::TooLarge { .. }
            | EmitError::Encoding { .. }
            | EmitError::Unanswered { .. } => Self {
                hint: after_emit(&error).map(str::to_owned),
                ..Self::new(Exit::Failed, error.to_string())
            },
        }
    }
}

impl From<SubscribeError> for CliError {
    fn from(error: SubscribeError) -> Self {
        match error {
            SubscribeError::Disconnected(why) => gone(&why),
            SubscribeError::BadPattern(why) => why.into(),
            SubscribeError::NotSent(why) => why.into(),
            SubscribeError::Refused { pattern, refusal } => refused(
                format!("the subscription to {pattern} was refused"),
                refusal,
            ),
            SubscribeError::Unanswered { .. } => Self::new(Exit::Failed, error.to_string()),
        }
    }
}

impl From<RequestError> for CliError {
    fn from(error: RequestError) -> Self {
        let of = |kind, reason| Refusal { kind, reason };
        match error {
            RequestError::Disconnected(why) => gone(&why),
            RequestError::NotSent(why) => why.into(),
            RequestError::NoResponders { topic, .. } => Self::new(
                Exit::UnknownName,
                format!("nobody answers requests on {topic}"),
            )
            .hint(NOBODY_ANSWERS),
            RequestError::TimedOut { topic, after } => Self::new(
                Exit::Failed,
                format!("no answer on {topic} within {}", units::exact(after)),
            )
            .hint(NO_ANSWER),
            RequestError::Denied { topic, reason } => refused(
                format!("the request on {topic} was refused"),
                of(RefusalKind::Denied, reason),
            ),
            RequestError::Refused { topic, refusal } => {
                refused(format!("the request on {topic} was refused"), refusal)
            }
            RequestError::Declined { topic, reason } => refused(
                format!("the request on {topic} was declined"),
                of(RefusalKind::Declined, reason),
            ),
            RequestError::Misfit { topic, reason } => refused(
                format!("the request on {topic}, or its reply, doesn't fit its type"),
                of(RefusalKind::Misfit, reason),
            ),
        }
    }
}

/// The same for a request that the master itself answers.
pub(super) fn of_master(error: RequestError) -> CliError {
    match error {
        RequestError::TimedOut { after, .. } => CliError::new(
            Exit::Failed,
            format!("the master did not answer within {}", units::exact(after)),
        )
        .hint("it is stopped (SIGSTOP), hung, or the machine is overloaded: look at its log"),
        RequestError::Misfit { .. } => CliError::from(error).hint(OTHER_RELEASE),
        error => error.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(kind: RefusalKind) -> Refusal {
        Refusal {
            kind,
            reason: "the rule \"only the master\"".into(),
        }
    }

    fn emit(kind: RefusalKind) -> CliError {
        let topic = "a.b".into();
        let refusal = refusal(kind);
        EmitError::Refused { topic, refusal }.into()
    }

    #[test]
    fn refusals_end_with_their_exit_code_and_reason() {
        let denied = emit(RefusalKind::Denied);
        assert_eq!(denied.exit, Exit::Failed);
        assert_eq!(denied.message, "the event on a.b was refused");
        assert_eq!(denied.causes, ["the rule \"only the master\""]);
        assert_eq!(emit(RefusalKind::BadTopic).exit, Exit::Usage);
        let nobody = RequestError::NoResponders {
            topic: "a.b".into(),
            reason: String::new(),
        };
        assert_eq!(CliError::from(nobody).exit, Exit::UnknownName);
        let late = RequestError::TimedOut {
            topic: "a.b".into(),
            after: std::time::Duration::from_secs(1),
        };
        assert_eq!(CliError::from(late).exit, Exit::Failed);
        let pattern = SubscribeError::BadPattern(TopicError::Empty);
        assert_eq!(CliError::from(pattern).exit, Exit::Usage);
    }

    #[test]
    fn where_there_is_something_to_do_it_is_said() {
        let topic = || "a.b".to_owned();
        let of = |error: CliError| error.hint.unwrap_or_default();
        let second = std::time::Duration::from_secs(1);
        let closed = |kind| {
            let reason = "so it is".into();
            of(gone(&Disconnected::Closed { kind, reason }))
        };
        let large = EmitError::TooLarge {
            topic: topic(),
            size: 9,
            limit: 8,
        };
        let unanswered = EmitError::Unanswered {
            topic: topic(),
            after: second,
        };
        let full = EmitError::Full { waited: second };
        for (hint, part) in [
            (of(large.into()), "payload_bytes"),
            (of(unanswered.into()), "emit it again"),
            (of(full.into()), "look at its log"),
            (of(emit(RefusalKind::Denied)), "another token"),
            (of(emit(RefusalKind::Limit)), "[bus.limits]"),
            (closed(CloseKind::Stopping), "`ostler start`"),
            (closed(CloseKind::Fault), "its log"),
        ] {
            assert!(hint.contains(part), "{part}: {hint}");
        }
    }

    #[test]
    fn a_master_that_ends_and_one_that_dies_are_told_apart() {
        let stopped = Disconnected::Closed {
            kind: CloseKind::Stopping,
            reason: "bye".into(),
        };
        assert_eq!(gone(&stopped).message, "the master has stopped");
        let lost = Disconnected::Lost {
            target: "/x".into(),
            error: "end of stream".into(),
        };
        assert!(gone(&lost).message.starts_with("the master is gone"));
        assert_eq!(gone(&lost).causes, ["end of stream"]);
    }
}
