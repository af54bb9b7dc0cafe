//! The control plane: requests that operators send to the master. One reply each; then progress events and one
//! [`OperationFinished`]. All that name apps take a selector, as said in [`commands`](super::commands).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{Event, OpId, Request, Schema};

/// The master's one answer to a control request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Schema)]
pub enum Answer {
    /// It will be done; `operation.finished` with this number tells how it ended.
    Accepted {
        /// The operation's number.
        op: OpId,
    },
    /// It will not be done.
    Refused {
        /// What kind of refusal: decides the command's exit code.
        kind: RefusalKind,
        /// What was refused and what to do about it.
        reason: String,
    },
}

/// Why the master refuses a control request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, Schema)]
pub enum RefusalKind {
    /// There is no such app.
    UnknownName,
    /// Something else is going on; the reason names it.
    Busy,
    /// The request makes no sense as it stands.
    Invalid,
    /// The master is stopping.
    Stopping,
    /// The app is in no state for it; the reason says what to do first.
    WrongState,
    /// The process file can't be used; the reason tells each of its errors on a line of its own.
    BadConfig,
}

/// Replace the workers of an app one by one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Request)]
#[request(topic = "app.reload", reply = Answer)]
pub struct AppReload {
    /// Which apps: a selector; `None` is all.
    pub app: Option<String>,
    /// Why, in words.
    pub reason: Option<String>,
    /// Give up a running update and begin this one at once.
    pub now: bool,
    /// More variables for the workers of this generation, crash respawns included; they win over the app's own. The next
    /// generation is without them.
    pub env: Option<BTreeMap<String, String>>,
    /// What workers inherit from now on instead of the master's own environment; `None` changes nothing.
    pub inherit: Option<BTreeMap<String, String>>,
}

/// How many workers an app should have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, Schema)]
pub enum ScaleTo {
    /// This many.
    Exactly(u32),
    /// This many more.
    More(u32),
    /// This many fewer, down to none.
    Fewer(u32),
}

/// Change how many workers an app has.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Request)]
#[request(topic = "app.scale", reply = Answer)]
pub struct AppScale {
    /// Which apps: a selector.
    pub app: String,
    /// To what size.
    pub to: ScaleTo,
}

/// Stop all workers of an app; the app stays known.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Request)]
#[request(topic = "app.stop", reply = Answer)]
pub struct AppStop {
    /// Which apps: a selector; `None` is all.
    pub app: Option<String>,
}

/// Start a stopped or failed app.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Request)]
#[request(topic = "app.start", reply = Answer)]
pub struct AppStart {
    /// Which apps: a selector; `None` is all.
    pub app: Option<String>,
}

/// Set the counters of restarts and failures to zero.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Request)]
#[request(topic = "app.reset", reply = Answer)]
pub struct AppReset {
    /// Which apps: a selector; `None` is all.
    pub app: Option<String>,
}

/// Write a line to the standard input of workers whose app takes lines (`stdin = "lines"`).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Request)]
#[request(topic = "app.send", reply = SendAnswer)]
pub struct AppSend {
    /// Which apps or workers: a selector.
    pub app: String,
    /// Which slot of this app; the older way to say `web:1` in `app`.
    pub slot: Option<u32>,
    /// The line, without its ending: at most 64 KiB.
    pub line: String,
}

/// What became of a line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Schema)]
pub enum SendAnswer {
    /// It waits for its readers, or has been read.
    Sent {
        /// How many workers.
        workers: u32,
    },
    /// A worker didn't take it; those before it in the order of apps and slots did.
    Refused {
        /// What kind of refusal: decides the command's exit code.
        kind: RefusalKind,
        /// Why, and what to do about it.
        reason: String,
    },
}

/// Stop every worker and end the master.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Request)]
#[request(topic = "master.kill", reply = Answer)]
pub struct MasterKill {
    /// Kill workers at once instead of letting them finish.
    pub force: bool,
}

/// How an operation ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Schema)]
pub enum Outcome {
    /// Done as asked.
    Done,
    /// Not done, or given up half way: why, in words.
    Failed(String),
    /// Overtaken by a later command: which, in words.
    Superseded(String),
}

/// An accepted operation has ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Event)]
#[event(topic = "operation.finished")]
pub struct OperationFinished {
    /// The operation's number, from [`Answer::Accepted`].
    pub op: OpId,
    /// How it ended.
    pub outcome: Outcome,
}
