//! The fleet on paper: what runs, written down as a process file, and brought back from it.

use serde::{Deserialize, Serialize};

use super::control::{Answer, RefusalKind};
use crate::{Request, Schema};

/// Write what runs now into a process file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, Request)]
#[request(topic = "master.save", reply = SaveAnswer)]
pub struct MasterSave {
    /// The file, absolute and on the master's machine; `None`: the master's own, which [`MasterResurrect`] reads.
    pub file: Option<String>,
}

/// What became of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Schema)]
pub enum SaveAnswer {
    /// It is written.
    Saved {
        /// The file.
        file: String,
        /// What was there before is kept in this file.
        previous: Option<String>,
        /// So many apps.
        apps: u32,
        /// What runs otherwise than it will when it is started from the file, in words.
        notes: Vec<String>,
    },
    /// It is not; what was there before is.
    Refused {
        /// What kind of refusal: decides the command's exit code.
        kind: RefusalKind,
        /// Why, and what to do about it.
        reason: String,
    },
}

/// Add the apps of the master's own saved file that it doesn't have. Those that it has are left as they are.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, Request)]
#[request(topic = "master.resurrect", reply = Answer)]
pub struct MasterResurrect {}
