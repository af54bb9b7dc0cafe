//! The way to a master over a network: its address, our token, and whom to trust.

use std::{fs::File, io::Read as _, os::unix::fs::MetadataExt, path::Path, time::Duration};

use ostler_bus::{
    client::{Bus, ConnectError, ConnectOptions, ReconnectPolicy},
    transport::{TcpTransport, TlsClient},
};

use super::{
    args::WayArgs,
    error::{CliError, Exit},
};

/// How long connecting may take: names are looked up and several round trips made.
const CONNECT: Duration = Duration::from_secs(15);

/// The largest token file read, in bytes.
const LARGEST: u64 = 64 << 10;

/// A master's address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Address {
    tls: bool,
    host_port: String,
}

impl Address {
    fn read(url: &str) -> Option<Self> {
        let (tls, host_port) = match url.split_once("://")? {
            ("tcp", rest) => (false, rest),
            ("tls", rest) => (true, rest),
            _ => return None,
        };
        let (host, port) = host_port.rsplit_once(':')?;
        (!host.is_empty() && port.parse::<u16>().is_ok()).then(|| Self {
            tls,
            host_port: host_port.to_owned(),
        })
    }

    /// The address that is meant, if one is: by flag, or by a variable that may as well hold a worker's own path.
    pub(super) fn of(way: &WayArgs) -> Result<Option<Self>, CliError> {
        let Some(url) = &way.bus else {
            let url = std::env::var("OSTLER_BUS").ok();
            return Ok(url.and_then(|url| Self::read(&url)));
        };
        match Self::read(url) {
            Some(address) => Ok(Some(address)),
            None => Err(
                CliError::new(Exit::Usage, format!("{url:?} is not the address of a bus"))
                    .hint("write tls://HOST:PORT, or tcp://HOST:PORT for a master on this machine"),
            ),
        }
    }
}

/// Connects; `reconnect` says how again, if the connection is lost.
pub(super) async fn open(
    address: &Address,
    way: &WayArgs,
    reconnect: Option<ReconnectPolicy>,
) -> Result<Bus, CliError> {
    let Some(file) = &way.token_file else {
        return Err(
            CliError::new(Exit::Usage, "over a network a token is needed")
                .hint("name the file that has it: --token-file FILE, or $OSTLER_TOKEN_FILE"),
        );
    };
    let token = token(file).map_err(|reason| {
        let error = CliError::new(
            Exit::Usage,
            format!("the token file {} can't be used", file.display()),
        );
        CliError {
            causes: vec![reason],
            ..error
        }
    })?;
    let transport = transport(address, way)?;
    let options = ConnectOptions {
        connect_timeout: CONNECT,
        reconnect,
        ..ConnectOptions::operator("cli").token(token)
    };
    let first = Bus::connect(transport.clone(), options.clone()).await;
    let connected = match first {
        // A token for less than commands still lets look.
        Err(ConnectError::Denied { reason, .. }) if reason.contains("more than client") => {
            let kind = ostler_bus::wire::hello::Kind::Client;
            Bus::connect(transport, ConnectOptions { kind, ..options }).await
        }
        Err(ConnectError::Denied { reason, .. }) if reason.contains("more than observer") => {
            let kind = ostler_bus::wire::hello::Kind::Observer;
            Bus::connect(transport, ConnectOptions { kind, ..options }).await
        }
        other => other,
    };
    connected.map_err(|error| {
        let exit = match error {
            ConnectError::NotRunning { .. } => Exit::NotRunning,
            _ => Exit::Failed,
        };
        CliError::new(
            exit,
            format!("can't reach the master at {}", address.host_port),
        )
        .because(&error)
    })
}

fn transport(address: &Address, way: &WayArgs) -> Result<TcpTransport, CliError> {
    let transport = TcpTransport::new(address.host_port.as_str());
    let ca = match (&way.ca, address.tls) {
        (Some(ca), true) => ca,
        (None, true) => {
            return Err(
                CliError::new(Exit::Usage, "with tls:// it must be said whom to trust")
                    .hint("name the authority's certificate: --ca FILE, or $OSTLER_BUS_CA"),
            );
        }
        (_, false) => return Ok(transport),
    };
    let identity = match way.identity.as_deref() {
        Some([cert, key]) => Some((cert.as_path(), key.as_path())),
        Some(_) | None => None,
    };
    let tls = TlsClient::from_files(ca, identity).map_err(|error| {
        CliError::new(Exit::Usage, "the certificates can't be used").because(&error)
    })?;
    Ok(transport.tls(tls))
}

/// The token in a file: the last word of the first line that is no remark. So a line of the master's own file will do.
fn token(path: &Path) -> Result<String, String> {
    let file = File::open(path).map_err(|error| error.to_string())?;
    let mode = file.metadata().map_err(|error| error.to_string())?.mode();
    if mode & 0o077 != 0 {
        return Err(format!(
            "others may use it (mode {:04o}): chmod 600 it",
            mode & 0o7777
        ));
    }
    let mut text = String::new();
    file.take(LARGEST)
        .read_to_string(&mut text)
        .map_err(|error| error.to_string())?;
    let mut lines = text.lines().map(str::trim);
    let line = lines.find(|line| !line.is_empty() && !line.starts_with('#'));
    let word = line.and_then(|line| line.split_ascii_whitespace().last());
    word.map(str::to_owned)
        .ok_or_else(|| "there is no token in it".to_owned())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn addresses() {
        let address = |tls, host_port: &str| {
            Some(Address {
                tls,
                host_port: host_port.into(),
            })
        };
        assert_eq!(
            Address::read("tls://bus.example:7400"),
            address(true, "bus.example:7400")
        );
        assert_eq!(
            Address::read("tcp://[::1]:7400"),
            address(false, "[::1]:7400")
        );
        for none in [
            "/run/bus.sock",
            "tcp://host",
            "tcp://:1",
            "http://h:1",
            "tls://h:99999",
            "",
        ] {
            assert_eq!(Address::read(none), None, "{none}");
        }
    }

    #[test]
    fn a_token_is_a_files_own_line_or_one_of_the_masters() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("token");
        let write = |text: &str, mode| {
            std::fs::write(&path, text).unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        };
        write("abc\n", 0o600);
        assert_eq!(token(&path).as_deref(), Ok("abc"));
        write("# ours\n\noperator deploy abc \nclient x y\n", 0o600);
        assert_eq!(token(&path).as_deref(), Ok("abc"));
        write("# none\n", 0o600);
        assert!(token(&path).unwrap_err().contains("no token"));
        write("abc\n", 0o644);
        assert!(token(&path).unwrap_err().contains("chmod 600"));
    }
}
