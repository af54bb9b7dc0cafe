//! The fleet's behaviours one by one. The simulation shows that they hold together.

mod commands;
mod crashes;
mod drains;
mod hangs;
mod order;
mod policies;
mod probes;
mod recycling;
mod slow;
mod starts;
mod strategies;
mod take_up;
mod updates;
