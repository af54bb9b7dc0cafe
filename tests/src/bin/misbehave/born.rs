//! A worker that says when it is there, to whoever supervises it and to whoever measures that.

use std::{
    io::Write,
    os::unix::net::UnixStream,
    path::Path,
    process::ExitCode,
    time::{Duration, Instant},
};

use super::{life, notify};

/// How often it looks whether its socket is still there.
const LOOK: Duration = Duration::from_millis(500);

/// Says its process id to a Unix socket, READY=1 if there is a `NOTIFY_SOCKET`, and stays until the first is gone.
pub(super) fn live(socket: &str) -> Result<ExitCode, String> {
    let failed = |e: std::io::Error| format!("{socket}: {e}");
    let mut stream = UnixStream::connect(socket).map_err(failed)?;
    write!(stream, "{}", std::process::id()).map_err(failed)?;
    drop(stream);
    if std::env::var_os("NOTIFY_SOCKET").is_some() {
        notify::send("READY=1")?;
    }
    let born = Instant::now();
    while Path::new(socket).exists() && born.elapsed() < life::LONGEST {
        life::pause(LOOK);
    }
    Ok(ExitCode::SUCCESS)
}
