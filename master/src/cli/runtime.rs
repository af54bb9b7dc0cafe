//! What a command waits on.

use tokio::runtime::{Builder, Runtime};

use super::error::{CliError, Exit};

/// A runtime of this thread alone.
pub(crate) fn of_this_thread() -> Result<Runtime, CliError> {
    let runtime = Builder::new_current_thread().enable_all().build();
    runtime.map_err(|error| CliError::new(Exit::Failed, "can't start the runtime").because(&error))
}
