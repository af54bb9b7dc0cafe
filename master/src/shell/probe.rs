//! Asking a worker whether it serves: a real round trip, bounded in time, as a task that only reports.

use std::time::Duration;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpStream, UnixStream},
};

use super::{handle::ShellHandle, helper::Helper};
use crate::{
    config::{
        app::{
            SocketAddress,
            probe::{Check, Probe, Target},
        },
        units,
    },
    fleet::{ProbeOrder, WorkerNews},
};

/// A status line longer than this is none.
const STATUS_LINE: usize = 1024;

/// So much of an answer's body is read, so that the worker can send it in peace.
const BODY: u64 = 64 << 10;

/// Either kind of connection.
trait Stream: tokio::io::AsyncRead + tokio::io::AsyncWrite + Send + Unpin {}

impl<S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Send + Unpin> Stream for S {}

/// Asks, and tells the shell what came of it. `helper` runs a command of this worker's, where one is to be run.
pub(super) async fn ask(
    order: ProbeOrder,
    probe: Probe,
    helper: Option<Helper>,
    shell: ShellHandle,
) {
    let ProbeOrder {
        id,
        slot,
        ask,
        kind: _,
        timeout: time,
    } = order;
    let slot = slot.0;
    let answer = match &probe.check {
        Check::Http { at, path, status } => {
            let question = async { http(connect(at, slot, id.0).await?, path, status).await };
            within(time, question).await
        }
        Check::Tcp { at } => within(time, async { connect(at, slot, id.0).await.map(drop) }).await,
        // It keeps to its time itself: it has a process to end.
        Check::Command { .. } => match helper {
            Some(helper) => helper.run(time).await,
            None => Err("the worker is gone".to_owned()),
        },
    };
    shell.news(id, WorkerNews::Probed { ask, answer }).await;
}

async fn within(
    time: Duration,
    question: impl Future<Output = Result<(), String>>,
) -> Result<(), String> {
    match tokio::time::timeout(time, question).await {
        Ok(answer) => answer,
        Err(_) => Err(format!("no answer within {}", units::exact(time))),
    }
}

async fn connect(at: &Target, slot: u32, id: u64) -> Result<Box<dyn Stream>, String> {
    let address = at.of(slot, id).map_err(|wrong| wrong.to_string())?;
    let refused = |error: std::io::Error| format!("{address}: {error}");
    Ok(match &address {
        SocketAddress::Tcp(tcp) => Box::new(TcpStream::connect(tcp).await.map_err(refused)?),
        SocketAddress::Unix(path) => Box::new(UnixStream::connect(path).await.map_err(refused)?),
        SocketAddress::Udp(_) | SocketAddress::Starter(_) => {
            return Err(format!("{address} takes no connections"));
        }
    })
}

async fn http(mut stream: Box<dyn Stream>, path: &str, good: &[u16]) -> Result<(), String> {
    let lost = |error: std::io::Error| format!("the connection was lost: {error}");
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: localhost\r\nUser-Agent: ostler\r\nAccept: */*\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await.map_err(lost)?;
    let mut head = Vec::new();
    while !head.contains(&b'\n') && head.len() < STATUS_LINE {
        let mut some = [0; 256];
        match stream.read(&mut some).await.map_err(lost)? {
            0 => break,
            count => head.extend_from_slice(&some[..count]),
        }
    }
    let status = status_of(&head).ok_or("what came is no HTTP")?;
    let fits = match good {
        [] => (200..400).contains(&status),
        good => good.contains(&status),
    };
    // Whether the rest comes is not what was asked.
    let _rest = tokio::io::copy(&mut stream.take(BODY), &mut tokio::io::sink()).await;
    if fits {
        return Ok(());
    }
    Err(format!("status {status}"))
}

/// The status in the first line of an answer.
fn status_of(head: &[u8]) -> Option<u16> {
    let line = head.split(|&byte| byte == b'\n').next()?;
    let line = std::str::from_utf8(line).ok()?;
    let mut words = line.split_ascii_whitespace();
    words.next().filter(|word| word.starts_with("HTTP/1."))?;
    words.next().filter(|word| word.len() == 3)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn statuses_decide() {
        for (answer, good, expected) in [
            (
                "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
                &[][..],
                Ok(()),
            ),
            ("HTTP/1.0 302 Found\r\n\r\n", &[][..], Ok(())),
            ("HTTP/1.1 503 No\r\n\r\n", &[][..], Err("status 503")),
            ("HTTP/1.1 200 OK\r\n\r\n", &[204][..], Err("status 200")),
            ("HTTP/1.1 204 Fine\r\n\r\n", &[200, 204][..], Ok(())),
            ("SSH-2.0-OpenSSH\r\n", &[][..], Err("what came is no HTTP")),
            ("", &[][..], Err("what came is no HTTP")),
        ] {
            let (ours, mut theirs) = tokio::io::duplex(4096);
            let serve = async move {
                let mut request = vec![0; 4096];
                let count = theirs.read(&mut request).await.expect("a request");
                assert!(request[..count].starts_with(b"GET /x HTTP/1.1\r\nHost: "));
                theirs.write_all(answer.as_bytes()).await.expect("written");
            };
            let (told, ()) = tokio::join!(http(Box::new(ours), "/x", good), serve);
            assert_eq!(told, expected.map_err(str::to_owned), "{answer:?}");
        }
    }

    #[tokio::test]
    async fn silence_is_a_failure() {
        let (ours, _theirs) = tokio::io::duplex(4096);
        let told = within(Duration::from_millis(20), http(Box::new(ours), "/", &[])).await;
        assert_eq!(told, Err("no answer within 20ms".to_owned()));
    }
}
