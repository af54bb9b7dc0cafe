//! What a process file's meaning depends on besides its text. Given, not looked up: so reading is the same for everyone.

use std::collections::BTreeMap;

use crate::sys;

/// The surroundings in which a process file is read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Circumstances {
    /// What `instances = "auto"` means.
    pub cores: u32,
    /// The named environment that was chosen (`--env`).
    pub environment: Option<String>,
    /// What `${NAME}` stands for.
    pub variables: BTreeMap<String, String>,
}

impl Circumstances {
    /// Those of this process: its cores and its environment variables (those that are text).
    #[must_use]
    pub fn here(environment: Option<String>) -> Self {
        let text = |(name, value): (std::ffi::OsString, std::ffi::OsString)| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        };
        Self {
            cores: sys::available_cores(),
            environment,
            variables: std::env::vars_os().filter_map(text).collect(),
        }
    }
}
