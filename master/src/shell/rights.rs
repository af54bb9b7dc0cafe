//! What the process file says of each app's rights on the bus, made into rules for the hub.

use std::{collections::BTreeMap, path::Path};

use ostler_bus::{
    hub::{Rules, Tokens},
    vocab::{rights::AppRights, rules::fleet_rules_with},
};

use super::Workshop;
use crate::config::{
    app::{AppDefinition, AppName},
    bus_rights::BusRights,
};

/// The rights of every app there ever was: one that has gone from the file runs on, with what was said of it.
#[derive(Debug)]
pub struct Rights {
    source: String,
    said: BTreeMap<AppName, BusRights>,
}

impl Rights {
    /// Those of `apps`, as `file` gives them.
    #[must_use]
    pub fn of(apps: &[AppDefinition], file: Option<&Path>) -> Self {
        let name = file
            .and_then(Path::file_name)
            .and_then(|name| name.to_str());
        let mut rights = Self {
            source: name.unwrap_or("the command line").to_owned(),
            said: BTreeMap::new(),
        };
        for app in apps {
            rights.take(app);
        }
        rights
    }

    /// What is said of `app` now.
    pub(super) fn take(&mut self, app: &AppDefinition) {
        self.said.insert(app.name.clone(), app.bus.clone());
    }

    /// The hub's rules.
    #[must_use]
    pub fn rules(&self) -> Rules {
        let apps: Vec<AppRights> = self
            .said
            .iter()
            .map(|(app, of)| AppRights {
                app: app.to_string(),
                source: self.source.clone(),
                of: of.clone(),
            })
            .collect();
        fleet_rules_with(&apps)
    }
}

impl Workshop {
    /// What the files say now of who may do what holds from here on. A file of tokens that can't be used changes nothing.
    pub(super) fn renew_doors(&self) {
        if let Err(error) = self.hub.set_rules(self.rights.rules()) {
            tracing::error!("new rights on the bus don't hold: {error}");
        }
        let Some(file) = &self.tokens else { return };
        if let Err(error) = Tokens::read(file).and_then(|tokens| self.hub.set_tokens(tokens)) {
            tracing::error!(
                "the bus's tokens in {} can't be used, the old ones hold: {error}",
                file.display()
            );
        }
    }
}
