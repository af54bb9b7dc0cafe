//! The lame duck, over real sockets and in real time.

mod h2;
mod listeners;
mod support;
#[cfg(feature = "ws")]
mod ws;

use std::time::Duration;

use support::{PATIENCE, Server};
use tokio::time::Instant;

use super::{FRESH, LAME_DUCK};

const LONG: Duration = Duration::from_secs(60);

#[tokio::test]
async fn ends_at_once_when_no_connection_is_open() {
    let server = Server::start().await;
    let mut client = server.client().await;
    assert_eq!(client.ask("/").await.body, "hello");
    drop(client);
    let began = server.drain(LONG);
    server.ended().await;
    assert!(began.elapsed() < LAME_DUCK, "{:?}", began.elapsed());
}

#[tokio::test]
async fn a_connection_accepted_right_before_the_drain_gets_its_first_answer() {
    let server = Server::start().await;
    let mut before = server.client().await;
    before.ask("/").await;
    // In the accept queue's order: once a later one was answered, this one was accepted.
    let mut fresh = server.client().await;
    server.client().await.ask("/").await;
    let began = server.drain(LONG);
    assert_eq!(before.rest().await, "", "idle: closed without a word");
    assert!(began.elapsed() >= LAME_DUCK, "{:?}", began.elapsed());
    let answer = fresh.ask("/").await;
    assert!(answer.says_close(), "{answer:?}");
    assert_eq!(
        (answer.body.as_str(), fresh.rest().await.as_str()),
        ("hello", "")
    );
    server.ended().await;
    assert!(began.elapsed() < FRESH, "{:?}", began.elapsed());
}

#[tokio::test]
async fn a_connection_that_asks_nothing_holds_a_drain_no_longer_than_it_is_fresh() {
    let server = Server::start().await;
    let mut silent = server.client().await;
    server.client().await.ask("/").await;
    let began = server.drain(LONG);
    assert_eq!(silent.rest().await, "");
    let took = began.elapsed();
    assert!(took < FRESH + Duration::from_secs(2), "{took:?}");
    assert!(took > LAME_DUCK, "{took:?}");
    server.ended().await;
}

#[tokio::test]
async fn busy_clients_are_told_to_leave_and_lose_nothing() {
    let server = Server::start().await;
    let mut clients = tokio::task::JoinSet::new();
    for pause in [0_u64, 1, 10, 100, 400, 800] {
        let mut client = server.client().await;
        assert!(!client.ask("/").await.says_close());
        clients.spawn(async move {
            let mut asked = 0_u32;
            loop {
                tokio::time::sleep(Duration::from_millis(pause)).await;
                let answer = client.ask("/").await;
                assert_eq!(answer.body, "hello");
                asked += 1;
                if answer.says_close() {
                    assert_eq!(client.rest().await, "");
                    return asked;
                }
            }
        });
    }
    let began = server.drain(LONG);
    let all = async { while clients.join_next().await.transpose().unwrap().is_some() {} };
    tokio::time::timeout(PATIENCE, all).await.unwrap();
    assert!(began.elapsed() < 5 * LAME_DUCK, "{:?}", began.elapsed());
    server.ended().await;
}

#[tokio::test]
async fn a_request_in_flight_finishes() {
    let mut server = Server::start().await;
    let mut client = server.client().await;
    client.send("/slow").await;
    server.reached.recv().await.unwrap();
    server.drain(LONG);
    server.stops_accepting().await;
    tokio::time::sleep(LAME_DUCK + Duration::from_millis(200)).await;
    server.go_on.open_once();
    let answer = client.answer().await;
    assert!(answer.says_close() && answer.body == "slow", "{answer:?}");
    server.ended().await;
}

#[tokio::test]
async fn after_an_answer_that_could_not_say_close_one_more_is_given() {
    let server = Server::start().await;
    let mut client = server.client().await;
    client.send("/stream").await;
    assert!(client.head().await.contains("chunked"));
    server.drain(LONG);
    server.stops_accepting().await;
    tokio::time::sleep(LAME_DUCK + Duration::from_millis(200)).await;
    server.go_on.open_once();
    let parts = read_until(&mut client, "0\r\n\r\n").await;
    assert!(parts.contains('a') && parts.contains('z'), "{parts:?}");
    let answer = client.ask("/").await;
    assert!(answer.says_close(), "{answer:?}");
    server.ended().await;
}

async fn read_until(client: &mut support::Client, end: &str) -> String {
    use tokio::io::AsyncReadExt;
    let read = async {
        let mut text = String::new();
        while !text.ends_with(end) {
            text.push(char::from(client.0.read_u8().await.unwrap()));
        }
        text
    };
    tokio::time::timeout(PATIENCE, read).await.unwrap()
}

#[tokio::test]
async fn the_deadline_cuts_what_is_still_open() {
    let mut server = Server::start().await;
    let mut client = server.client().await;
    client.send("/slow").await;
    server.reached.recv().await.unwrap();
    let began = server.drain(Duration::from_millis(500));
    server.ended().await;
    assert!(began.elapsed() < 10 * LAME_DUCK, "{:?}", began.elapsed());
    assert_eq!(client.rest().await, "", "cut without an answer");
}

#[tokio::test]
async fn a_second_signal_cuts_what_is_still_open() {
    let mut server = Server::start().await;
    let mut client = server.client().await;
    client.send("/slow").await;
    server.reached.recv().await.unwrap();
    server.drain(LONG);
    server.stops_accepting().await;
    let cut = Instant::now();
    server.trigger.cut();
    server.ended().await;
    assert!(cut.elapsed() < 10 * LAME_DUCK, "{:?}", cut.elapsed());
    assert_eq!(client.rest().await, "");
}

#[tokio::test]
async fn a_handler_that_panics_ends_its_own_connection_only() {
    let server = Server::start().await;
    let mut other = server.client().await;
    other.ask("/").await;
    let mut client = server.client().await;
    client.send("/panic").await;
    assert_eq!(client.rest().await, "");
    assert_eq!(other.ask("/").await.body, "hello");
    assert_eq!(server.client().await.ask("/").await.body, "hello");
}
