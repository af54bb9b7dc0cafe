//! The fleet's behaviours one by one. The simulation shows that they hold together.

mod commands;
mod crashes;
mod drains;
mod order;
mod slow;
mod starts;
mod take_up;
mod updates;
