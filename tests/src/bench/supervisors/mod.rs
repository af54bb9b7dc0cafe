//! Supervisors of the system beside ours, with the same worker where they can run one.
//!
//! [`births`] is how a worker tells that it is there, whoever started it; [`Rival`] is a supervisor that keeps such
//! workers; [`servers`] are fleets that serve HTTP, each with its own way of being updated.

pub mod births;
pub mod rival;
pub mod servers;

use super::roles::Play;
use births::beat;
pub use rival::Rival;

/// The roles that a benchmark of supervisors must be able to play.
pub const ROLES: [(&str, Play); 1] = [("beat", beat)];

/// Why somebody takes no part.
pub type Absent = String;
