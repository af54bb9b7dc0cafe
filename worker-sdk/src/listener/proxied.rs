//! The header that a proxy puts before what the client says, where it is read here: by workers that want to know the client, and in the
//! master's stead while there is none.

use std::{collections::VecDeque, io, os::fd::AsFd, sync::Arc, time::Duration};

use futures::{
    StreamExt,
    future::{BoxFuture, FutureExt},
    stream::FuturesUnordered,
};
use rustix::net::{RecvFlags, recv};
use tokio::{io::Interest, time::timeout};

use super::{
    connection::{Connection, Stream},
    direct::Direct,
    tally::{Open, Tally},
};
use crate::proxy_protocol::{Header, IN_TIME, LONGEST, parse};

/// Connections whose headers are waited for; more are not accepted meanwhile.
const MOST: usize = 1024;

/// Takes connections and their headers off, as the master does where it accepts.
#[derive(Default)]
pub(super) struct Stripping {
    /// Connections whose headers have not come yet, and what becomes of them.
    awaited: FuturesUnordered<BoxFuture<'static, Option<Stream>>>,
}

impl std::fmt::Debug for Stripping {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let awaited = self.awaited.len();
        f.debug_struct("Stripping")
            .field("awaited", &awaited)
            .finish()
    }
}

impl Stripping {
    /// The next connection whose header has come. May be dropped while it waits.
    pub(super) async fn next(&mut self, direct: &mut Direct) -> io::Result<Stream> {
        loop {
            tokio::select! {
                Some(stripped) = self.awaited.next() => if let Some(stream) = stripped {
                    return Ok(stream);
                },
                accepted = direct.next(), if self.awaited.len() < MOST => {
                    self.awaited.push(strip(accepted?, IN_TIME).boxed());
                }
            }
        }
    }
}

/// Connections whose headers have not come yet, when no others are accepted any more.
#[derive(Debug)]
pub(crate) struct Awaited {
    stripping: Option<Stripping>,
    /// Those whose headers have come, until there is room for them.
    begun: VecDeque<Stream>,
    tally: Arc<Tally>,
}

impl Awaited {
    pub(super) fn new(stripping: Option<Stripping>, tally: Arc<Tally>) -> Self {
        Self {
            stripping,
            begun: VecDeque::new(),
            tally,
        }
    }

    /// The next one whose header has come, once there is room for it; `None` when there are no more. Headers come within [`IN_TIME`] or
    /// not at all, whether there is room or not; whose has come waits for room for as long as that takes. May be dropped while it waits.
    pub(crate) async fn next(&mut self) -> Option<Connection> {
        let awaited = &mut self.stripping.as_mut()?.awaited;
        while !(awaited.is_empty() && self.begun.is_empty()) {
            tokio::select! {
                () = self.tally.room(), if !self.begun.is_empty() => break,
                Some(stripped) = awaited.next() => self.begun.extend(stripped),
            }
        }
        let stream = self.begun.pop_front()?;
        Some(Connection::new(stream, Open::count(&self.tally)))
    }
}

/// A connection without its header; none if that isn't there in time.
async fn strip(stream: Stream, in_time: Duration) -> Option<Stream> {
    match timeout(in_time, read_header(&stream)).await {
        Ok(Ok(_)) => return Some(stream),
        Ok(Err(error)) => tracing::debug!("a connection was refused: {error}"),
        Err(_) => tracing::debug!("a connection was refused: it has no header of a proxy's"),
    }
    None
}

impl Connection {
    /// Reads the header of the PROXY protocol with which this connection begins, and not a byte more: who the client is behind the proxy.
    /// It is for sockets with `proxy_protocol = "keep"`, and comes before all other reading. What the master hands over has its header
    /// already; where it doesn't, this waits for as long as it takes. If it is dropped while it waits, the connection is of no use any more.
    ///
    /// # Errors
    /// `InvalidData` if it begins otherwise: close it then. `UnexpectedEof` if it ends before; any other if it breaks.
    pub async fn read_proxy_header(&mut self) -> io::Result<Header> {
        read_header(self.stream()).await
    }
}

async fn read_header(stream: &Stream) -> io::Result<Header> {
    let mut come = Vec::new();
    loop {
        let header = match stream {
            Stream::Tcp(stream) => {
                let more = || take(stream, &mut come);
                stream.async_io(Interest::READABLE, more).await?
            }
            Stream::Unix(stream) => {
                let more = || take(stream, &mut come);
                stream.async_io(Interest::READABLE, more).await?
            }
        };
        if let Some(header) = header {
            return Ok(header);
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
        net::{TcpListener, TcpStream, UnixStream},
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

    /// As in the master: one that is silent holds up nobody.
    #[tokio::test]
    async fn without_a_master_headers_are_taken_off_here() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut listener = crate::Listener::try_from(listener).unwrap().stripping();
        let silent = TcpStream::connect(address).await.unwrap();
        let mut nonsense = TcpStream::connect(address).await.unwrap();
        nonsense.write_all(b"GET / HTTP/1.1\r\n").await.unwrap();
        let mut client = TcpStream::connect(address).await.unwrap();
        client
            .write_all(&[HEADER, b"hello"].concat())
            .await
            .unwrap();
        client.shutdown().await.unwrap();
        let mut connection = listener.accept().await.unwrap();
        let mut said = String::new();
        connection.read_to_string(&mut said).await.unwrap();
        assert_eq!(said, "hello");
        // Another is waited for while what is none is closed.
        let another = tokio::spawn(async move { listener.accept().await });
        nonsense.read_to_string(&mut said).await.unwrap_or_default();
        another.abort();
        drop(silent);
    }

    #[tokio::test]
    async fn those_that_still_come_at_the_end_wait_for_room_too() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut listener = crate::Listener::try_from(listener).unwrap().stripping();
        listener.set_max_connections(1);
        let mut clients = Vec::new();
        for _ in 0..2 {
            let mut client = TcpStream::connect(address).await.unwrap();
            client.write_all(&HEADER[..9]).await.unwrap();
            clients.push(client);
        }
        // Both are accepted, as nothing is open.
        let soon = Duration::from_millis(50);
        assert!(timeout(soon, listener.accept()).await.is_err());
        for client in &mut clients {
            client.write_all(&HEADER[9..]).await.unwrap();
        }
        let first = timeout(IN_TIME, listener.accept()).await.unwrap().unwrap();
        let mut rest = listener.close();
        assert!(
            timeout(soon, rest.next()).await.is_err(),
            "there is no room"
        );
        drop(first);
        assert!(timeout(IN_TIME, rest.next()).await.unwrap().is_some());
        assert!(rest.next().await.is_none());
    }

    #[tokio::test]
    async fn while_there_is_no_room_at_the_end_headers_are_read_and_the_silent_dropped() {
        let tally = Arc::new(Tally::default());
        tally.limit(1);
        let open = Open::count(&tally);
        let ((mut silent, first), (mut client, second)) =
            (UnixStream::pair().unwrap(), UnixStream::pair().unwrap());
        client.write_all(HEADER).await.unwrap();
        let stripping = Stripping::default();
        let soon = Duration::from_millis(50);
        for stream in [first, second] {
            let stripped = strip(Stream::Unix(stream), soon);
            stripping.awaited.push(stripped.boxed());
        }
        let mut rest = Awaited::new(Some(stripping), tally);
        let mut end = [0];
        tokio::select! {
            _ = rest.next() => panic!("there is no room"),
            end = silent.read(&mut end) => assert_eq!(end.unwrap(), 0),
        }
        drop(open);
        assert!(timeout(IN_TIME, rest.next()).await.unwrap().is_some());
        assert!(rest.next().await.is_none());
    }

    #[tokio::test]
    async fn a_header_is_waited_for_as_long_as_it_may_take() {
        let (_client, accepted) = UnixStream::pair().unwrap();
        let soon = Duration::from_millis(20);
        assert!(strip(Stream::Unix(accepted), soon).await.is_none());
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
