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

/// The rights of every app there is: one that SIGHUP found gone from the file runs on, with what was said of it.
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

    /// An app has gone.
    pub(super) fn forget(&mut self, app: &AppName) {
        self.said.remove(app);
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
    /// What is said now of apps' rights holds from here on.
    pub(super) fn renew_rules(&self) {
        if let Err(error) = self.hub.set_rules(self.rights.rules()) {
            tracing::error!("new rights on the bus don't hold: {error}");
        }
    }

    /// What the files say now of who may do what holds from here on. A file of tokens that can't be used changes nothing.
    pub(super) fn renew_doors(&self) {
        self.renew_rules();
        let Some(file) = &self.tokens else { return };
        if let Err(error) = Tokens::read(file).and_then(|tokens| self.hub.set_tokens(tokens)) {
            tracing::error!(
                "the bus's tokens in {} can't be used, the old ones hold: {error}",
                file.display()
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::settings::Settings;

    #[test]
    fn an_app_that_has_gone_has_no_rights_any_more() {
        let app = |name: &str| {
            let name = AppName::new(name).expect("a name");
            Settings::default().define(name, vec!["x".into()], 1)
        };
        let mut rights = Rights::of(&[app("web"), app("old")], None);
        assert_eq!(rights.said.len(), 2);
        rights.forget(&AppName::new("old").expect("a name"));
        let left: Vec<&str> = rights.said.keys().map(AppName::as_str).collect();
        assert_eq!(left, ["web"]);
    }
}
