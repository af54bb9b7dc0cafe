//! The key `listen`.

use super::{Value, word};
use crate::config::{
    address::DEFAULT_BACKLOG,
    app::{
        ProxyHeader, SocketDeclaration, SocketMode,
        socket::{SocketFile, SocketKind, SocketOptions},
    },
};

/// Sockets by name, in their order.
pub(super) fn listen(sockets: &[SocketDeclaration]) -> Value {
    let sockets = sockets.iter();
    Value::Table(
        sockets
            .map(|socket| (socket.name.clone(), one(socket)))
            .collect(),
    )
}

fn one(socket: &SocketDeclaration) -> Value {
    let SocketDeclaration {
        name: _,
        address,
        backlog,
        nonblocking,
        options,
    } = socket;
    let SocketOptions {
        mode,
        kind,
        per_slot,
        v6_only,
        defer_accept,
        fast_open,
        interface,
        transparent,
        file,
        ticket_rotation,
    } = options;
    let SocketFile {
        permissions,
        owner,
        group,
    } = file;
    let is_true = |truth: &bool| truth.then(|| Value::plain(true));
    let [mode, max_connections, proxy_protocol] = mode_of(*mode);
    let kind = (*kind != SocketKind::default()).then(|| word(&SocketKind::WORDS, kind));
    let said = Value::table([
        ("address", Some(Value::text(address))),
        (
            "backlog",
            (*backlog != DEFAULT_BACKLOG).then(|| Value::plain(backlog)),
        ),
        ("nonblocking", is_true(nonblocking)),
        ("mode", mode),
        ("max_connections", max_connections),
        ("proxy_protocol", proxy_protocol),
        ("type", kind),
        ("per_slot", is_true(per_slot)),
        ("v6_only", is_true(v6_only)),
        ("defer_accept", defer_accept.map(Value::time)),
        ("fast_open", fast_open.map(Value::plain)),
        ("interface", interface.as_ref().map(Value::text)),
        ("transparent", is_true(transparent)),
        (
            "permissions",
            permissions.map(|bits| Value::Text(format!("{bits:04o}"))),
        ),
        ("owner", owner.map(Value::plain)),
        ("group", group.map(Value::plain)),
        ("ticket_rotation", ticket_rotation.map(Value::time)),
    ]);
    match said {
        Value::Table(fields) if fields.len() == 1 => Value::text(address),
        said => said,
    }
}

/// The mode, and what belongs to some of them.
fn mode_of(mode: SocketMode) -> [Option<Value>; 3] {
    let plain = |mode| [Some(Value::text(mode)), None, None];
    match mode {
        SocketMode::Auto => [None, None, None],
        SocketMode::Shared => plain("shared"),
        SocketMode::Slot => plain("slot"),
        SocketMode::Sticky => plain("sticky"),
        SocketMode::Proxied(header) => [
            Some(Value::text("sticky")),
            None,
            Some(word(&ProxyHeader::WORDS, &header)),
        ],
        SocketMode::Balanced { max_connections } => [
            Some(Value::text("balanced")),
            max_connections.map(Value::plain),
            None,
        ],
    }
}
