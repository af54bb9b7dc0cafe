//! The numbers that name workers. Newtypes, because a slot passed for an id is a worker killed by mistake.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::Schema;

macro_rules! number {
    ($(#[$doc:meta])* $name:ident($inner:ty)) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, Schema)]
        pub struct $name(pub $inner);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

number! {
    /// A worker process: counted from 1, growing, never used again within a master's life.
    WorkerId(u64)
}
number! {
    /// The place of a worker within its app: 0, 1, 2 …, taken over by its successor.
    Slot(u32)
}
number! {
    /// An update of an app: 1 for the workers it started with, one more for each update.
    Generation(u64)
}
number! {
    /// An operation accepted by the master; progress and `operation.finished` events carry it.
    OpId(u64)
}
