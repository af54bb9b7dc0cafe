//! Who a connection belongs to. Decided by the hub from how the peer came in, never by what the peer says of itself.

use std::fmt;

use crate::{Generation, Origin, Slot, WorkerId};

/// What a connection may be, least first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// Only listens.
    Observer,
    /// Any other program.
    Client,
    /// A process that the master started.
    Worker,
    /// Commands the fleet.
    Operator,
    /// The master's own features.
    Master,
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Observer => "observer",
            Self::Client => "client",
            Self::Worker => "worker",
            Self::Operator => "operator",
            Self::Master => "master",
        })
    }
}

/// Who a connection belongs to, with what its origin is made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Principal {
    /// The master's own features.
    Master,
    /// A worker, known by the socket it inherited.
    Worker {
        /// Its app: one topic token.
        app: String,
        /// Its id.
        id: WorkerId,
        /// Its slot.
        slot: Slot,
        /// Its generation.
        generation: Generation,
        /// Its process id at spawn.
        pid: u32,
    },
    /// Any other program, by the name it gave at HELLO.
    Client {
        /// The name it gave.
        name: String,
    },
    /// A program that only listens.
    Observer {
        /// The name it gave.
        name: String,
    },
    /// A program that commands the fleet.
    Operator {
        /// The name it gave.
        name: String,
    },
}

impl Principal {
    /// Its role.
    #[must_use]
    pub fn role(&self) -> Role {
        match self {
            Self::Master => Role::Master,
            Self::Worker { .. } => Role::Worker,
            Self::Client { .. } => Role::Client,
            Self::Observer { .. } => Role::Observer,
            Self::Operator { .. } => Role::Operator,
        }
    }

    /// The app it is a worker of, if it is one.
    #[must_use]
    pub fn app(&self) -> Option<&str> {
        match self {
            Self::Worker { app, .. } => Some(app),
            Self::Master | Self::Client { .. } | Self::Observer { .. } | Self::Operator { .. } => {
                None
            }
        }
    }

    /// What its events are stamped with on connection `conn`.
    #[must_use]
    pub fn origin(&self, conn: u64) -> Origin {
        match self {
            Self::Master => Origin::Master,
            Self::Worker {
                app,
                id,
                slot,
                generation,
                pid,
            } => Origin::Worker {
                app: app.clone(),
                id: *id,
                slot: *slot,
                generation: *generation,
                pid: *pid,
            },
            Self::Client { name } | Self::Observer { name } | Self::Operator { name } => {
                Origin::Client {
                    name: name.clone(),
                    conn,
                }
            }
        }
    }
}

impl fmt::Display for Principal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Master => f.write_str("the master"),
            Self::Worker { app, id, slot, .. } => {
                write!(f, "worker {id} (app {app}, slot {slot})")
            }
            Self::Client { name } | Self::Observer { name } | Self::Operator { name } => {
                write!(f, "{} {name:?}", self.role())
            }
        }
    }
}

/// What a peer that connects by path may become.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Admission {
    /// The most it may be: [`Role::Observer`], [`Role::Client`] or [`Role::Operator`]. A peer that asks for more at HELLO
    /// is turned away. Nobody becomes a worker or the master by path.
    pub most: Role,
}

impl Default for Admission {
    /// Operators: whoever has the hub's own uid may command the fleet.
    fn default() -> Self {
        Self {
            most: Role::Operator,
        }
    }
}
