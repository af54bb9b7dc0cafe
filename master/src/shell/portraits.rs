//! How apps are defined, with what only the shell knows of it.

use std::sync::Arc;

use super::{Shell, add::Refused};
use crate::{config::app::AppDefinition, fleet::Portrait};

/// An app as it is kept.
#[derive(Clone, Debug)]
pub struct Drawn {
    /// What the fleet knows.
    pub portrait: Portrait,
    /// The same definition with the paths that its workers run; `None`: it has had no worker yet, or is not meant to run.
    pub release: Option<Arc<AppDefinition>>,
}

impl Shell {
    pub(super) fn portraits(&self, selector: Option<&str>) -> Result<Vec<Drawn>, Refused> {
        let portraits = self.fleet.portraits(selector)?.into_iter();
        let drawn = portraits.map(|portrait| {
            let (name, generation) = (&portrait.definition.name, portrait.generation);
            let releases = &self.workshop.releases;
            let release = portrait.fills.then(|| releases.known(name, generation));
            let release = release.flatten();
            Drawn { portrait, release }
        });
        Ok(drawn.collect())
    }
}
