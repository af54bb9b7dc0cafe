//! Binding what an app declares, once, and closing it again if the definition isn't taken up after all.

use ostler_bus::Slot;

use super::{Declared, Held, Next, SocketId, Sockets};
use crate::{
    config::app::{AppDefinition, AppName, SocketDeclaration},
    sockets::{
        BindError, Problem,
        bind::{Whose, bind_for, trial},
    },
};

/// The sockets that a definition has added.
#[derive(Debug)]
#[must_use = "they stay bound unless they are taken back"]
pub struct Added {
    app: AppName,
    declared: Vec<SocketDeclaration>,
    /// By whose declaration: one that was passed on within the app is bound by another as well, which stays.
    pub(super) bound: Vec<(SocketDeclaration, SocketId)>,
    /// Those of them that were kept, and are to be again.
    kept: Vec<SocketId>,
}

impl Added {
    pub(super) fn none(app: &AppName) -> Self {
        Self {
            app: app.clone(),
            declared: Vec::new(),
            bound: Vec::new(),
            kept: Vec::new(),
        }
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.bound.is_empty()
    }
}

/// The slots for which a declaration is bound: none in particular, or each of so many.
fn slots(declaration: &SocketDeclaration, instances: u32) -> Vec<Option<Slot>> {
    // An app without workers has its address all the same.
    let least = u32::from(declaration.options.mode.is_group());
    match declaration.is_each_slots_own() {
        true => (0..instances.max(least))
            .map(|slot| Some(Slot(slot)))
            .collect(),
        false => vec![None],
    }
}

impl Sockets {
    /// What would keep an app's sockets from being bound, each by itself, if this is what apps are next; nothing is bound.
    #[must_use]
    pub fn check(&self, app: &AppDefinition, next: Next<'_>) -> Vec<BindError> {
        let mut errors = Vec::new();
        for declaration in &app.listen {
            match self.missing(&app.name, declaration, app.instances) {
                Ok(mut missing) => {
                    if declaration.options.mode.is_group() {
                        // One address for all.
                        missing
                            .truncate(usize::from(self.beside(&app.name, declaration).is_none()));
                    }
                    let is_passed_on =
                        |slot: &Option<Slot>| self.giver(declaration, *slot, next).is_some();
                    missing.retain(|slot| !is_passed_on(slot));
                    let tried = missing.into_iter().map(|slot| {
                        self.not_given_away(&app.name, declaration)?;
                        let tried = trial(declaration, slot, &self.starter);
                        tried.map_err(|error| self.by_whom(error))
                    });
                    errors.extend(tried.filter_map(Result::err));
                }
                Err(error) => errors.push(error),
            }
        }
        errors
    }

    /// Binds what an app declares and doesn't have yet: all of it, or nothing.
    ///
    /// # Errors
    /// For the first that can't be bound.
    pub fn bind(&mut self, app: &AppDefinition) -> Result<Added, BindError> {
        self.bind_for_next(app, Next::alone(app))
    }

    /// The same, if this is what apps are next: what others don't have any more then is passed on as it is.
    ///
    /// # Errors
    /// For the first that can't be bound.
    pub fn bind_for_next(
        &mut self,
        app: &AppDefinition,
        next: Next<'_>,
    ) -> Result<Added, BindError> {
        let mut added = Added::none(&app.name);
        for declaration in &app.listen {
            let missing = self.missing(&app.name, declaration, app.instances);
            let bound = missing.and_then(|missing| {
                if self.declare(&app.name, declaration) {
                    added.declared.push(declaration.clone());
                }
                for slot in missing {
                    self.bind_one(declaration, slot, next, &mut added)?;
                }
                Ok(())
            });
            if let Err(error) = bound {
                self.take_back(added);
                return Err(error);
            }
        }
        Ok(added)
    }

    /// Takes up which of its sockets an app has from now on, and how its workers share them. What was bound stays as it is.
    pub fn share(&mut self, app: &AppDefinition) {
        for declared in self.bound.get_mut(&app.name).into_iter().flatten() {
            let mut new = app.listen.iter();
            let new = new.find(|new| declared.declaration.is_bound_as(new));
            declared.left_out = new.is_none();
            let Some(new) = new else {
                continue;
            };
            declared.rotate_tickets(new.options.ticket_rotation);
            declared.declaration.options.mode = new.options.mode;
            declared.declaration.backlog = new.backlog;
            for held in &mut declared.held {
                held.socket.share(new.options.mode);
                if let Err(problem) = held.socket.let_wait(new.backlog, &self.table) {
                    let (app, name) = (&app.name, held.socket.name());
                    tracing::error!("{app}: the socket {name:?} keeps its backlog: {problem:?}");
                }
            }
        }
    }

    pub(super) fn bind_one(
        &mut self,
        declaration: &SocketDeclaration,
        slot: Option<Slot>,
        next: Next<'_>,
        added: &mut Added,
    ) -> Result<(), BindError> {
        let app = &added.app;
        if let Some(id) = self.take_up(app, declaration, slot) {
            added.bound.push((declaration.clone(), id));
            added.kept.push(id);
            return Ok(());
        }
        if let Some(id) = self.pass_on(app, declaration, slot, next)? {
            added.bound.push((declaration.clone(), id));
            return Ok(());
        }
        self.not_given_away(app, declaration)?;
        let beside = self.beside(app, declaration);
        let whose = Whose {
            slot,
            beside: beside.as_ref(),
            asked: false,
        };
        let socket = bind_for(app, declaration, whose, &self.starter, &mut self.table)
            .map_err(|error| self.by_whom(error))?;
        self.last += 1;
        let id = SocketId(self.last);
        if let Some(declared) = self.declared_mut(app, declaration) {
            declared.held.push(Held { id, socket });
        }
        added.bound.push((declaration.clone(), id));
        Ok(())
    }

    /// Notes a declaration, for which nothing is bound yet; whether it is new.
    fn declare(&mut self, app: &AppName, declaration: &SocketDeclaration) -> bool {
        let new = self.declared(app, declaration).is_none();
        if new {
            self.bound.entry(app.clone()).or_default().push(Declared {
                declaration: declaration.clone(),
                held: Vec::new(),
                kept: Vec::new(),
                tickets: None,
                left_out: false,
            });
        }
        new
    }

    /// For which slots an app of this size doesn't have this socket yet.
    fn missing(
        &self,
        app: &AppName,
        declaration: &SocketDeclaration,
        instances: u32,
    ) -> Result<Vec<Option<Slot>>, BindError> {
        let mut slots = slots(declaration, instances);
        if let Some(there) = self.declared(app, declaration) {
            there.can_have(declaration)?;
            slots.retain(|slot| !there.has(*slot));
            return Ok(slots);
        }
        let mut there = self.bound.get(app).into_iter().flatten();
        match there.any(|there| there.is_in_the_way_of(declaration)) {
            false => Ok(slots),
            true => Err(BindError {
                name: declaration.name.clone(),
                address: declaration.address.clone(),
                problem: Problem::Changed(app.clone()),
            }),
        }
    }

    /// Closes what a definition has added, which is not taken up after all.
    pub fn take_back(&mut self, added: Added) {
        let app = &added.app;
        let mut gone = Vec::new();
        for (declaration, id) in &added.bound {
            let Some(declared) = self.declared_mut(app, declaration) else {
                continue;
            };
            let its = declared.held.extract_if(.., |held| held.id == *id);
            match added.kept.contains(id) {
                true => declared.kept.extend(its),
                false => gone.extend(its),
            }
        }
        let mut there = self.bound.remove(app).unwrap_or_default();
        there.retain(|declared| !added.declared.contains(&declared.declaration));
        if !there.is_empty() {
            self.bound.insert(app.clone(), there);
        }
        self.close(app, gone);
    }
}
