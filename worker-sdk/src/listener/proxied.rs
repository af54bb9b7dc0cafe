//! The header that a proxy puts before what the client says, for workers that read it themselves.

use std::{io, os::fd::AsFd};

use rustix::net::{RecvFlags, recv};
use tokio::io::Interest;

use super::connection::{Connection, Stream};
use crate::proxy_protocol::{Header, LONGEST, parse};

impl Connection {
    /// Reads the header of the PROXY protocol with which this connection begins, and not a byte more: who the client is behind the proxy.
    /// It is for sockets with `proxy_protocol = "keep"`, and comes before all other reading. What the master hands over has its header
    /// already; where it doesn't, this waits for as long as it takes. If it is dropped while it waits, the connection is of no use any more.
    ///
    /// # Errors
    /// `InvalidData` if it begins otherwise: close it then. `UnexpectedEof` if it ends before; any other if it breaks.
    pub async fn read_proxy_header(&mut self) -> io::Result<Header> {
        let mut come = Vec::new();
        loop {
            let fd = self.as_fd();
            let more = || take(fd, &mut come);
            let header = match self.stream() {
                Stream::Tcp(stream) => stream.async_io(Interest::READABLE, more).await?,
                Stream::Unix(stream) => stream.async_io(Interest::READABLE, more).await?,
            };
            if let Some(header) = header {
                return Ok(header);
            }
        }
    }
}

/// Takes what there is of the header, after this; whatever follows it stays.
fn take(connection: impl AsFd, come: &mut Vec<u8>) -> io::Result<Option<Header>> {
    let mut bytes = [0; LONGEST];
    let peek = RecvFlags::PEEK | RecvFlags::DONTWAIT;
    let (_, more) = recv(&connection, &mut bytes, peek)?;
    if more == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    let before = come.len();
    come.extend_from_slice(&bytes[..more]);
    let header = parse(come).map_err(|wrong| io::Error::new(io::ErrorKind::InvalidData, wrong))?;
    // Without its end all of it is the header's.
    let own = header.map_or(more, |header| header.length - before);
    recv(&connection, &mut bytes[..own], RecvFlags::DONTWAIT)?;
    Ok(header)
}

#[cfg(test)]
mod tests {
    use std::io::ErrorKind;

    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::UnixStream,
    };

    use super::*;

    const HEADER: &[u8] = b"PROXY TCP4 203.0.113.9 192.0.2.1 4711 80\r\n";

    fn pair() -> (UnixStream, Connection) {
        let (client, accepted) = UnixStream::pair().unwrap();
        (client, accepted.into())
    }

    #[tokio::test]
    async fn the_header_is_taken_off_and_nothing_else_however_it_comes() {
        let sent = [HEADER, b"hello"].concat();
        for cut in 0..=sent.len() {
            let (mut client, mut connection) = pair();
            client.write_all(&sent[..cut]).await.unwrap();
            let rest = sent[cut..].to_vec();
            let reading = tokio::spawn(async move {
                let header = connection.read_proxy_header().await.unwrap();
                let mut said = String::new();
                connection.read_to_string(&mut said).await.unwrap();
                (header.source, said)
            });
            tokio::task::yield_now().await;
            client.write_all(&rest).await.unwrap();
            drop(client);
            let (source, said) = reading.await.unwrap();
            assert_eq!(source, Some("203.0.113.9:4711".parse().unwrap()));
            assert_eq!(said, "hello", "{cut}");
        }
    }

    #[tokio::test]
    async fn what_is_no_header_or_ends_within_it_is_told() {
        for (sent, kind) in [
            (&b"GET / HTTP/1.1\r\n"[..], ErrorKind::InvalidData),
            (b"PROXY nonsense\r\n", ErrorKind::InvalidData),
            (&HEADER[..20], ErrorKind::UnexpectedEof),
            (b"", ErrorKind::UnexpectedEof),
        ] {
            let (mut client, mut connection) = pair();
            client.write_all(sent).await.unwrap();
            drop(client);
            let told = connection.read_proxy_header().await.unwrap_err();
            assert_eq!(told.kind(), kind, "{told}");
        }
    }
}
