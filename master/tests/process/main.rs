//! Real processes, started through the real shim.

mod attributes;
mod ends;
mod hosts;
mod inherited;
mod output;
mod refusals;
mod support;
mod zygote;
