//! When an app starts, and beside whom.

use super::AppName;

/// An app's place in the order of starting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StartOrder {
    /// Whether it starts with the master. Default true; else it waits for `ostler start`.
    pub autostart: bool,
    /// How many of its workers may start at once, when its slots are filled. Default 1: each is ready before the next.
    pub parallel: u32,
    /// Apps of a higher priority are started before those of a lower one begin. Default 0.
    pub priority: i32,
    /// Apps that must be ready before this one begins. Default none.
    pub depends_on: Vec<AppName>,
}

impl Default for StartOrder {
    fn default() -> Self {
        Self {
            autostart: true,
            parallel: 1,
            priority: 0,
            depends_on: Vec::new(),
        }
    }
}
