//! What the master does beside keeping workers alive. Each feature is a client of the bus, in a room of its own that
//! could be removed without touching its neighbours.

pub mod log_tap;
pub mod roll;
pub mod status;
pub mod system_restart;
pub mod watch;
