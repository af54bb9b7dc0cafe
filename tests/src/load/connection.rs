//! One connection: connect, ask, read the whole answer, and say what happened when that failed.

use std::{io, net::SocketAddr};

use rustix::net::{RecvFlags, recv};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use super::{
    Outcome,
    answer::{Answer, End, Malformed, Reader},
};

/// Why there is no answer.
#[derive(Debug)]
pub(super) enum Miss {
    /// The server's doing.
    Failed(Outcome, String),
    /// Ours, before anything reached the server.
    Fault(String),
}

/// A connection, and how many answers have come over it.
#[derive(Debug)]
pub(super) struct Connection {
    stream: TcpStream,
    answers: u64,
}

impl Connection {
    pub(super) async fn open(address: SocketAddr) -> Result<Self, Miss> {
        let stream = TcpStream::connect(address)
            .await
            .map_err(|e| connect_miss(&e))?;
        // The kernel may choose the very port we connect to as ours, if nobody listens there: we would talk to ourselves.
        if let (Ok(own), Ok(peer)) = (stream.local_addr(), stream.peer_addr())
            && own == peer
        {
            return Err(Miss::Failed(
                Outcome::Refused,
                "nobody listens (self-connect)".into(),
            ));
        }
        stream.set_nodelay(true).ok();
        Ok(Self { stream, answers: 0 })
    }

    /// Whether the server has ended (or spoiled) the connection while nothing was asked of it.
    pub(super) fn ended_by_server(&self) -> bool {
        let mut byte = [0_u8; 1];
        match recv(
            &self.stream,
            &mut byte,
            RecvFlags::PEEK | RecvFlags::DONTWAIT,
        ) {
            // End of stream, or bytes that nobody asked for (a time-out notice): not to be used again.
            Ok(_) => true,
            Err(error) => error != rustix::io::Errno::WOULDBLOCK,
        }
    }

    /// Asks, and reads the whole answer.
    pub(super) async fn ask(&mut self, request: &[u8]) -> Result<Answer, Miss> {
        let reader = Reader::new();
        if let Err(error) = self.stream.write_all(request).await {
            return Err(self.ended(&reader, &format!("writing: {error}")));
        }
        self.answer(reader).await
    }

    async fn answer(&mut self, mut reader: Reader) -> Result<Answer, Miss> {
        let mut buffer = [0_u8; 16 * 1024];
        loop {
            let count = match self.stream.read(&mut buffer).await {
                Ok(count) => count,
                Err(error) => return Err(self.ended(&reader, &error.to_string())),
            };
            if count == 0 {
                let miss = self.ended(&reader, "end of stream");
                return match reader.end() {
                    End::Complete(answer) => Ok(answer),
                    End::Early => Err(miss),
                };
            }
            match reader.push(&buffer[..count]) {
                Ok(None) => {}
                Ok(Some(answer)) => {
                    self.answers += 1;
                    return Ok(answer);
                }
                Err(Malformed(why)) => return Err(Miss::Failed(Outcome::Wrong, why)),
            }
        }
    }

    fn ended(&self, reader: &Reader, how: &str) -> Miss {
        let (bytes, answers) = (reader.taken(), self.answers);
        Miss::Failed(
            Outcome::Reset,
            format!(
                "{how} after {bytes} bytes of the answer, on a connection with {answers} answers before"
            ),
        )
    }
}

fn connect_miss(error: &io::Error) -> Miss {
    let outcome = match error.kind() {
        io::ErrorKind::ConnectionRefused => Outcome::Refused,
        io::ErrorKind::ConnectionReset | io::ErrorKind::ConnectionAborted => Outcome::Reset,
        io::ErrorKind::TimedOut => Outcome::TimedOut,
        _ => return Miss::Fault(format!("can't connect: {error}")),
    };
    Miss::Failed(outcome, format!("connecting: {error}"))
}
