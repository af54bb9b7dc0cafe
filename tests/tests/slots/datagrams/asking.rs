//! A client that asks by datagrams, from one socket.

use super::*;

/// What a worker has said.
#[derive(Debug)]
pub(in super::super) struct Answer {
    pub(in super::super) slot: u64,
    pub(super) worker: u64,
    pub(super) number: u64,
}

#[derive(Debug)]
pub(in super::super) struct Client {
    socket: UdpSocket,
    last: u64,
}

impl Client {
    /// At this address, and any port.
    pub(in super::super) async fn new(host: IpAddr, server: SocketAddr) -> Self {
        let socket = UdpSocket::bind((host, 0)).await;
        let socket = socket.expect("a loopback address");
        // So that it is told where nobody has the port.
        socket.connect(server).await.expect("connected");
        Self { socket, last: 0 }
    }

    /// Asks, and leaves the answer for later; the number of the question.
    pub(super) async fn send(&mut self) -> u64 {
        self.last += 1;
        let sent = self.socket.send(self.last.to_string().as_bytes()).await;
        sent.expect("somebody has the port");
        self.last
    }

    /// The next answer.
    pub(super) async fn answer(&self) -> Answer {
        let answer = tokio::time::timeout(PATIENCE, self.read()).await;
        answer.expect("an answer in time")
    }

    async fn read(&self) -> Answer {
        let mut bytes = [0; 64];
        let length = self.socket.recv(&mut bytes).await;
        let text = std::str::from_utf8(&bytes[..length.expect("read")]).expect("text");
        let numbers: Vec<u64> = text
            .split(' ')
            .map(|n| n.parse().expect("a number"))
            .collect();
        let [slot, worker, number] = numbers[..] else {
            panic!("{text:?}");
        };
        Answer {
            slot,
            worker,
            number,
        }
    }

    /// Asks, and waits for the answer.
    pub(in super::super) async fn ask(&mut self) -> Answer {
        self.try_ask().await.expect("an answer in time")
    }

    /// The same; `None` if there is none.
    pub(super) async fn try_ask(&mut self) -> Option<Answer> {
        let number = self.send().await;
        let answered = async {
            loop {
                let answer = self.read().await;
                // Another's was given up.
                if answer.number == number {
                    return answer;
                }
            }
        };
        tokio::time::timeout(PATIENCE, answered).await.ok()
    }
}
