//! How workers share a socket, in its table.
//!
//! ```toml
//! listen.web = { address = ":8080", mode = "balanced", max_connections = 1000 }
//! listen.chat = { address = ":8081", mode = "sticky" }
//! ```

use super::{
    app::{
        SocketAddress, SocketMode,
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

/// A value, and where it stands.
type Said<'a, 'b, T> = Option<(T, &'a Node<'b>)>;

/// Puts together what the table of a socket says of it.
pub(super) fn read(
    walker: &mut Walker<'_>,
    path: &str,
    (mode, most): (Said<'_, '_, SocketMode>, Said<'_, '_, u32>),
    address: &SocketAddress,
    options: &SocketOptions,
) -> SocketMode {
    let said = mode.map_or(SocketMode::Auto, |(mode, _)| mode);
    let unfit = match said {
        SocketMode::Balanced { .. } => unfit(address, options),
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
        SocketMode::Auto | SocketMode::Shared | SocketMode::Slot | SocketMode::Sticky => {
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
fn unfit(address: &SocketAddress, options: &SocketOptions) -> Option<Wrong> {
    let streams = match (address, options.kind) {
        (SocketAddress::Tcp(_) | SocketAddress::Starter(_), _)
        | (SocketAddress::Unix(_), SocketKind::Stream) => true,
        (SocketAddress::Udp(_), _)
        | (SocketAddress::Unix(_), SocketKind::Datagram | SocketKind::Seqpacket) => false,
    };
    match (streams, options.per_slot) {
        (true, false) => None,
        (false, _) => Some(Wrong::new(
            format!("{address} can't be balanced: it takes no streams that could be handed over"),
            "leave the mode out: whichever worker is first takes what comes",
        )),
        (true, true) => Some(Wrong::new(
            "a socket that each slot has for itself can't be balanced: its connections are for that slot alone",
            "leave out the mode, or per_slot",
        )),
    }
}

/// Why slots can't have a socket each at this one address, where they can't.
fn unfit_for_slots(address: &SocketAddress, options: &SocketOptions) -> Option<Wrong> {
    match (address, options.per_slot) {
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
