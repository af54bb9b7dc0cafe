//! What the file says of sockets.

use super::*;
use crate::config::app::{ProxyHeader, SocketDeclaration, SocketMode, socket::SocketKind};

fn sockets(line: &str) -> Vec<SocketDeclaration> {
    let text = format!("[app.a]\ncommand = \"a\"\n{line}\n");
    good(&text).apps.remove(0).listen
}

#[test]
fn every_option_is_read() {
    let text = r#"[app.a.listen]
web = { address = "[::]:443", v6_only = true, defer_accept = "5s", fast_open = 256, interface = "eth0", transparent = true }
own = { address = "127.0.0.1:8100", per_slot = true }
dns = { address = "0.0.0.0:53", type = "datagram" }
log = { address = "unix:log", type = "datagram", permissions = "0620", owner = 0, group = "0" }
pipe = { address = "unix:pipe", type = "seqpacket", backlog = 5, nonblocking = true }
http = "fd:web.socket"
"#;
    let sockets = sockets(text);
    let shown: Vec<String> = sockets
        .iter()
        .map(|socket| format!("{} {}", socket.name, socket.address))
        .collect();
    assert_eq!(
        shown,
        [
            "web [::]:443",
            "own 127.0.0.1:8100",
            "dns udp:0.0.0.0:53",
            "log unix:/srv/shop/log",
            "pipe unix:/srv/shop/pipe",
            "http fd:web.socket"
        ]
    );
    let web = &sockets[0].options;
    assert!(web.v6_only && web.transparent && !web.per_slot);
    assert_eq!(web.defer_accept, Some(Duration::from_secs(5)));
    assert_eq!(
        (web.fast_open, web.interface.as_deref()),
        (Some(256), Some("eth0"))
    );
    assert!(sockets[1].options.per_slot);
    let log = &sockets[3].options;
    assert_eq!(log.kind, SocketKind::Datagram);
    assert_eq!(
        (log.file.permissions, log.file.owner, log.file.group),
        (Some(0o620), Some(0), Some(0))
    );
    assert_eq!(
        (sockets[4].options.kind, sockets[4].backlog),
        (SocketKind::Seqpacket, 5)
    );
}

#[test]
fn what_an_address_can_t_have_is_told_with_its_place() {
    let text = r#"[app.a]
command = "a"
[app.a.listen]
a = { address = ":1", v6_only = true, permissions = "0600" }
b = { address = "unix:/s", defer_accept = "1s", per_slot = true }
c = { address = "udp::2", backlog = 5, fast_open = 1 }
d = { address = "fd:3", type = "stream", interface = "eth0" }
e = { address = ":3", type = "seqpacket" }
f = { address = ":4", type = "dgram", defer_accept = "1500ms", interface = "a-name-too-long-for-linux" }
g = { address = "unix:t", permissions = "rw", owner = "nobody-of-this-name" }
h = { address = ":5", keepalive = true }
"#;
    let told = faults(text);
    let expected = [
        "4:23: app.a.listen.a.v6_only: 0.0.0.0:1 can't have it: it is for IPv6 addresses",
        "4:39: app.a.listen.a.permissions: 0.0.0.0:1 can't have it: it is for Unix sockets",
        "app.a.listen.b.defer_accept: unix:/s can't have it: it is for TCP",
        "app.a.listen.b.per_slot: unix:/s can't have it: it is for IP addresses and ports",
        "app.a.listen.c.backlog: udp:0.0.0.0:2 can't have it",
        "app.a.listen.c.fast_open: udp:0.0.0.0:2 can't have it: it is for TCP",
        "app.a.listen.d.type: what a socket of the starter's is was decided by that",
        "app.a.listen.d.interface: fd:3 can't have it",
        "app.a.listen.e.type: 0.0.0.0:3 can't be of that type",
        "app.a.listen.f.type: \"dgram\" is no type of socket",
        "app.a.listen.f.defer_accept: an accept is deferred by whole seconds",
        "app.a.listen.f.interface: \"a-name-too-long-for-linux\" is not an interface's name",
        "app.a.listen.g.permissions: \"rw\" is no octal number",
        "app.a.listen.g.owner: there is no user \"nobody-of-this-name\"",
        "app.a.listen.h.keepalive: unknown key",
    ];
    for line in expected {
        assert!(
            told.iter().any(|told| told.contains(line)),
            "no {line:?}: {told:#?}"
        );
    }
    assert_eq!(told.len(), 2 * expected.len(), "{told:#?}");
}

#[test]
fn how_workers_share_a_socket_is_read() {
    let text = r#"[app.a.listen]
plain = ":1"
auto = { address = ":2", mode = "auto" }
shared = { address = "udp::3", mode = "shared" }
balanced = { address = "unix:s", mode = "balanced" }
limited = { max_connections = 5, mode = "balanced", address = "fd:3" }
slot = { address = "[::]:6", mode = "slot" }
sticky = { address = ":7", mode = "sticky" }
stripped = { proxy_protocol = "strip", address = ":8", mode = "sticky", defer_accept = "1s" }
kept = { address = "unix:k", mode = "sticky", proxy_protocol = "keep" }
passed = { address = "fd:4", mode = "sticky", proxy_protocol = "keep" }
udp = { address = "udp:[::]:8", mode = "slot" }
datagrams = { address = ":9", type = "datagram", mode = "sticky" }
"#;
    let modes: Vec<SocketMode> = sockets(text).iter().map(|s| s.options.mode).collect();
    let balanced = |max_connections| SocketMode::Balanced { max_connections };
    assert_eq!(
        modes,
        [
            SocketMode::Auto,
            SocketMode::Auto,
            SocketMode::Shared,
            balanced(None),
            balanced(Some(5)),
            SocketMode::Slot,
            SocketMode::Sticky,
            SocketMode::Proxied(ProxyHeader::Strip),
            SocketMode::Proxied(ProxyHeader::Keep),
            SocketMode::Proxied(ProxyHeader::Keep),
            SocketMode::Slot,
            SocketMode::Sticky,
        ]
    );
}

#[test]
fn headers_are_for_sticky_sockets_that_take_streams() {
    let text = r#"[app.a]
command = "a"
[app.a.listen]
a = { address = "udp::1", mode = "sticky", proxy_protocol = "keep" }
b = { address = "unix:b", mode = "sticky", proxy_protocol = "keep", type = "seqpacket" }
c = { address = ":3", mode = "sticky", proxy_protocol = "strip", per_slot = true }
d = { address = ":4", mode = "slot", proxy_protocol = "strip" }
e = { address = ":5", proxy_protocol = "strip" }
f = { address = ":6", mode = "sticky", proxy_protocol = "drop" }
g = { address = ":7", mode = "sticky", proxy_protocol = true }
h = { address = ":8", mode = "sticky", proxy_protocol = "keep", max_connections = 1 }
"#;
    let told = faults(text);
    let expected = [
        "app.a.listen.a.mode: udp:0.0.0.0:1 can't be sticky by the PROXY protocol: it takes no streams",
        "/b can't be sticky by the PROXY protocol",
        "app.a.listen.c.mode: a socket that each slot has for itself can't be sticky by the PROXY protocol",
        "7:55: app.a.listen.d.proxy_protocol: the header tells which client's slot",
        "app.a.listen.e.proxy_protocol: the header tells which client's slot",
        "app.a.listen.f.proxy_protocol: \"drop\" is nothing that can be done with a header",
        "app.a.listen.g.proxy_protocol: ",
        "app.a.listen.h.max_connections: workers that accept by themselves can't be limited",
    ];
    for line in expected {
        assert!(
            told.iter().any(|told| told.contains(line)),
            "no {line:?}: {told:#?}"
        );
    }
    assert_eq!(told.len(), 2 * expected.len(), "{told:#?}");
}

#[test]
fn what_can_t_be_handed_over_is_not_balanced() {
    let text = r#"[app.a]
command = "a"
[app.a.listen]
a = { address = "udp::1", mode = "balanced" }
b = { mode = "balanced", address = ":2", type = "datagram" }
c = { address = "unix:c", type = "datagram", mode = "balanced" }
d = { address = "unix:d", type = "seqpacket", mode = "balanced" }
e = { address = ":5", per_slot = true, mode = "balanced" }
f = { address = ":6", mode = "fair" }
g = { address = ":7", max_connections = 5 }
h = { address = ":8", mode = "shared", max_connections = 5 }
i = { address = ":9", mode = "balanced", max_connections = 0 }
"#;
    let told = faults(text);
    let expected = [
        "4:34: app.a.listen.a.mode: udp:0.0.0.0:1 can't be balanced: it takes no streams",
        "5:14: app.a.listen.b.mode: udp:0.0.0.0:2 can't be balanced",
        "/c can't be balanced",
        "/d can't be balanced",
        "app.a.listen.e.mode: a socket that each slot has for itself can't be balanced",
        "app.a.listen.f.mode: \"fair\" is no way to share a socket",
        "app.a.listen.g.max_connections: workers that accept by themselves can't be limited",
        "app.a.listen.h.max_connections: workers that accept by themselves can't be limited",
        "app.a.listen.i.max_connections: ",
    ];
    for line in expected {
        assert!(
            told.iter().any(|told| told.contains(line)),
            "no {line:?}: {told:#?}"
        );
    }
    assert_eq!(told.len(), 2 * expected.len(), "{told:#?}");
}

#[test]
fn what_is_no_port_is_not_each_slots_own() {
    let text = r#"[app.a]
command = "a"
[app.a.listen]
a = { address = "udp::1", per_slot = true, mode = "slot" }
b = { address = "unix:b", mode = "sticky" }
c = { address = "fd:3", mode = "slot" }
d = { address = ":4", per_slot = true, mode = "sticky" }
e = { address = ":5", max_connections = 5, mode = "slot" }
f = { defer_accept = "1s", address = ":6", mode = "slot" }
g = { address = "[::]:7", mode = "sticky", defer_accept = "5s" }
"#;
    let told = faults(text);
    let expected = [
        "app.a.listen.a.mode: a port for each slot is not one that they share",
        "/b can't be each slot's own",
        "app.a.listen.c.mode: fd:3 can't be each slot's own",
        "app.a.listen.d.mode: a port for each slot is not one that they share",
        "app.a.listen.e.max_connections: workers that accept by themselves can't be limited",
        "9:51: app.a.listen.f.mode: slots with sockets of their own can't defer",
        "app.a.listen.g.mode: slots with sockets of their own can't defer",
    ];
    for line in expected {
        assert!(
            told.iter().any(|told| told.contains(line)),
            "no {line:?}: {told:#?}"
        );
    }
    assert_eq!(told.len(), 2 * expected.len(), "{told:#?}");
}

#[test]
fn how_often_the_secrets_of_tickets_rotate_is_read() {
    let text = r#"[app.a.listen]
plain = ":1"
often = { address = ":2", ticket_rotation = "90s" }
most = { address = "unix:s", ticket_rotation = "84h" }
usual = { address = ":3", ticket_rotation = "12h" }
"#;
    let sockets = sockets(text);
    let rotations = sockets.iter().map(|s| s.options.ticket_rotation);
    let rotations: Vec<_> = rotations.map(|it| it.map(|it| it.as_secs())).collect();
    assert_eq!(rotations, [None, Some(90), Some(84 * 3600), None]);

    let text = r#"[app.a]
command = "a"
[app.a.listen]
a = { address = ":1", ticket_rotation = "0s" }
b = { address = ":2", ticket_rotation = "1500ms" }
c = { address = ":3", ticket_rotation = "85h" }
"#;
    let told = faults(text);
    let expected = [
        "app.a.listen.a.ticket_rotation: it can't be zero",
        "app.a.listen.b.ticket_rotation: secrets rotate after whole seconds, at most 84 hours",
        "app.a.listen.c.ticket_rotation: secrets rotate after whole seconds, at most 84 hours",
    ];
    for line in expected {
        assert!(
            told.iter().any(|told| told.contains(line)),
            "no {line:?}: {told:#?}"
        );
    }
    assert_eq!(told.len(), 2 * expected.len(), "{told:#?}");
}
