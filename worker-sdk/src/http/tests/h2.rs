//! HTTP/2: GOAWAY, by a client that asks many things at once, and frame by frame.

use std::{error::Error, sync::Arc, time::Duration};

use http_body_util::{BodyExt, Empty};
use hyper::{
    Request,
    body::{Bytes, Incoming},
    client::conn::http2::{SendRequest, handshake},
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::TcpStream,
    task::JoinSet,
    time::timeout,
};

use super::{
    FRESH, LAME_DUCK, LONG,
    support::{PATIENCE, Server},
};

/// A client's end of a connection.
pub(super) type Asks = SendRequest<Empty<Bytes>>;

pub(super) async fn over(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) -> Asks {
    let io = TokioIo::new(stream);
    let (asks, connection) = handshake(TokioExecutor::new(), io).await.unwrap();
    tokio::spawn(connection);
    asks
}

async fn client(server: &Server) -> Asks {
    over(TcpStream::connect(server.address).await.unwrap()).await
}

/// The answer's body; `None` if the server has not served the request, because this connection takes none any more: it was not sent, or GOAWAY
/// says so. Whatever else happens to it is a failure.
pub(super) async fn ask(asks: &mut Asks, path: &str) -> Option<String> {
    asks.ready().await.ok()?;
    let request = Request::get(format!("http://test{path}"));
    let sent = asks.try_send_request(request.body(Empty::new()).unwrap());
    let answer = match timeout(PATIENCE, sent).await.expect("an answer") {
        Ok(answer) => answer,
        Err(mut error) => {
            let unsent = error.take_message().is_some();
            let error = error.into_error();
            assert!(unsent || goes_elsewhere(&error), "it was lost: {error:?}");
            return None;
        }
    };
    assert_eq!(answer.status(), 200);
    Some(whole(answer.into_body()).await)
}

/// Clients take it as leave to ask another.
fn goes_elsewhere(error: &hyper::Error) -> bool {
    let error = error
        .source()
        .and_then(|error| error.downcast_ref::<h2::Error>());
    error.is_some_and(|error| {
        error.is_go_away() && error.is_remote() && error.reason() == Some(h2::Reason::NO_ERROR)
    })
}

async fn whole(body: Incoming) -> String {
    let whole = timeout(PATIENCE, body.collect()).await.expect("a body");
    String::from_utf8(whole.unwrap().to_bytes().into()).unwrap()
}

#[tokio::test]
async fn busy_clients_are_told_to_leave_and_lose_nothing() {
    let server = Server::start().await;
    let mut asking = JoinSet::new();
    for pause in [0_u64, 1, 10, 100] {
        let asks = client(&server).await;
        for _ in 0..20 {
            let mut asks = asks.clone();
            asking.spawn(async move {
                let mut answered = 0_u32;
                while let Some(body) = ask(&mut asks, "/").await {
                    assert_eq!(body, "hello");
                    answered += 1;
                    tokio::time::sleep(Duration::from_millis(pause)).await;
                }
                answered
            });
        }
    }
    tokio::time::sleep(Duration::from_millis(300)).await;
    let (began, counter) = (server.drain(LONG), server.counter.clone());
    let mut all = 0;
    while let Some(answered) = asking.join_next().await {
        let answered = answered.unwrap();
        assert!(answered > 0);
        all += u64::from(answered);
    }
    server.ended().await;
    assert_eq!(
        counter.served().requests,
        all,
        "each that it took is answered"
    );
    assert!(began.elapsed() < 5 * LAME_DUCK, "{:?}", began.elapsed());
}

#[tokio::test]
async fn what_is_under_way_finishes_and_what_is_new_goes_elsewhere() {
    let mut server = Server::start().await;
    let mut asks = client(&server).await;
    let slow = |mut asks: Asks| tokio::spawn(async move { ask(&mut asks, "/slow").await });
    let both = [slow(asks.clone()), slow(asks.clone())];
    for _ in &both {
        server.reached.recv().await.unwrap();
    }
    server.drain(LONG);
    server.stops_accepting().await;
    let refused = async { while ask(&mut asks, "/").await.is_some() {} };
    timeout(PATIENCE, refused).await.expect("GOAWAY");
    let held = server.held.now();
    assert_eq!((held.held, held.requests), (1, Some(2)));
    for slow in both {
        server.go_on.open_once();
        assert_eq!(slow.await.unwrap().as_deref(), Some("slow"));
    }
    server.ended().await;
}

#[tokio::test]
async fn a_connection_accepted_right_before_the_drain_gets_its_first_answer() {
    let server = Server::start().await;
    let mut idle = client(&server).await;
    ask(&mut idle, "/").await.unwrap();
    let mut fresh = client(&server).await;
    // In the accept queue's order: once a later one was answered, this one was accepted.
    server.client().await.ask("/").await;
    let began = server.drain(LONG);
    let told = async {
        while !idle.is_closed() {
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, told).await.expect("GOAWAY");
    assert!(began.elapsed() < LAME_DUCK, "{:?}", began.elapsed());
    assert_eq!(ask(&mut fresh, "/").await.as_deref(), Some("hello"));
    server.ended().await;
    assert!(began.elapsed() < FRESH, "{:?}", began.elapsed());
}

#[tokio::test]
async fn the_deadline_cuts_what_is_still_open() {
    let mut server = Server::start().await;
    let mut asks = client(&server).await;
    asks.ready().await.unwrap();
    let request = Request::get("http://test/slow").body(Empty::new());
    let slow = tokio::spawn(asks.send_request(request.unwrap()));
    server.reached.recv().await.unwrap();
    let began = server.drain(Duration::from_millis(500));
    server.ended().await;
    assert!(began.elapsed() < 10 * LAME_DUCK, "{:?}", began.elapsed());
    let cut = timeout(PATIENCE, slow).await.expect("cut").unwrap();
    cut.expect_err("it had no answer");
}

/// A frame's type, its stream and what is in it.
type Frame = (u8, u32, Vec<u8>);

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const WINDOW: u8 = 8;

/// A request for `/`, and that it has no body.
const GET: &[u8] = b"\x82\x86\x84\x41\x01x";
const END: u8 = 5;

/// A connection that has begun to speak HTTP/2, and says no more than a test has it say.
async fn by_hand(server: &Server) -> TcpStream {
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    stream.write_all(preface).await.unwrap();
    send(&mut stream, 4, 0, 0, &[]).await;
    stream
}

async fn send(stream: &mut TcpStream, kind: u8, flags: u8, id: u32, payload: &[u8]) {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let head = [&length[1..], &[kind, flags][..], &id.to_be_bytes()[..]].concat();
    stream.write_all(&[&head, payload].concat()).await.unwrap();
}

async fn receive(stream: &mut TcpStream, kind: u8) -> Frame {
    let next = async {
        loop {
            let mut head = [0; 9];
            stream.read_exact(&mut head).await.unwrap();
            let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
            let mut payload = vec![0; usize::try_from(length).unwrap()];
            stream.read_exact(&mut payload).await.unwrap();
            let id = u32::from_be_bytes([head[5], head[6], head[7], head[8]]);
            if head[3] == kind {
                return (head[3], id, payload);
            }
        }
    };
    timeout(PATIENCE, next).await.expect("a frame")
}

/// The last stream that a GOAWAY without an error names.
fn last((_, _, payload): &Frame) -> u32 {
    assert_eq!(payload[4..8], [0; 4], "no error");
    u32::from_be_bytes([payload[0], payload[1], payload[2], payload[3]])
}

/// RFC 9113, section 6.8.
#[tokio::test]
async fn a_request_that_crosses_the_goaway_is_answered() {
    let server = Server::start().await;
    let mut stream = by_hand(&server).await;
    send(&mut stream, HEADERS, END, 1, GET).await;
    assert_eq!(receive(&mut stream, HEADERS).await.1, 1);
    server.drain(LONG);
    let first = receive(&mut stream, GOAWAY).await;
    assert_eq!(last(&first), 0x7fff_ffff, "it refuses nothing yet");
    let ping = receive(&mut stream, PING).await;
    send(&mut stream, HEADERS, END, 3, GET).await;
    assert_eq!(receive(&mut stream, HEADERS).await.1, 3);
    send(&mut stream, PING, 1, 0, &ping.2).await;
    let second = receive(&mut stream, GOAWAY).await;
    assert_eq!(last(&second), 3, "the last that was answered");
    let mut rest = Vec::new();
    let end = stream.read_to_end(&mut rest);
    timeout(PATIENCE, end).await.expect("it closes").unwrap();
    server.ended().await;
}

#[tokio::test]
async fn a_client_that_does_not_answer_the_goaway_holds_up_a_drain_for_no_longer_than_a_fresh_one()
{
    let server = Server::start().await;
    let mut gone = by_hand(&server).await;
    send(&mut gone, HEADERS, END, 1, GET).await;
    receive(&mut gone, DATA).await;
    let began = server.drain(LONG);
    receive(&mut gone, PING).await;
    server.ended().await;
    assert!(began.elapsed() < 2 * FRESH, "{:?}", began.elapsed());
}

/// What the app has answered may not have left this process yet.
#[tokio::test]
async fn a_client_that_stands_still_while_it_takes_its_answer_gets_all_of_it() {
    const WHOLE: usize = 200_000;
    const BITE: u32 = 10_000;
    let big = axum::routing::get(|| async { "x".repeat(WHOLE) });
    let server = Server::start_app(axum::Router::new().route("/", big)).await;
    let mut slow = by_hand(&server).await;
    send(&mut slow, HEADERS, END, 1, GET).await;
    // As much as a client takes unasked.
    let mut got = 0;
    while got < 65_535 {
        got += receive(&mut slow, DATA).await.2.len();
    }
    let began = server.drain(LONG);
    let ping = receive(&mut slow, PING).await;
    send(&mut slow, PING, 1, 0, &ping.2).await;
    // It is there, and for a while takes nothing.
    tokio::time::sleep(FRESH + LAME_DUCK).await;
    while got < WHOLE {
        for id in [0, 1] {
            send(&mut slow, WINDOW, 0, id, &BITE.to_be_bytes()).await;
        }
        got += receive(&mut slow, DATA).await.2.len();
    }
    assert!(began.elapsed() > FRESH, "{:?}", began.elapsed());
    drop(slow);
    server.ended().await;
}

#[tokio::test]
async fn what_the_app_wraps_is_served_and_drained_alike() {
    use tokio_rustls::{TlsAcceptor, TlsConnector, rustls};
    let made = rcgen::generate_simple_self_signed(["test".into()]).unwrap();
    let mut roots = rustls::RootCertStore::empty();
    roots.add(made.cert.der().clone()).unwrap();
    let key = rustls::pki_types::PrivateKeyDer::try_from(made.signing_key.serialize_der());
    let mut config = rustls::ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.into()], key.unwrap())
        .unwrap();
    config.alpn_protocols = vec!["h2".into(), "http/1.1".into()];
    let tls = TlsAcceptor::from(Arc::new(config));
    let mut server = Server::start_with(move |connection| tls.accept(connection)).await;
    // It says nothing, and holds up nobody.
    let silent = server.client().await;
    let mut config = rustls::ClientConfig::builder()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec!["h2".into()];
    let connect = TlsConnector::from(Arc::new(config));
    let stream = TcpStream::connect(server.address).await.unwrap();
    let stream = connect.connect("test".try_into().unwrap(), stream);
    let mut asks = over(stream.await.unwrap()).await;
    assert_eq!(ask(&mut asks, "/").await.as_deref(), Some("hello"));
    let mut slow = asks.clone();
    let slow = tokio::spawn(async move { ask(&mut slow, "/slow").await });
    server.reached.recv().await.unwrap();
    server.drain(LONG);
    drop(silent);
    let refused = async { while ask(&mut asks, "/").await.is_some() {} };
    timeout(PATIENCE, refused).await.expect("GOAWAY");
    server.go_on.open_once();
    assert_eq!(slow.await.unwrap().as_deref(), Some("slow"));
    server.ended().await;
}
