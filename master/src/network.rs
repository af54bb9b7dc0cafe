//! The bus's network door: opened when the process file says so, before the first worker, so that a wrong file or a taken
//! port keeps the master from starting.

use std::net::TcpListener;

use ostler_bus::hub::{Hub, TlsServer, Tokens};

use crate::{
    cli::error::{CliError, Exit},
    config::bus_table::TcpSettings,
};

/// A socket that listens, and what its peers must have.
#[derive(Debug)]
pub(crate) struct NetworkDoor {
    listener: TcpListener,
    tls: Option<TlsServer>,
    tokens: Tokens,
}

impl NetworkDoor {
    /// Reads the files and binds the address.
    pub(crate) fn prepare(settings: &TcpSettings) -> Result<Self, CliError> {
        let file = &settings.tokens;
        let tokens = Tokens::read(file).map_err(|error| {
            CliError::new(
                Exit::Config,
                format!("the bus's tokens in {} can't be used", file.display()),
            )
            .because(&error)
            .hint("a line for each who may come in: role name token; a token from `openssl rand -hex 16`")
        })?;
        let tls = settings.tls.as_ref().map(|files| {
            TlsServer::from_files(&files.cert, &files.key, files.client_ca.as_deref())
        });
        let tls = tls.transpose().map_err(|error| {
            CliError::new(Exit::Config, "the bus's certificate can't be used").because(&error)
        })?;
        let listener = TcpListener::bind(settings.address).map_err(|error| {
            CliError::new(
                Exit::Failed,
                format!("the bus can't listen on {}", settings.address),
            )
            .because(&error)
        })?;
        Ok(Self {
            listener,
            tls,
            tokens,
        })
    }

    /// Lets peers in.
    pub(crate) fn open(self, hub: &Hub) -> std::io::Result<()> {
        let address = self.listener.local_addr()?;
        hub.set_tokens(self.tokens)?;
        let how = match self.tls {
            Some(tls) => {
                hub.listen_tls(self.listener, tls)?;
                "tls"
            }
            None => {
                hub.listen_tcp(self.listener)?;
                "tcp"
            }
        };
        tracing::info!("the bus listens on {how}://{address}");
        Ok(())
    }
}
