//! What the master knows of an app beyond its [status](super::status): how it is defined, and where that was said.

use serde::{Deserialize, Serialize};

use super::control::RefusalKind;
use crate::{Generation, Request, Schema, Slot};

/// How are these apps defined?
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, Request)]
#[request(topic = "app.describe", reply = DescribeAnswer)]
pub struct AppDescribe {
    /// Which apps or workers: a selector; `None` is all.
    pub app: Option<String>,
}

/// How apps are defined.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Schema)]
pub enum DescribeAnswer {
    /// The apps, by name.
    Described(Vec<AppDescription>),
    /// They will not be told.
    Refused {
        /// What kind of refusal: decides the command's exit code.
        kind: RefusalKind,
        /// Why.
        reason: String,
    },
}

/// How an app is defined.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Schema)]
pub struct AppDescription {
    /// Its name.
    pub name: String,
    /// The generation whose definition this is: the one that a crashed worker is started by.
    pub generation: Generation,
    /// The slots that were asked for; `None`: the whole app.
    pub slots: Option<Vec<Slot>>,
    /// Program and arguments as that generation runs them: links on the way to them are looked up once, when its first
    /// worker starts. `None`: it has had none yet.
    pub release: Option<Release>,
    /// What is said of it, and of what is not, that which is asked most often.
    pub settings: Vec<Setting>,
    /// The files that its lines go to, by slot; none for slots whose lines go elsewhere. Of a whole app at most 1,000.
    pub logs: Vec<SlotLogs>,
}

/// What a generation runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Schema)]
pub struct Release {
    /// Program and arguments.
    pub command: Vec<String>,
    /// Working directory.
    pub cwd: Option<String>,
}

/// A setting.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Schema)]
pub struct Setting {
    /// Its key in the process file.
    pub key: String,
    /// Its value, as the process file would say it. Of variables only the names are told.
    pub value: String,
    /// Where it was said: "FILE:LINE", "a command", "scale", "reload --env", or "default".
    pub source: String,
}

/// Where a slot's lines go.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Schema)]
pub struct SlotLogs {
    /// The slot.
    pub slot: Slot,
    /// The file of standard output.
    pub out: Option<String>,
    /// The file of standard error.
    pub err: Option<String>,
}
