//! The sender's side of `sd_notify`.

use std::os::{
    linux::net::SocketAddrExt,
    unix::net::{SocketAddr, UnixDatagram},
};

/// Sends one datagram to `NOTIFY_SOCKET`.
pub(super) fn send(text: &str) -> Result<(), String> {
    let name = std::env::var("NOTIFY_SOCKET").map_err(|e| format!("NOTIFY_SOCKET: {e}"))?;
    let address = match name.strip_prefix('@') {
        Some(name) => SocketAddr::from_abstract_name(name),
        None => SocketAddr::from_pathname(&name),
    };
    let told = |e| format!("NOTIFY_SOCKET {name:?}: {e}");
    let socket = UnixDatagram::unbound().map_err(told)?;
    let address = address.map_err(told)?;
    socket
        .send_to_addr(text.as_bytes(), &address)
        .map_err(told)?;
    Ok(())
}

/// Sends as fast as it can, for so long or until the socket is gone.
pub(super) fn flood(time: std::time::Duration) -> Result<(), String> {
    let name = std::env::var("NOTIFY_SOCKET").map_err(|e| format!("NOTIFY_SOCKET: {e}"))?;
    let socket = UnixDatagram::unbound().map_err(|e| e.to_string())?;
    let end = std::time::Instant::now() + time;
    while std::time::Instant::now() < end && socket.send_to(b"STATUS=busy", &name).is_ok() {}
    Ok(())
}
