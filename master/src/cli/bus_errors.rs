//! What the bus refuses, as the user sees it, with the exit code that goes with it.

use ostler_bus::{
    TopicError,
    client::{Disconnected, EmitError, RequestError, SubscribeError},
    wire::control::{CloseKind, Refusal, RefusalKind},
};

use super::error::{CliError, Exit};
use crate::config::units;

/// The connection to the master ended in the middle of something.
pub(super) fn gone(why: &Disconnected) -> CliError {
    let failed = |message: &str| CliError::new(Exit::Failed, message);
    match why {
        Disconnected::Closed {
            kind: CloseKind::Stopping,
            ..
        } => failed("the master has stopped"),
        Disconnected::Closed { kind: _, reason } => {
            let mut error = failed("the master closed the connection");
            error.causes.push(reason.clone());
            error
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

/// How a command ends whose request the hub refused.
fn exit(refusal: &Refusal) -> Exit {
    match refusal.kind {
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
fn refused(exit: Exit, what: String, reason: String) -> CliError {
    let mut error = CliError::new(exit, what);
    error.causes.push(reason);
    error
}

impl From<EmitError> for CliError {
    fn from(error: EmitError) -> Self {
        match error {
            EmitError::Disconnected(why) => gone(&why),
            EmitError::BadTopic(why) => why.into(),
            EmitError::Refused { topic, refusal } => refused(
                exit(&refusal),
                format!("the event on {topic} was refused"),
                refusal.reason,
            ),
            EmitError::Draining
            | EmitError::Full { .. }
            | EmitError::Held { .. }
            | EmitError::BadHeader { .. }
            | EmitError::TooLarge { .. }
            | EmitError::Encoding { .. }
            | EmitError::Unanswered { .. } => Self::new(Exit::Failed, error.to_string()),
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
                exit(&refusal),
                format!("the subscription to {pattern} was refused"),
                refusal.reason,
            ),
            SubscribeError::Unanswered { .. } => Self::new(Exit::Failed, error.to_string()),
        }
    }
}

impl From<RequestError> for CliError {
    fn from(error: RequestError) -> Self {
        match error {
            RequestError::Disconnected(why) => gone(&why),
            RequestError::NotSent(why) => why.into(),
            RequestError::NoResponders { topic, .. } => Self::new(
                Exit::UnknownName,
                format!("nobody answers requests on {topic}"),
            )
            .hint("check the topic, and that whoever serves it is running (`ostler ls`)"),
            RequestError::TimedOut { topic, after } => Self::new(
                Exit::Failed,
                format!("no answer on {topic} within {}", units::exact(after)),
            )
            .hint("whoever answers there is busy or hung; --timeout allows more time"),
            RequestError::Denied { topic, reason } => refused(
                Exit::Failed,
                format!("the request on {topic} was refused"),
                reason,
            ),
            RequestError::Refused { topic, refusal } => refused(
                exit(&refusal),
                format!("the request on {topic} was refused"),
                refusal.reason,
            ),
            RequestError::Declined { topic, reason } => refused(
                Exit::Failed,
                format!("the request on {topic} was declined"),
                reason,
            ),
            RequestError::Misfit { topic, reason } => refused(
                Exit::Failed,
                format!("the request on {topic}, or its reply, doesn't fit its type"),
                reason,
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
