//! What a reload brought beside what the process file says: variables, for the workers of its generation.

use std::{collections::BTreeMap, sync::Arc};

use super::AppName;

/// Variables by name.
pub type Variables = BTreeMap<String, String>;

/// What the workers of these apps inherit instead of the master's own environment.
pub type Inherited = BTreeMap<AppName, Arc<Variables>>;

/// What a reload brought.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Overlay {
    /// What is inherited instead of the master's own environment; `None`: that.
    pub inherited: Option<Arc<Variables>>,
    /// More variables; they win over the app's own.
    pub extra: Variables,
}
