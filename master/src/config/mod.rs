//! What an app is and where it is read from.
//!
//! Two ways lead to an [`app::AppDefinition`]: a process file ([`mod@file`]) and the flags of `ostler run` ([`flags`]). Both
//! speak the same small grammars ([`units`], [`signal`], [`address`], [`readiness`]) and fill the same [`settings`], so
//! that a value means the same wherever it is written, and defaults stand in one place.

pub mod accounts;
pub mod address;
pub mod app;
mod app_list;
mod app_table;
mod bus_history;
mod bus_limits;
pub mod bus_rights;
pub mod bus_table;
pub mod circumstances;
pub mod document;
mod dotenv;
mod env_table;
pub mod errors;
pub mod file;
pub mod flags;
mod gather;
mod given_table;
mod life_table;
mod listen_table;
mod load;
mod log_table;
pub mod missing;
pub mod naming;
pub(crate) mod placeholders;
mod policy_values;
mod probe_table;
mod process_table;
pub mod program;
pub mod readiness;
mod recycle_table;
pub mod reference;
mod reload_table;
pub mod settings;
pub mod shell_line;
pub mod signal;
mod socket_mode;
mod socket_table;
mod sources;
mod start_order;
mod stop_table;
pub(crate) mod suggest;
mod syntax;
pub mod units;
mod update_table;
mod walk;
pub mod written;
