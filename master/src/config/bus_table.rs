//! The file's `bus` table: what the master's hub allows, and where it listens beside its own socket.
//!
//! ```toml
//! [bus]
//! listen = "10.0.0.5:7400"                          # off where it is left out
//! tls = { cert = "bus.pem", key = "bus.key" }       # required beyond this machine
//! tokens = "bus.tokens"                             # who may come in there: lines "role name token"
//!
//! [bus.limits]
//! payload_bytes = "4MiB"
//!
//! [[bus.history]]
//! pattern = "orders.>"
//! messages = 1000
//! ```

use std::{
    net::SocketAddr,
    ops::Range,
    path::{Path, PathBuf},
};

use ostler_bus::{Limits, hub::HistoryRule};

use super::{
    address,
    app::SocketAddress,
    bus_history, bus_limits,
    errors::Wrong,
    walk::{Node, Walker},
};

const KEYS: [&str; 5] = ["history", "limits", "listen", "tls", "tokens"];
const TLS_KEYS: [&str; 3] = ["cert", "key", "client_ca"];

/// What was said of the master's hub.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BusSettings {
    /// Its limits.
    pub limits: Limits,
    /// Which topics keep a history, beside the fleet's own.
    pub history: Vec<HistoryRule>,
    /// Where it listens for other machines, or for programs of other users.
    pub tcp: Option<TcpSettings>,
}

impl BusSettings {
    /// What `now` says otherwise and can't be taken up by a hub that runs, in words.
    #[must_use]
    pub fn held_back(&self, now: &Self) -> Vec<String> {
        let differs = [
            ("bus.limits", self.limits != now.limits),
            ("bus.history", self.history != now.history),
            ("bus.listen, tls or tokens", self.tcp != now.tcp),
        ];
        let named = differs.into_iter().filter(|(_, differs)| *differs);
        named
            .map(|(what, _)| {
                format!("{what} has changed: that takes effect when the master is started anew")
            })
            .collect()
    }
}

/// A TCP listener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TcpSettings {
    /// Where; loopback, unless there is TLS.
    pub address: SocketAddr,
    /// With which certificate.
    pub tls: Option<TlsFiles>,
    /// The file of tokens.
    pub tokens: PathBuf,
}

/// Files in PEM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    /// The certificate, and those between it and its authority.
    pub cert: PathBuf,
    /// Its private key.
    pub key: PathBuf,
    /// Clients must show a certificate of one of these authorities.
    pub client_ca: Option<PathBuf>,
}

/// Reads the table. Relative paths start at `base`.
pub(super) fn read(
    walker: &mut Walker<'_>,
    key: Range<usize>,
    node: &Node<'_>,
    base: &Path,
) -> BusSettings {
    let mut settings = BusSettings::default();
    let (mut listen, mut tls, mut tokens) = (None, None, None);
    let Some(table) = walker.table("bus", node, "write a table: [bus]") else {
        return settings;
    };
    for (key, node) in table {
        let name = key.get_ref().as_ref();
        let path = format!("bus.{name}");
        match name {
            "history" => settings.history = bus_history::read(walker, &path, node),
            "limits" => settings.limits = bus_limits::read(walker, &path, node),
            "listen" => listen = Some((node.span(), tcp_address(walker, &path, node, base))),
            "tls" => tls = Some((key.span(), tls_files(walker, &path, node, base))),
            "tokens" => tokens = Some((key.span(), file(walker, &path, node, base))),
            "emit" | "retain" | "subscribe" | "request" | "serve" => {
                let fix = "move it below the app it is meant for: [app.NAME.bus]";
                walker.misfit(
                    key.span(),
                    &path,
                    Wrong::new("the key belongs to an app", fix),
                );
            }
            _ => walker.unknown_key(key.span(), &path, name, &KEYS, None),
        }
    }
    settings.tcp = match listen {
        Some(listen) => listener(
            walker,
            key,
            listen,
            tls.map(|(_, files)| files),
            tokens.map(|(_, file)| file),
        ),
        None => {
            let idle = [("tls", tls.map(|t| t.0)), ("tokens", tokens.map(|t| t.0))];
            for (name, span) in idle.into_iter().filter_map(|(n, s)| Some((n, s?))) {
                let wrong = Wrong::new(
                    "it says nothing where the bus has no listener",
                    "add listen = \"127.0.0.1:7400\", or remove it",
                );
                walker.misfit(span, &format!("bus.{name}"), wrong);
            }
            None
        }
    };
    settings
}

/// What there must be beside the address.
fn listener(
    walker: &mut Walker<'_>,
    table: Range<usize>,
    (span, address): (Range<usize>, Option<SocketAddr>),
    tls: Option<Option<TlsFiles>>,
    tokens: Option<Option<PathBuf>>,
) -> Option<TcpSettings> {
    if tokens.is_none() {
        let wrong = Wrong::new(
            "nobody could come in at bus.listen: there are no tokens",
            "add tokens = \"bus.tokens\", a file with a line \"role name token\" for each who may",
        );
        walker.misfit(table, "bus", wrong);
    }
    let address = address?;
    if tls.is_none() && !address.ip().is_loopback() {
        let wrong = Wrong::new(
            format!(
                "{address} can be reached from other machines, and without TLS everybody on the way reads the tokens"
            ),
            "add tls = { cert = \"bus.pem\", key = \"bus.key\" }, or listen on 127.0.0.1",
        );
        walker.fault(span, "bus.listen", wrong);
        return None;
    }
    let tls = match tls {
        Some(files) => Some(files?),
        None => None,
    };
    Some(TcpSettings {
        address,
        tls,
        tokens: tokens??,
    })
}

fn tcp_address(
    walker: &mut Walker<'_>,
    path: &str,
    node: &Node<'_>,
    base: &Path,
) -> Option<SocketAddr> {
    let text = walker.string(path, node, "write an address: \"127.0.0.1:7400\"")?;
    let address = walker.take(path, node, address::address(text, base))?;
    match address {
        SocketAddress::Tcp(address) => Some(address),
        SocketAddress::Udp(_) | SocketAddress::Starter(_) => {
            let wrong = Wrong::new(
                format!("the bus can't listen on {address}"),
                "use an IP address and port, for TCP: \"127.0.0.1:7400\"",
            );
            walker.fault(node.span(), path, wrong);
            None
        }
        SocketAddress::Unix(_) => {
            let wrong = Wrong::new(
                "the bus has a Unix socket already, in the master's own directory",
                "use an IP address and port: \"127.0.0.1:7400\"",
            );
            walker.fault(node.span(), path, wrong);
            None
        }
    }
}

fn tls_files(
    walker: &mut Walker<'_>,
    path: &str,
    node: &Node<'_>,
    base: &Path,
) -> Option<TlsFiles> {
    let fix = "write a table: { cert = \"bus.pem\", key = \"bus.key\" }";
    let table = walker.table(path, node, fix)?;
    let (mut cert, mut private, mut client_ca) = (None, None, None);
    for (key, node) in table {
        let name = key.get_ref().as_ref();
        let path = format!("{path}.{name}");
        match name {
            "cert" => cert = Some(file(walker, &path, node, base)),
            "key" => private = Some(file(walker, &path, node, base)),
            "client_ca" => client_ca = file(walker, &path, node, base),
            _ => walker.unknown_key(key.span(), &path, name, &TLS_KEYS, None),
        }
    }
    for (name, there) in [("cert", cert.is_some()), ("key", private.is_some())] {
        if !there {
            walker.misfit(
                node.span(),
                path,
                Wrong::new(format!("{name} is missing"), fix),
            );
        }
    }
    Some(TlsFiles {
        cert: cert??,
        key: private??,
        client_ca,
    })
}

fn file(walker: &mut Walker<'_>, path: &str, node: &Node<'_>, base: &Path) -> Option<PathBuf> {
    let text = walker.string(path, node, "write the path of a file, in quotes")?;
    if text.is_empty() {
        walker.fault(
            node.span(),
            path,
            Wrong::new("the path is empty", "name a file"),
        );
        return None;
    }
    Some(base.join(text))
}
