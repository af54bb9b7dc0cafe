//! Further requests of operators: what is done to apps beyond starting, stopping, reloading and scaling them.
//!
//! All that name apps take the same *selector*, words separated by commas or blanks: an app's name, `app:slot`, a worker's
//! id, a namespace, `namespace/app`, a pattern with `*` and `?`, or `all`.

use serde::{Deserialize, Serialize};

use super::control::{Answer, RefusalKind};
use crate::{Event, Request, Schema};

use super::worker::WorkerRef;

/// Stop workers, then start them again: nobody serves meanwhile. Of an app, none is started before the last has gone.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Request)]
#[request(topic = "app.restart", reply = Answer)]
pub struct AppRestart {
    /// Which apps or workers: a selector; `None` is all.
    pub app: Option<String>,
}

/// Take apps out of the fleet. Those of the process file come again when it is taken up again.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Request)]
#[request(topic = "app.delete", reply = Answer)]
pub struct AppDelete {
    /// Which apps: a selector.
    pub app: String,
    /// Let go of their workers instead of stopping them: they run on, and nobody looks after them.
    pub keep_running: bool,
}

/// Wait until apps have started, or failed to. Nothing is changed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Request)]
#[request(topic = "app.await", reply = Answer)]
pub struct AppAwait {
    /// Which apps: a selector; `None` is all. Those that are not meant to run are not waited for.
    pub app: Option<String>,
}

/// Add apps to the fleet, and start them. Those that are known and run as they are defined are left alone, those that are
/// stopped are started.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Request)]
#[request(topic = "app.add", reply = Answer)]
pub struct AppAdd {
    /// The file, absolute and on the master's machine; where there is a text, only the directory at which its relative paths
    /// start, and what it is called in errors.
    pub file: String,
    /// What the file says (in the syntax that its name tells); `None`: it is read.
    pub text: Option<String>,
    /// For this environment.
    pub environment: Option<String>,
    /// Only the apps of these names; `None` is all.
    pub only: Option<Vec<String>>,
}

/// Which of a worker's processes a signal is for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, Schema)]
pub enum SignalScope {
    /// The worker's own process (of one that is started by a waiting shell, its group).
    #[default]
    Worker,
    /// Its direct children, and not itself.
    Children,
    /// Itself, and all that descend from it.
    Tree,
}

/// Send a signal to workers. What they make of it is their affair: one that ends of it has crashed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Request)]
#[request(topic = "app.signal", reply = SignalAnswer)]
pub struct AppSignal {
    /// Which apps or workers: a selector.
    pub app: String,
    /// The signal: `HUP`, `SIGHUP` or `1`.
    pub signal: String,
    /// To which of their processes.
    pub scope: SignalScope,
}

/// What became of a signal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Schema)]
pub enum SignalAnswer {
    /// It was sent.
    Sent {
        /// To so many processes.
        processes: u32,
        /// Of so many workers.
        workers: u32,
    },
    /// It was not, or not to all.
    Refused {
        /// What kind of refusal: decides the command's exit code.
        kind: RefusalKind,
        /// Why, and what to do about it.
        reason: String,
    },
}

/// A worker was let go of (`app.delete` with `keep_running`): it runs on, and the master has nothing to do with it any more.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Event)]
#[event(topic = "worker.released")]
pub struct WorkerReleased {
    /// The worker.
    pub worker: WorkerRef,
}
