//! A socket.

use super::{FROM_ONE, NAME_OR_ID, key};
use crate::config::reference::{
    Key,
    Shape::{Duration, Flag, Text, Words},
};

pub(super) const LISTEN: &[Key] = &[
    key(
        "address",
        Text,
        "",
        "\"127.0.0.1:8080\"",
        "`127.0.0.1:8080`, `[::1]:8080`, `:8080` (every IPv4 address), `[::]:8080` (every address), `8080` (127.0.0.1); `udp:` before one of \
         these; `unix:PATH`; `fd:NAME` or `fd:3`, a socket that the master's own starter passed on.",
    ),
    key(
        "backlog",
        FROM_ONE,
        "1024",
        "128",
        "Pending connections that the kernel keeps, at most `net.core.somaxconn`.",
    ),
    key(
        "nonblocking",
        Flag,
        "false",
        "true",
        "`O_NONBLOCK`. It belongs to the socket, not to a worker's descriptor: one worker's change is everyone's.",
    ),
    key(
        "type",
        Words(&["stream", "datagram", "seqpacket"]),
        "\"stream\"",
        "\"datagram\"",
        "What it carries; `datagram` at an IP address is UDP, `seqpacket` is for Unix sockets.",
    ),
    key(
        "per_slot",
        Flag,
        "false",
        "true",
        "A socket for each slot alone, at this port plus the slot's number; with port 0, any free one.",
    ),
    key(
        "v6_only",
        Flag,
        "false",
        "true",
        "Of an IPv6 address: IPv4 stays out of `[::]`.",
    ),
    key(
        "defer_accept",
        Duration,
        "(off)",
        "\"5s\"",
        "TCP: workers see a connection when its first bytes are there, or after this time; whole seconds, at most 120 (`TCP_DEFER_ACCEPT`). Not with `slot` or `sticky`.",
    ),
    key(
        "fast_open",
        FROM_ONE,
        "(off)",
        "256",
        "TCP Fast Open, for so many connections that are not established yet; `net.ipv4.tcp_fastopen` must allow it to servers.",
    ),
    key(
        "interface",
        Text,
        "(any)",
        "\"eth0\"",
        "Only what comes in on this network interface (`SO_BINDTODEVICE`).",
    ),
    key(
        "transparent",
        Flag,
        "false",
        "true",
        "Addresses that aren't the machine's own (`IP_TRANSPARENT`); needs the right `CAP_NET_ADMIN`.",
    ),
    key(
        "permissions",
        Text,
        "(what the master's umask leaves)",
        "\"0660\"",
        "Of a Unix socket's file, in octal; who may not write to it can't connect.",
    ),
    key(
        "owner",
        NAME_OR_ID,
        "(the master's user)",
        "\"root\"",
        "Whose a Unix socket's file is.",
    ),
    key(
        "group",
        NAME_OR_ID,
        "(the master's group)",
        "\"root\"",
        "The group of a Unix socket's file.",
    ),
    key(
        "ticket_rotation",
        Duration,
        "\"12h\"",
        "\"1h\"",
        "How often the secrets for TLS session tickets rotate, for workers that ask for them (`ticket_secrets`); whole seconds, at most 84 hours.",
    ),
    key(
        "mode",
        Words(&["auto", "shared", "balanced", "slot", "sticky"]),
        "\"auto\"",
        "\"balanced\"",
        "How workers share its connections: `shared`, each accepts for itself; `balanced`, the master accepts, and hands each to the ready worker \
         with the fewest open ones (workers with the Rust SDK, in Python with `ostler_sockets`, or that speak its protocol; others go on accepting for \
         themselves); `slot`, the kernel spreads them over a queue for each slot \
         (of UDP, what comes from one client's address and port stays together); `sticky`, the same, by the client's address; `auto`, `balanced` for workers that can, `shared` for the rest.",
    ),
    key(
        "max_connections",
        FROM_ONE,
        "(any number)",
        "1000",
        "With `mode = \"balanced\"`: how many connections a worker has open at most. Others wait in the kernel's queue.",
    ),
    key(
        "proxy_protocol",
        Words(&["keep", "strip"]),
        "(no header)",
        "\"strip\"",
        "With `mode = \"sticky\"`, behind a proxy: the master accepts, and knows clients by the header of the PROXY protocol (version 1 or 2) that each connection \
         must begin with. `strip`, workers get what follows it; `keep`, they read it, too. For workers with the Rust SDK, or that take connections from the master otherwise.",
    ),
];
