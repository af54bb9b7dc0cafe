//! The built-in events and requests, as types. The hub's core names none of them: it is given their rules as data.

pub mod bus;
pub mod commands;
pub mod control;
pub mod describe;
pub mod log;
pub mod plan;
pub mod rights;
pub mod rules;
pub mod saved;
pub mod status;
pub mod update;
pub mod worker;
