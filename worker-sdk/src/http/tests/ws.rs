//! WebSockets, by a client of another make.

use std::{io, time::Duration};

use axum::{
    Router,
    extract::{WebSocketUpgrade, ws::Message as Heard},
    routing::any,
};
use futures::{SinkExt, StreamExt};
use http_body_util::Empty;
use hyper::{Request, body::Bytes, ext::Protocol};
use hyper_util::rt::TokioIo;
use tokio::{net::TcpStream, sync::mpsc, time::timeout};
use tokio_tungstenite::{
    WebSocketStream, client_async,
    tungstenite::{Message, protocol::Role},
};

use super::{
    LAME_DUCK, LONG,
    h2::{ask, over},
    support::{PATIENCE, Server, async_gate::Gate},
};
use crate::http::ws::{ANSWER, Farewell, Socket};

type Client = WebSocketStream<TcpStream>;

/// What the handlers have heard, and have still to do.
struct Chat {
    server: Server,
    heard: mpsc::Receiver<String>,
    go_on: Gate,
}

impl Chat {
    async fn start() -> Self {
        let (tell, heard) = mpsc::channel(64);
        let go_on = Gate::new();
        let (gate, other) = (go_on.clone(), tell.clone());
        let (leave, another) = (go_on.clone(), tell.clone());
        let echo = async |upgrade: WebSocketUpgrade, farewell: Farewell| {
            upgrade.on_upgrade(|socket| farewell.serve(socket, echo))
        };
        let hear = async move |upgrade: WebSocketUpgrade, farewell: Farewell| {
            upgrade.on_upgrade(|socket| farewell.serve(socket, |socket| hear(socket, tell)))
        };
        let thrice = async move |upgrade: WebSocketUpgrade, farewell: Farewell| {
            upgrade.on_upgrade(|socket| farewell.serve(socket, |socket| thrice(socket, gate)))
        };
        let left = async move |upgrade: WebSocketUpgrade, farewell: Farewell| {
            upgrade.on_upgrade(async move |socket| {
                let served = farewell.serve(socket, |socket| apart(socket, another));
                tokio::select! {
                    () = served => {}
                    () = leave.pass() => {}
                }
            })
        };
        let apart = async move |upgrade: WebSocketUpgrade, farewell: Farewell| {
            upgrade.on_upgrade(|socket| farewell.serve(socket, |socket| apart(socket, other)))
        };
        let push = async |upgrade: WebSocketUpgrade, farewell: Farewell| {
            upgrade.on_upgrade(|socket| farewell.serve(socket, push))
        };
        let routes = Router::new()
            .route("/", any(async || "hello"))
            .route("/echo", any(echo))
            .route("/hear", any(hear))
            .route("/thrice", any(thrice))
            .route("/apart", any(apart))
            .route("/left", any(left))
            .route("/push", any(push));
        let server = Server::start_app(routes).await;
        Self {
            server,
            heard,
            go_on,
        }
    }

    async fn client(&self, path: &str) -> Client {
        let stream = TcpStream::connect(self.server.address).await.unwrap();
        let asked = client_async(format!("ws://test{path}"), stream);
        timeout(PATIENCE, asked).await.expect("upgraded").unwrap().0
    }
}

async fn echo(mut socket: Socket) {
    while let Some(Ok(message)) = socket.recv().await {
        if socket.send(message).await.is_err() {
            return;
        }
    }
}

async fn hear(mut socket: Socket, tell: mpsc::Sender<String>) {
    while let Some(Ok(message)) = socket.recv().await {
        if let Heard::Text(text) = message {
            tell.send(text.to_string()).await.unwrap();
        }
    }
    tell.send("end".into()).await.unwrap();
}

/// Answers in three parts, the last two when it is told to.
async fn thrice(mut socket: Socket, go_on: Gate) {
    while let Some(Ok(Heard::Text(text))) = socket.recv().await {
        socket.send(Heard::Text(text.clone())).await.unwrap();
        go_on.pass().await;
        socket.send(Heard::Text(text.clone())).await.unwrap();
        socket.send(Heard::Text(text)).await.unwrap();
    }
}

/// Never waits for a message.
async fn push(mut socket: Socket) {
    while socket.send(Heard::Text("tick".into())).await.is_ok() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Hears, and sends without end in a task of its own.
async fn apart(socket: Socket, tell: mpsc::Sender<String>) {
    let (mut says, mut hears) = socket.split();
    let saying = tokio::spawn(async move {
        let much = Heard::Text("x".repeat(64 << 10).into());
        while says.send(much.clone()).await.is_ok() {}
        drop(says);
        tell.send("end".into()).await.unwrap();
    });
    while let Some(Ok(_)) = hears.next().await {}
    drop(hears);
    saying.await.unwrap();
}

async fn next<S>(client: &mut WebSocketStream<S>) -> Option<Message>
where
    WebSocketStream<S>:
        StreamExt<Item = Result<Message, tokio_tungstenite::tungstenite::Error>> + Unpin,
{
    let next = timeout(PATIENCE, client.next()).await.expect("a message");
    next.map(Result::unwrap)
}

fn code(message: Option<Message>) -> u16 {
    match message {
        Some(Message::Close(Some(frame))) => frame.code.into(),
        other => panic!("no Close with a code: {other:?}"),
    }
}

#[tokio::test]
async fn clients_are_told_of_a_restart_within_a_second() {
    let chat = Chat::start().await;
    let (mut used, silent) = (chat.client("/echo").await, chat.client("/echo").await);
    used.send("hello".into()).await.unwrap();
    assert_eq!(next(&mut used).await, Some("hello".into()));
    let held = chat.server.held.now();
    assert_eq!((held.held, held.requests), (2, Some(2)));
    let began = chat.server.drain(LONG);
    for mut client in [used, silent] {
        assert_eq!(code(next(&mut client).await), 1012);
        assert_eq!(next(&mut client).await, None, "and nothing else");
    }
    assert!(began.elapsed() < LAME_DUCK, "{:?}", began.elapsed());
    chat.server.ended().await;
}

#[tokio::test]
async fn what_a_client_said_before_its_own_close_is_heard() {
    let mut chat = Chat::start().await;
    let mut client = chat.client("/hear").await;
    client.send("before".into()).await.unwrap();
    assert_eq!(chat.heard.recv().await.unwrap(), "before");
    chat.server.drain(LONG);
    // The Close has come by then, and was not read.
    client.get_ref().readable().await.unwrap();
    for n in 0..10 {
        client.send(n.to_string().into()).await.unwrap();
    }
    assert_eq!(code(next(&mut client).await), 1012);
    assert_eq!(next(&mut client).await, None);
    for n in 0..10 {
        assert_eq!(chat.heard.recv().await.unwrap(), n.to_string());
    }
    assert_eq!(chat.heard.recv().await.unwrap(), "end");
    chat.server.ended().await;
}

#[tokio::test]
async fn an_answer_that_has_begun_is_completed() {
    let chat = Chat::start().await;
    let mut client = chat.client("/thrice").await;
    client.send("a".into()).await.unwrap();
    assert_eq!(next(&mut client).await, Some("a".into()));
    chat.server.drain(LONG);
    chat.server.stops_accepting().await;
    chat.go_on.open_once();
    assert_eq!(next(&mut client).await, Some("a".into()));
    assert_eq!(next(&mut client).await, Some("a".into()));
    assert_eq!(code(next(&mut client).await), 1012);
    assert_eq!(next(&mut client).await, None);
    chat.server.ended().await;
}

#[tokio::test]
async fn a_handler_that_never_waits_does_not_keep_its_client() {
    let chat = Chat::start().await;
    let mut client = chat.client("/push").await;
    assert_eq!(next(&mut client).await, Some("tick".into()));
    let began = chat.server.drain(LONG);
    let mut said = next(&mut client).await;
    while said == Some("tick".into()) {
        said = next(&mut client).await;
    }
    assert_eq!(code(said), 1012);
    assert_eq!(next(&mut client).await, None);
    assert!(began.elapsed() >= ANSWER, "{:?}", began.elapsed());
    chat.server.ended().await;
    assert!(began.elapsed() < 5 * LAME_DUCK, "{:?}", began.elapsed());
}

#[tokio::test]
async fn the_deadline_cuts_a_client_that_does_not_answer() {
    let chat = Chat::start().await;
    // It reads nothing, so it answers nothing.
    let mut deaf = chat.client("/hear").await;
    let began = chat.server.drain(Duration::from_secs(2));
    let held = chat.server.held.clone();
    chat.server.ended().await;
    assert!(
        began.elapsed() >= Duration::from_secs(1),
        "it was cut early"
    );
    let closed = async {
        while held.now().held > 0 {
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, closed).await.expect("it was closed");
    assert_eq!(code(next(&mut deaf).await), 1012);
}

#[tokio::test]
async fn a_client_that_reads_late_is_told_and_so_is_the_task_that_sends() {
    let mut chat = Chat::start().await;
    let mut late = chat.client("/apart").await;
    let began = chat.server.drain(LONG);
    // There is no room to tell it by then.
    tokio::time::sleep_until(began + 2 * ANSWER).await;
    let mut said = next(&mut late).await;
    while matches!(said, Some(Message::Text(_))) {
        said = next(&mut late).await;
    }
    assert_eq!(code(said), 1012);
    assert_eq!(next(&mut late).await, None);
    let end = timeout(PATIENCE, chat.heard.recv()).await;
    assert_eq!(end.expect("the sender ends").unwrap(), "end");
    chat.server.ended().await;
}

#[tokio::test]
async fn what_is_cut_wakes_the_task_that_sends() {
    let mut chat = Chat::start().await;
    let _deaf = chat.client("/apart").await;
    chat.server.drain(2 * ANSWER);
    chat.server.ended().await;
    let end = timeout(PATIENCE, chat.heard.recv()).await;
    assert_eq!(end.expect("the sender ends").unwrap(), "end");
}

#[tokio::test]
async fn what_is_served_no_more_is_cut_wherever_its_handler_has_put_it() {
    for drains in [false, true] {
        let mut chat = Chat::start().await;
        let _deaf = chat.client("/left").await;
        if drains {
            let began = chat.server.drain(LONG);
            // It is being told by then, and nothing else can be said.
            tokio::time::sleep_until(began + 2 * ANSWER).await;
        }
        chat.go_on.open_once();
        let end = timeout(PATIENCE, chat.heard.recv()).await;
        assert_eq!(end.expect("the sender ends").unwrap(), "end");
        chat.server.drain(LONG);
        chat.server.ended().await;
    }
}

/// RFC 8441.
#[tokio::test]
async fn over_http_2_they_are_told_alike() {
    let chat = Chat::start().await;
    let stream = TcpStream::connect(chat.server.address).await.unwrap();
    let mut asks = over(stream).await;
    // Once it has answered, the client knows that it speaks RFC 8441.
    assert_eq!(ask(&mut asks, "/").await.as_deref(), Some("hello"));
    let request = Request::connect("http://test/echo")
        .extension(Protocol::from_static("websocket"))
        .header("sec-websocket-version", "13");
    let upgraded = async {
        let answer = asks.send_request(request.body(Empty::<Bytes>::new()).unwrap());
        let answer = answer.await.map_err(io::Error::other)?;
        hyper::upgrade::on(answer).await.map_err(io::Error::other)
    };
    let upgraded = timeout(PATIENCE, upgraded)
        .await
        .expect("upgraded")
        .unwrap();
    let mut client =
        WebSocketStream::from_raw_socket(TokioIo::new(upgraded), Role::Client, None).await;
    client.send("hello".into()).await.unwrap();
    assert_eq!(next(&mut client).await, Some("hello".into()));
    let began = chat.server.drain(LONG);
    assert_eq!(code(next(&mut client).await), 1012);
    assert_eq!(next(&mut client).await, None);
    assert!(began.elapsed() < LAME_DUCK, "{:?}", began.elapsed());
    drop(client);
    chat.server.ended().await;
}
