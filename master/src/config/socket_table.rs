//! A socket's table in the process file.
//!
//! ```toml
//! listen.web = { address = "[::]:443", v6_only = true, defer_accept = "5s" }
//! listen.local = { address = "unix:run/web.sock", permissions = "0660", group = "www-data" }
//! ```

use std::{path::Path, time::Duration};

use ostler_worker_sdk::tickets::{LONGEST_ROTATION, ROTATION};
use toml::de::DeTable;

use super::{
    accounts,
    address::{self, DEFAULT_BACKLOG},
    app::{
        SocketAddress, SocketDeclaration,
        socket::{SocketKind, SocketOptions},
    },
    errors::Wrong,
    listen_table::one_address,
    process_table,
    socket_mode::{self, Words},
    walk::{Node, Walker},
};

/// Every key.
const KEYS: [&str; 17] = [
    "address",
    "backlog",
    "nonblocking",
    "mode",
    "max_connections",
    "proxy_protocol",
    "type",
    "per_slot",
    "v6_only",
    "defer_accept",
    "fast_open",
    "interface",
    "transparent",
    "permissions",
    "owner",
    "group",
    "ticket_rotation",
];

/// The longest that an accept can be deferred: a connection that says nothing for longer isn't worth keeping.
const LONGEST_DEFERRED: Duration = Duration::from_secs(120);

/// The longest name of a network interface, in bytes.
const LONGEST_INTERFACE: usize = 15;

/// Reads a socket with options; its name is the caller's to fill in.
pub(super) fn read(
    walker: &mut Walker<'_>,
    path: &str,
    node: &Node<'_>,
    table: &DeTable<'_>,
    base: &Path,
) -> Option<SocketDeclaration> {
    let mut address = None;
    let (mut backlog, mut nonblocking) = (Some(DEFAULT_BACKLOG), Some(false));
    let mut options = SocketOptions::default();
    let mut shared = Words::default();
    for (key, value) in table {
        let name = key.get_ref().as_ref();
        let path = format!("{path}.{name}");
        match name {
            "address" => address = Some(one_address(walker, &path, value, base)),
            "backlog" => backlog = walker.count(&path, value, 1),
            "nonblocking" => nonblocking = walker.boolean(&path, value),
            "mode" => {
                shared.mode = socket_mode::word(walker, &path, value).map(|mode| (mode, value));
            }
            "max_connections" => {
                shared.max_connections = walker.count(&path, value, 1).map(|most| (most, value));
            }
            "proxy_protocol" => {
                let header = socket_mode::header(walker, &path, value);
                shared.proxy_protocol = header.map(|header| (header, value));
            }
            _ if KEYS.contains(&name) => option(walker, &path, name, value, &mut options),
            _ => walker.unknown_key(key.span(), &path, name, &KEYS, None),
        }
    }
    if address.is_none() {
        let wrong = Wrong::new(
            "the socket has no address",
            "add address = \"127.0.0.1:8080\"",
        );
        walker.fault(node.span(), path, wrong);
    }
    let mut address = address.flatten()?;
    take_type(walker, path, table, &mut address, options.kind);
    options.mode = socket_mode::read(walker, path, shared, &address, &options);
    for (key, _) in table {
        let name = key.get_ref().as_ref();
        if let Some(meant) = misplaced(name, &address, options.kind) {
            let wrong = Wrong::new(
                format!("{address} can't have it: it is {meant}"),
                "remove it, or choose another address",
            );
            walker.fault(key.span(), &format!("{path}.{name}"), wrong);
        }
    }
    Some(SocketDeclaration {
        backlog: backlog?,
        nonblocking: nonblocking?,
        options,
        ..address::declaration(String::new(), address)
    })
}

fn option(
    walker: &mut Walker<'_>,
    path: &str,
    name: &str,
    node: &Node<'_>,
    options: &mut SocketOptions,
) {
    match name {
        "type" => options.kind = kind(walker, path, node).unwrap_or_default(),
        "per_slot" => options.per_slot = walker.boolean(path, node).unwrap_or_default(),
        "v6_only" => options.v6_only = walker.boolean(path, node).unwrap_or_default(),
        "defer_accept" => options.defer_accept = deferred(walker, path, node),
        "fast_open" => options.fast_open = walker.count(path, node, 1),
        "interface" => options.interface = interface(walker, path, node),
        "transparent" => options.transparent = walker.boolean(path, node).unwrap_or_default(),
        "permissions" => {
            options.file.permissions = process_table::octal(walker, path, node, "\"0660\"");
        }
        "ticket_rotation" => options.ticket_rotation = rotation(walker, path, node),
        "owner" => {
            let user = process_table::name(walker, path, node)
                .and_then(|name| walker.take(path, node, accounts::user(&name)));
            options.file.owner = user.map(|user| user.uid);
        }
        _ => {
            let group = process_table::name(walker, path, node)
                .and_then(|name| walker.take(path, node, accounts::group(&name)));
            options.file.group = group.map(|group| group.gid);
        }
    }
}

fn kind(walker: &mut Walker<'_>, path: &str, node: &Node<'_>) -> Option<SocketKind> {
    let fix = "use \"stream\", \"datagram\" or \"seqpacket\"";
    let word = walker.string(path, node, fix)?;
    let known = SocketKind::WORDS.iter().find(|(known, _)| *known == word);
    let kind = known.map(|(_, kind)| *kind);
    let wrong = || Wrong::new(format!("{word:?} is no type of socket"), fix);
    walker.take(path, node, kind.ok_or_else(wrong))
}

fn deferred(walker: &mut Walker<'_>, path: &str, node: &Node<'_>) -> Option<Duration> {
    let time = walker.positive(path, node)?;
    let fits = time.subsec_nanos() == 0 && time <= LONGEST_DEFERRED;
    let wrong = || {
        Wrong::new(
            "an accept is deferred by whole seconds, at most 120",
            "write \"5s\"",
        )
    };
    walker.take(path, node, fits.then_some(time).ok_or_else(wrong))
}

fn rotation(walker: &mut Walker<'_>, path: &str, node: &Node<'_>) -> Option<Duration> {
    let time = walker.positive(path, node)?;
    let fits = time.subsec_nanos() == 0 && time <= LONGEST_ROTATION;
    let wrong = || {
        Wrong::new(
            "secrets rotate after whole seconds, at most 84 hours: tickets are good for two rotations, and not for more than seven days",
            "write \"12h\"",
        )
    };
    let time = walker.take(path, node, fits.then_some(time).ok_or_else(wrong));
    time.filter(|time| *time != ROTATION)
}

fn interface(walker: &mut Walker<'_>, path: &str, node: &Node<'_>) -> Option<String> {
    let fix = "write the name of a network interface: \"eth0\"";
    let name = walker.string(path, node, fix)?;
    let fits = (1..=LONGEST_INTERFACE).contains(&name.len()) && !name.contains(['/', ' ']);
    let wrong = || Wrong::new(format!("{name:?} is not an interface's name"), fix);
    walker.take(path, node, fits.then(|| name.to_owned()).ok_or_else(wrong))
}

/// `type = "datagram"` at an IP address is UDP.
fn take_type(
    walker: &mut Walker<'_>,
    path: &str,
    table: &DeTable<'_>,
    address: &mut SocketAddress,
    kind: SocketKind,
) {
    let said = table.iter().find(|(key, _)| key.get_ref() == "type");
    let Some((_, node)) = said else { return };
    match (&*address, kind) {
        (SocketAddress::Tcp(ip), SocketKind::Datagram) => *address = SocketAddress::Udp(*ip),
        (SocketAddress::Tcp(_), SocketKind::Seqpacket)
        | (SocketAddress::Udp(_), SocketKind::Stream | SocketKind::Seqpacket) => {
            let wrong = Wrong::new(
                format!("{address} can't be of that type"),
                "an IP address takes \"stream\" (TCP) or \"datagram\" (UDP)",
            );
            walker.fault(node.span(), &format!("{path}.type"), wrong);
        }
        (SocketAddress::Starter(_), _) => {
            let wrong = Wrong::new(
                "what a socket of the starter's is was decided by that",
                "remove it",
            );
            walker.fault(node.span(), &format!("{path}.type"), wrong);
        }
        (SocketAddress::Tcp(_), SocketKind::Stream)
        | (SocketAddress::Udp(_), SocketKind::Datagram)
        | (SocketAddress::Unix(_), _) => {}
    }
}

/// What an option is for, if that is not this address.
fn misplaced(option: &str, address: &SocketAddress, kind: SocketKind) -> Option<&'static str> {
    let tcp = matches!(address, SocketAddress::Tcp(_));
    let udp = matches!(address, SocketAddress::Udp(_));
    let unix = matches!(address, SocketAddress::Unix(_));
    let v6 = match address {
        SocketAddress::Tcp(ip) | SocketAddress::Udp(ip) => ip.is_ipv6(),
        SocketAddress::Unix(_) | SocketAddress::Starter(_) => false,
    };
    let (fits, meant) = match option {
        "backlog" => {
            let connections = tcp || (unix && kind != SocketKind::Datagram);
            (
                connections,
                "for sockets that the master binds and that take connections",
            )
        }
        "v6_only" => (v6, "for IPv6 addresses"),
        "defer_accept" | "fast_open" => (tcp, "for TCP"),
        "per_slot" | "interface" | "transparent" => (tcp || udp, "for IP addresses and ports"),
        "permissions" | "owner" | "group" => (unix, "for Unix sockets"),
        _ => (true, ""),
    };
    (!fits).then_some(meant)
}
