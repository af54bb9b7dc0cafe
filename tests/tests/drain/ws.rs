//! WebSocket clients that connect again when they are told of a restart.

use std::net::SocketAddr;

use futures::{SinkExt, StreamExt};
use ostler_tests::harness::{PATIENCE, deadline};
use tokio::{net::TcpStream, sync::watch, task::JoinHandle};
use tokio_tungstenite::{WebSocketStream, client_async, tungstenite::Message};

const CLIENTS: u32 = 6;

pub(crate) type Socket = WebSocketStream<TcpStream>;

/// A client that goes on until it is told to stop.
pub(crate) struct Client {
    /// How often it has heard what it said.
    heard: watch::Receiver<u64>,
    /// Gives how often it was told of a restart.
    running: JoinHandle<u64>,
}

pub(crate) fn clients(address: SocketAddr, stopped: &watch::Receiver<bool>) -> Vec<Client> {
    let client = |number| {
        let (tell, heard) = watch::channel(0);
        let running = tokio::spawn(client(address, number, tell, stopped.clone()));
        Client { heard, running }
    };
    (0..CLIENTS).map(client).collect()
}

/// Waits until each is connected, and was heard once more.
pub(crate) async fn all_talk(clients: &[Client]) {
    for client in clients {
        let mut heard = client.heard.clone();
        let before = *heard.borrow_and_update();
        let once_more = heard.wait_for(|heard| *heard > before);
        let once_more = deadline("a message", PATIENCE, once_more).await;
        once_more.expect("a client that goes on");
    }
}

/// Ends them, once they were told to stop; gives how often they were told of a restart.
pub(crate) async fn end(clients: Vec<Client>) -> u64 {
    let mut closed = 0;
    for client in clients {
        let ended = deadline("a client to end", PATIENCE, client.running).await;
        closed += ended.expect("a client that was never just cut off");
    }
    closed
}

pub(crate) async fn open(address: SocketAddr) -> Socket {
    let stream = super::connect(address).await;
    let opened = client_async("ws://chat/chat", stream);
    let opened = deadline("a WebSocket", PATIENCE, opened).await;
    opened.expect("an upgrade").0
}

/// How a connection ended.
enum End {
    /// It was told of a restart, and nothing else.
    Restart,
    Stopped,
}

async fn client(
    address: SocketAddr,
    number: u32,
    heard: watch::Sender<u64>,
    mut stopped: watch::Receiver<bool>,
) -> u64 {
    let mut closed = 0;
    loop {
        let mut socket = open(address).await;
        match talk(&mut socket, number, &heard, &mut stopped).await {
            End::Restart => closed += 1,
            End::Stopped => return closed,
        }
    }
}

/// Says something, again and again, each time it was heard.
async fn talk(
    socket: &mut Socket,
    number: u32,
    heard: &watch::Sender<u64>,
    stopped: &mut watch::Receiver<bool>,
) -> End {
    let mut says = 0_u64;
    loop {
        says += 1;
        let text = format!("{number} says {says}");
        socket.send(text.clone().into()).await.expect("it is open");
        loop {
            let next = tokio::select! {
                biased;
                next = socket.next() => next,
                _ = stopped.wait_for(|stopped| *stopped) => return End::Stopped,
            };
            match next
                .expect("it was told why")
                .expect("it was not just cut off")
            {
                Message::Text(said) if said == text.as_str() => break,
                Message::Text(_) => {}
                Message::Close(Some(why)) => {
                    assert_eq!(u16::from(why.code), 1012, "{why:?}");
                    let end = deadline("its end", PATIENCE, socket.next()).await;
                    assert!(end.is_none(), "and nothing else: {end:?}");
                    return End::Restart;
                }
                other => panic!("{other:?}"),
            }
        }
        heard.send_modify(|heard| *heard += 1);
    }
}
