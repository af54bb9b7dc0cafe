//! The fleet's behaviours one by one. The simulation shows that they hold together.

mod anew;
mod commands;
mod crashes;
mod decisions;
mod drains;
mod fallen;
mod hangs;
mod hooks;
mod idle;
mod order;
mod policies;
mod probes;
mod recycling;
mod slow;
mod standings;
mod starts;
mod strategies;
mod take_up;
mod updates;
mod verbs;
mod wear;
