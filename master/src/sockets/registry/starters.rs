//! Who has which of the sockets that the master's own starter has passed on.

use super::Sockets;
use crate::{
    config::app::{AppName, SocketAddress, SocketDeclaration},
    sockets::{BindError, Problem},
};

impl Sockets {
    /// A socket of the starter's goes to one app, under one name.
    pub(super) fn not_given_away(
        &self,
        app: &AppName,
        declaration: &SocketDeclaration,
    ) -> Result<(), BindError> {
        let SocketAddress::Starter(which) = &declaration.address else {
            return Ok(());
        };
        let failed = |problem| BindError {
            name: declaration.name.clone(),
            address: declaration.address.clone(),
            problem,
        };
        let number = self.starter.lend(which).map_err(failed)?.number;
        let mut all = self.bound.iter().flat_map(|(app, declared)| {
            let held = declared.iter().flat_map(|declared| &declared.held);
            held.map(move |held| (app, &held.socket))
        });
        let taken = all.find(|(_, socket)| socket.passed_as() == Some(number));
        match taken {
            Some((other, socket)) if (other, socket.name()) != (app, &declaration.name) => {
                let to = format!("{:?} of {other}", socket.name());
                Err(failed(Problem::GivenAway(to)))
            }
            Some(_) | None => Ok(()),
        }
    }

    /// What is hardly meant about the sockets that the starter passed on, in words.
    #[must_use]
    pub fn starters_doubts(&self) -> Vec<String> {
        let missing = self.starter.missing().iter();
        let missing =
            missing.map(|what| format!("LISTEN_FDS promised a socket that isn't there: {what}"));
        let used = |number| {
            let mut sockets = self.bound.values().flatten().flat_map(|there| &there.held);
            sockets.any(|held| held.socket.passed_as() == Some(number))
        };
        let unused = self.starter.all().filter(|(number, _)| !used(*number));
        let unused = unused.map(|(number, name)| {
            format!(
                "nobody serves the socket fd:{number} ({name}) that the master's starter passed on: no app has listen = \"fd:{number}\""
            )
        });
        missing.chain(unused).collect()
    }
}
