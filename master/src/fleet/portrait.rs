//! How apps are defined and how many of their workers there should be: for `describe`, and for `save`.

use std::sync::Arc;

use ostler_bus::{Generation, Slot as SlotNumber, vocab::control::RefusalKind};

use super::{
    Fleet,
    app::{App, Made},
    commands::Refusal,
    selector::{self, Scope},
};
use crate::config::app::{AppDefinition, AppName, overlay::Overlay};

/// An app as it is kept.
#[derive(Clone, Debug)]
pub struct Portrait {
    /// What a vacant slot is filled with now; of an app that is not meant to run, what `start` would begin with.
    pub definition: Arc<AppDefinition>,
    /// Of this generation.
    pub generation: Generation,
    /// The slots that were asked for; `None`: the whole app.
    pub chosen: Option<Vec<SlotNumber>>,
    /// How many workers it should have.
    pub size: u32,
    /// Whether it should run.
    pub wanted: bool,
    /// Whether its generation is what fills slots: it should run, and has some.
    pub fills: bool,
    /// Its slots that were stopped by themselves.
    pub parked: Vec<SlotNumber>,
}

impl Portrait {
    /// Whether this slot was asked for.
    #[must_use]
    pub fn means(&self, app: &AppName, slot: SlotNumber) -> bool {
        let slots = self.chosen.as_ref();
        self.definition.name == *app && slots.is_none_or(|slots| slots.contains(&slot))
    }
}

impl Fleet {
    /// The apps that a selector means, by name; `None` is every one.
    ///
    /// # Errors
    /// What kind of refusal, and why.
    pub fn portraits(
        &self,
        selector: Option<&str>,
    ) -> Result<Vec<Portrait>, (RefusalKind, String)> {
        let chosen = match selector {
            Some(selector) => selector::look(self, selector).map_err(Refusal::into_parts)?,
            // Every one, even where there is none.
            None => {
                let stay = self.apps.iter().filter(|(_, app)| !app.going);
                stay.map(|(name, _)| (name.clone(), Scope::Whole)).collect()
            }
        };
        let portraits = chosen.into_iter().filter_map(|(name, scope)| {
            let app = self.apps.get(&name)?;
            let (generation, definition) = drawn(app);
            Some(Portrait {
                definition,
                generation,
                chosen: match scope {
                    Scope::Whole => None,
                    Scope::Slots(slots) => Some(slots.into_iter().collect()),
                },
                size: app.size,
                wanted: app.wanted,
                fills: !app.wants_none(),
                parked: app.parked.iter().copied().collect(),
            })
        });
        Ok(portraits.collect())
    }

    /// Whether there is an app of this name that stays.
    #[must_use]
    pub fn has(&self, name: &AppName) -> bool {
        self.apps.get(name).is_some_and(|app| !app.going)
    }

    /// Whether the master is to end, and has begun to.
    #[must_use]
    pub fn is_ending(&self) -> bool {
        self.ending.is_some()
    }
}

/// What it is: what fills its slots, or what would once it is started. A start takes up what `reload --update-env` brought,
/// and leaves what `reload --env` did.
fn drawn(app: &App) -> Made {
    if !app.wants_none() {
        return app.filling();
    }
    let overlay = Overlay {
        inherited: app.inherited.clone(),
        ..Overlay::default()
    };
    let definition = AppDefinition {
        overlay,
        ..AppDefinition::clone(&app.definition)
    };
    (app.newest, Arc::new(definition))
}
