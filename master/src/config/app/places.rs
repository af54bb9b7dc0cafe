//! Where an app's settings were said.

use std::collections::BTreeMap;

/// The place of what no file said.
const COMMAND: &str = "a command";

/// The place of each key: `FILE:LINE`, or [`COMMAND`]. Definitions that say the same in different places are the same.
#[derive(Clone, Debug, Default)]
pub struct Places(BTreeMap<String, String>);

impl Places {
    /// Of keys that a command said.
    #[must_use]
    pub fn of_a_command<'k>(keys: impl IntoIterator<Item = &'k str>) -> Self {
        let keys = keys.into_iter();
        Self(keys.map(|key| (key.into(), COMMAND.into())).collect())
    }

    /// The same keys, said by a command.
    #[must_use]
    pub fn by_a_command(&self) -> Self {
        Self::of_a_command(self.0.keys().map(String::as_str))
    }

    /// Notes a key's place.
    pub fn note(&mut self, key: &str, place: String) {
        self.0.insert(key.to_owned(), place);
    }

    /// Forgets a key's place: it is not taken from there.
    pub fn forget(&mut self, key: &str) {
        self.0.remove(key);
    }

    /// Where a key was said.
    #[must_use]
    pub fn of(&self, key: &str) -> Option<&str> {
        self.0.get(key).map(String::as_str)
    }

    /// Where a file says it, if one does.
    #[must_use]
    pub fn in_file(&self, key: &str) -> Option<&str> {
        self.of(key).filter(|place| *place != COMMAND)
    }

    /// These, and `base` where they say nothing.
    #[must_use]
    pub fn or(self, base: Self) -> Self {
        let mut places = base.0;
        places.extend(self.0);
        Self(places)
    }
}

impl PartialEq for Places {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}
