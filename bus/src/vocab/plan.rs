//! The process file against what runs: what taking it up would do, and doing it.

use serde::{Deserialize, Serialize};

use super::control::{Answer, RefusalKind};
use crate::{Request, Schema};

/// Reads the process file again, and takes up what it says: untouched apps keep their workers, changed ones are rolled, new
/// ones started, those that are gone stopped, and a mere change of size resizes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, Request)]
#[request(topic = "master.reload", reply = Answer)]
pub struct MasterReload {
    /// For this environment from now on; `None` is the one before.
    pub environment: Option<String>,
}

/// Asks what [`MasterReload`] would do. Nothing is done.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, Request)]
#[request(topic = "master.plan", reply = PlanAnswer)]
pub struct MasterPlan {
    /// For this environment; `None` is the one that the file was last read for.
    pub environment: Option<String>,
}

/// The answer to [`MasterPlan`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Schema)]
pub enum PlanAnswer {
    /// This would be done.
    Plan(Plan),
    /// Nothing could be.
    Refused {
        /// What kind of refusal.
        kind: RefusalKind,
        /// Why, and what to do about it.
        reason: String,
    },
}

/// What taking up the file would do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Schema)]
pub struct Plan {
    /// The file.
    pub file: String,
    /// What happens to each app, by name.
    pub apps: Vec<AppPlan>,
    /// What can't be taken up while the master runs, in words.
    pub held_back: Vec<String>,
}

/// What would happen to an app.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Schema)]
pub struct AppPlan {
    /// Its name.
    pub app: String,
    /// "keep", "start", "stop", "resize" or "roll".
    pub action: String,
    /// How many workers it should have now.
    pub from: u32,
    /// How many then.
    pub to: u32,
    /// The keys that differ. Their values are never told.
    pub keys: Vec<String>,
    /// What becomes of addresses that an app doesn't have any more, in words.
    pub sockets: Vec<String>,
}
