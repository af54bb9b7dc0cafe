//! The fleet's behaviours one by one. The simulation shows that they hold together.

mod commands;
mod crashes;
mod drains;
mod slow;
mod starts;
mod updates;
