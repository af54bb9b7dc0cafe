//! Sockets that each slot has for itself: they come with a slot and go with it, not with its workers.

use ostler_bus::Slot;

use super::{Added, Held, Next, Retired, Sockets};
use crate::{
    config::app::{AppDefinition, AppName, SocketDeclaration},
    sockets::BindError,
};

impl Sockets {
    /// Binds what an app's workers in this slot have for themselves, and what isn't bound yet: all of it, or nothing.
    ///
    /// # Errors
    /// For the first that can't be bound.
    pub fn bind_slot(&mut self, app: &AppDefinition, slot: Slot) -> Result<Added, BindError> {
        let declared = app.listen.iter();
        let declared = declared.filter_map(|it| self.declared(&app.name, it));
        let missing =
            declared.filter(|it| it.declaration.is_each_slots_own() && !it.has(Some(slot)));
        let missing: Vec<SocketDeclaration> = missing
            .map(|declared| declared.declaration.clone())
            .collect();
        let mut added = Added::none(&app.name);
        for declaration in &missing {
            let bound = self.bind_one(declaration, Some(slot), Next::alone(app), &mut added);
            if let Err(error) = bound {
                self.take_back(added);
                return Err(error);
            }
        }
        Ok(added)
    }

    /// Closes what slots for which this is true have for themselves; tells what waited there.
    pub fn free(&mut self, app: &AppName, is_gone: impl Fn(Slot) -> bool) -> Vec<Retired> {
        let mut gone = Vec::new();
        let all = self.bound.get_mut(app).into_iter().flatten();
        // What is left of a group is seen to by itself.
        for declared in all.filter(|it| it.declaration.options.per_slot) {
            let leaves = |held: &mut Held| held.socket.slot().is_some_and(&is_gone);
            gone.extend(declared.held.extract_if(.., leaves));
        }
        // What was passed on goes on.
        let lost = gone.iter().filter(|held| self.get(held.id).is_none());
        let retired = lost.filter_map(|Held { socket, .. }| {
            let lost = socket.give_up(&self.table);
            Retired::of(socket, lost)
        });
        let retired = retired.collect();
        self.close(app, gone);
        retired
    }
}
