//! Whose a connection is: nobody takes over the session of another.

use crate::{
    WorkerId,
    hub::{Principal, Role},
};

/// Whose a connection is, beside its role.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Whose {
    /// It came by path: the uid of its process.
    Uid(u32),
    /// It came over a network: the name of the token it showed. Of another token of that name, it is the same.
    Token(String),
}

/// To whom a session belongs.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Owner {
    /// `None`: it came by a socket that was given to it.
    whose: Option<Whose>,
    role: Role,
    worker: Option<WorkerId>,
}

impl Owner {
    pub(super) fn of(principal: &Principal, whose: Option<Whose>) -> Self {
        let worker = match principal {
            Principal::Worker { id, .. } => Some(*id),
            Principal::Master
            | Principal::Client { .. }
            | Principal::Observer { .. }
            | Principal::Operator { .. } => None,
        };
        Self {
            // A worker is known by its id, on the socket it inherited and on any other.
            whose: whose.filter(|_| worker.is_none()),
            role: principal.role(),
            worker,
        }
    }
}
