//! How workers share a socket, in its table.
//!
//! ```toml
//! listen.web = { address = ":8080", mode = "balanced", max_connections = 1000 }
//! listen.chat = { address = ":8081", mode = "sticky" }
//! listen.far = { address = ":8082", mode = "sticky", proxy_protocol = "strip" }
//! ```

use super::{
    app::{
        ProxyHeader, SocketAddress, SocketMode,
        socket::{SocketKind, SocketOptions},
    },
    errors::Wrong,
    walk::{Node, Walker},
};

/// Reads the word itself.
pub(super) fn word(walker: &mut Walker<'_>, path: &str, node: &Node<'_>) -> Option<SocketMode> {
    let fix = "use \"balanced\", \"shared\", \"slot\", \"sticky\" or \"auto\"";
    let mode = match walker.string(path, node, fix)? {
        "auto" => Ok(SocketMode::Auto),
        "shared" => Ok(SocketMode::Shared),
        "slot" => Ok(SocketMode::Slot),
        "sticky" => Ok(SocketMode::Sticky),
        "balanced" => Ok(SocketMode::Balanced {
            max_connections: None,
        }),
        other => {
            let what = format!("{other:?} is no way to share a socket");
            Err(Wrong::new(what, fix))
        }
    };
    walker.take(path, node, mode)
}

/// Reads what becomes of the header.
pub(super) fn header(walker: &mut Walker<'_>, path: &str, node: &Node<'_>) -> Option<ProxyHeader> {
    let fix = "use \"strip\" for programs that don't know the header, or \"keep\" for those that read it themselves";
    let word = walker.string(path, node, fix)?;
    let known = ProxyHeader::WORDS.iter().find(|(known, _)| *known == word);
    let wrong = || {
        Wrong::new(
            format!("{word:?} is nothing that can be done with a header"),
            fix,
        )
    };
    walker.take(
        path,
        node,
        known.map(|(_, header)| *header).ok_or_else(wrong),
    )
}

/// A value, and where it stands.
type Said<'a, 'b, T> = Option<(T, &'a Node<'b>)>;

/// What the table of a socket says of how workers share it.
#[derive(Default)]
pub(super) struct Words<'a, 'b> {
    pub(super) mode: Said<'a, 'b, SocketMode>,
    pub(super) max_connections: Said<'a, 'b, u32>,
    pub(super) proxy_protocol: Said<'a, 'b, ProxyHeader>,
}

/// Puts it together.
pub(super) fn read(
    walker: &mut Walker<'_>,
    path: &str,
    words: Words<'_, '_>,
    address: &SocketAddress,
    options: &SocketOptions,
) -> SocketMode {
    let Words {
        mode,
        max_connections: most,
        proxy_protocol: header,
    } = words;
    let said = match (mode.map_or(SocketMode::Auto, |(mode, _)| mode), header) {
        (SocketMode::Sticky, Some((header, _))) => SocketMode::Proxied(header),
        (other, Some((_, node))) => {
            let wrong = Wrong::new(
                "the header tells which client's slot a connection is for, and only sticky sockets ask for that",
                "add mode = \"sticky\"; or leave proxy_protocol out, and workers get the header as it came",
            );
            walker.fault(node.span(), &format!("{path}.proxy_protocol"), wrong);
            other
        }
        (other, None) => other,
    };
    let unfit = match said {
        SocketMode::Balanced { .. } => unfit(address, options, "balanced"),
        SocketMode::Proxied(_) => unfit(address, options, "sticky by the PROXY protocol"),
        SocketMode::Slot | SocketMode::Sticky => unfit_for_slots(address, options),
        SocketMode::Auto | SocketMode::Shared => None,
    };
    if let (Some(wrong), Some((_, node))) = (unfit, mode) {
        walker.fault(node.span(), &format!("{path}.mode"), wrong);
    }
    match said {
        SocketMode::Balanced { .. } => SocketMode::Balanced {
            max_connections: most.map(|(most, _)| most),
        },
        SocketMode::Auto
        | SocketMode::Shared
        | SocketMode::Slot
        | SocketMode::Sticky
        | SocketMode::Proxied(_) => {
            if let Some((_, node)) = most {
                let wrong = Wrong::new(
                    "workers that accept by themselves can't be limited",
                    "add mode = \"balanced\", or leave max_connections out",
                );
                walker.fault(node.span(), &format!("{path}.max_connections"), wrong);
            }
            said
        }
    }
}

/// Why the master can't hand connections over, where it can't. What the starter's socket is shows when it is there.
fn unfit(address: &SocketAddress, options: &SocketOptions, so: &str) -> Option<Wrong> {
    let streams = match (address, options.kind) {
        (SocketAddress::Tcp(_) | SocketAddress::Starter(_), _)
        | (SocketAddress::Unix(_), SocketKind::Stream) => true,
        (SocketAddress::Udp(_), _)
        | (SocketAddress::Unix(_), SocketKind::Datagram | SocketKind::Seqpacket) => false,
    };
    match (streams, options.per_slot) {
        (true, false) => None,
        (false, _) => Some(Wrong::new(
            format!("{address} can't be {so}: it takes no streams that could be handed over"),
            "leave the mode out: whichever worker is first takes what comes",
        )),
        (true, true) => Some(Wrong::new(
            format!(
                "a socket that each slot has for itself can't be {so}: its connections are for that slot alone"
            ),
            "leave out the mode, or per_slot",
        )),
    }
}

/// Why slots can't have a socket each at this one address, where they can't.
fn unfit_for_slots(address: &SocketAddress, options: &SocketOptions) -> Option<Wrong> {
    match (address, options.per_slot) {
        (SocketAddress::Tcp(_), false) if options.defer_accept.is_some() => Some(Wrong::new(
            "slots with sockets of their own can't defer: who has said nothing yet is in no queue that the master could see, and would be reset when the slot goes",
            "leave out defer_accept, or the mode",
        )),
        (SocketAddress::Tcp(_) | SocketAddress::Udp(_), false) => None,
        (SocketAddress::Tcp(_) | SocketAddress::Udp(_), true) => Some(Wrong::new(
            "a port for each slot is not one that they share",
            "leave out the mode, or per_slot",
        )),
        (SocketAddress::Unix(_) | SocketAddress::Starter(_), _) => Some(Wrong::new(
            format!("{address} can't be each slot's own: only ports that the master binds can"),
            "leave the mode out",
        )),
    }
}
