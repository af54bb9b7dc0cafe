//! One HTTP request at a time, with the connection in the test's hands.

use std::net::SocketAddr;

use serde_json::Value;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use super::{PATIENCE, deadline};

/// A connection to a server.
#[derive(Debug)]
pub struct Web {
    stream: TcpStream,
}

/// What a server answered.
#[derive(Clone, Debug)]
pub struct Page {
    /// Status line and headers.
    pub head: String,
    /// The body.
    pub body: String,
}

impl Page {
    /// The body as JSON.
    ///
    /// # Panics
    /// If it is none, or the status isn't 200.
    #[must_use]
    pub fn json(&self) -> Value {
        assert!(self.head.starts_with("HTTP/1.1 200"), "{self:#?}");
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:#?}"))
    }
}

impl Web {
    /// Connects.
    ///
    /// # Panics
    /// If it can't.
    pub async fn connect(address: SocketAddr) -> Self {
        let stream = deadline("a connection", PATIENCE, TcpStream::connect(address)).await;
        Self {
            stream: stream.expect("a server that listens"),
        }
    }

    /// Asks on a connection of its own; gives the JSON that is answered.
    ///
    /// # Panics
    /// If the answer is not JSON with status 200.
    pub async fn get(address: SocketAddr, path: &str) -> Value {
        Self::connect(address).await.ask(path).await.json()
    }

    /// Asks, and keeps the connection.
    ///
    /// # Panics
    /// If no complete answer comes in time. Chunked answers are not read.
    pub async fn ask(&mut self, path: &str) -> Page {
        self.request("GET", path).await
    }

    /// Posts nothing, and keeps the connection.
    ///
    /// # Panics
    /// As [`Web::ask`].
    pub async fn post(&mut self, path: &str) -> Page {
        self.request("POST", path).await
    }

    async fn request(&mut self, method: &str, path: &str) -> Page {
        let request =
            format!("{method} {path} HTTP/1.1\r\nHost: test\r\nContent-Length: 0\r\n\r\n");
        let asked = self.stream.write_all(request.as_bytes()).await;
        asked.expect("an open connection");
        deadline("an answer", PATIENCE, self.answer()).await
    }

    async fn answer(&mut self) -> Page {
        let mut text = Vec::new();
        loop {
            if let Some(page) = complete(&text) {
                return page;
            }
            let count = self.stream.read_buf(&mut text).await.expect("an answer");
            let so_far = String::from_utf8_lossy(&text);
            assert!(count > 0, "the answer ended early: {so_far:?}");
        }
    }

    /// Asks for what ends the server, and waits for the end.
    ///
    /// # Panics
    /// If it doesn't come in time.
    pub async fn closed_after(&mut self, path: &str) -> String {
        let request = format!("GET {path} HTTP/1.1\r\nHost: test\r\n\r\n");
        let asked = self.stream.write_all(request.as_bytes()).await;
        asked.expect("an open connection");
        self.closed().await
    }

    /// Waits until the server has closed the connection; gives what it sent before.
    ///
    /// # Panics
    /// If it doesn't in time.
    pub async fn closed(&mut self) -> String {
        let mut text = Vec::new();
        let end = self.stream.read_to_end(&mut text);
        // A reset is an end as well.
        let _end = deadline("the server to close", PATIENCE, end).await;
        String::from_utf8_lossy(&text).into_owned()
    }
}

fn complete(bytes: &[u8]) -> Option<Page> {
    let text = String::from_utf8_lossy(bytes);
    let (head, body) = text.split_once("\r\n\r\n")?;
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length")
            .then(|| value.trim().parse::<usize>().ok())?
    });
    (body.len() >= length?).then(|| Page {
        head: head.into(),
        body: body.into(),
    })
}
