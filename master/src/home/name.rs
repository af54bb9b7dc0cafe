//! What a master is called.

use std::fmt;

use crate::config::{app::AppName, errors::Wrong, naming};

/// A master's name: one topic token, as an app's.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MasterName(std::sync::Arc<str>);

impl MasterName {
    /// Checks a name.
    ///
    /// # Errors
    /// If it is not one topic token of 1 to 64 bytes.
    pub fn new(name: &str) -> Result<Self, Wrong> {
        if !naming::is_token(name) {
            return Err(Wrong::new(
                format!("{name:?} is not a master's name"),
                "use 1 to 64 of A-Z a-z 0-9 _ -",
            ));
        }
        Ok(Self(name.into()))
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for MasterName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<&AppName> for MasterName {
    fn from(app: &AppName) -> Self {
        // An app's name obeys the same rules.
        Self(app.as_str().into())
    }
}
