//! Supervisors of the system beside ours, with the same worker where they can run one.
//!
//! [`births`] is how a worker tells that it is there, whoever started it; [`Rival`] is a supervisor that keeps such
//! workers; [`servers`] are fleets that serve HTTP, each with its own way of being updated, and [`site`] is what they
//! serve, in good versions and bad ones.

pub mod births;
mod nginx;
mod readiness;
pub mod rival;
pub mod servers;
pub mod site;

use super::roles::Play;
pub use nginx::nginx_start;
pub use readiness::Readiness;
pub use rival::Rival;

/// The roles that a benchmark of supervisors must be able to play.
pub const ROLES: [(&str, Play); 1] = [("site", site::site)];

/// Why somebody takes no part.
pub type Absent = String;
