//! Where an app's settings were said.

use std::collections::BTreeMap;

/// The place of each key: `FILE:LINE`. Definitions that say the same in different places are the same.
#[derive(Clone, Debug, Default)]
pub struct Places(BTreeMap<String, String>);

impl Places {
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
