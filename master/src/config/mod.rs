//! What an app is and where it is read from.
pub mod app;
