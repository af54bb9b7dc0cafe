//! The load generator against servers that do each thing it must tell apart.

use std::{
    net::{SocketAddr, TcpListener as StdListener},
    time::Duration,
};

use ostler_tests::load::{Load, Plan, Tally};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};

const OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";
const OK_CLOSE: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello";

/// A server that ends with its test.
struct Server {
    address: SocketAddr,
    task: JoinHandle<()>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Serves each connection, given with its number, by `serve`.
async fn server<F>(serve: impl Fn(TcpStream, u64) -> F + Send + 'static) -> Server
where
    F: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let task = tokio::spawn(async move {
        for number in 0.. {
            let (stream, _) = listener.accept().await.unwrap();
            tokio::spawn(serve(stream, number));
        }
    });
    Server { address, task }
}

/// Reads one request; false at the end of the stream.
async fn request(stream: &mut TcpStream) -> bool {
    let mut seen = Vec::new();
    let mut buffer = [0; 1024];
    while !seen.ends_with(b"\r\n\r\n") {
        match stream.read(&mut buffer).await {
            Ok(count) if count > 0 => seen.extend_from_slice(&buffer[..count]),
            _ => return false,
        }
    }
    true
}

/// Ends the connection by RST.
fn reset(stream: TcpStream) {
    stream.set_zero_linger().unwrap();
    drop(stream);
}

async fn done(plan: Plan) -> Tally {
    let handle = Load::start(plan).unwrap();
    tokio::time::timeout(Duration::from_secs(20), handle.finish())
        .await
        .expect("the run ends by itself")
}

/// The five outcomes, in the order answered, refused, reset, timed out, wrong.
fn counts(tally: &Tally) -> [u64; 5] {
    assert_eq!(tally.fault, None);
    [
        tally.answered,
        tally.refused,
        tally.reset,
        tally.timed_out,
        tally.wrong,
    ]
}

#[tokio::test]
async fn answers_are_counted_to_the_last() {
    let server = server(|mut stream, _| async move {
        request(&mut stream).await;
        stream.write_all(OK_CLOSE).await.unwrap();
    })
    .await;
    let tally = done(Plan::to(server.address).requests(200).contains("hello")).await;
    assert_eq!(counts(&tally), [200, 0, 0, 0, 0], "{tally}");
    assert_eq!((tally.connections, tally.reconnects), (200, 0));
    assert!(tally.latencies.quantile(0.99).unwrap() > Duration::ZERO);
}

#[tokio::test]
async fn chunked_and_close_delimited_bodies_are_answers() {
    let server = server(|mut stream, number| async move {
        request(&mut stream).await;
        let answer: &[u8] = match number % 2 {
            0 => b"HTTP/1.1 200 OK\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n",
            _ => b"HTTP/1.0 200 OK\r\n\r\nhello",
        };
        stream.write_all(answer).await.unwrap();
    })
    .await;
    for plan in [
        Plan::to(server.address),
        Plan::to(server.address).keep_alive(),
    ] {
        let tally = done(plan.requests(20).contains("hello")).await;
        assert_eq!(counts(&tally), [20, 0, 0, 0, 0], "{tally}");
    }
}

#[tokio::test]
async fn nobody_listening_is_refused() {
    let address = StdListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let tally = done(Plan::to(address).requests(50)).await;
    assert_eq!(counts(&tally), [0, 50, 0, 0, 0], "{tally}");
    assert_eq!(tally.connections, 0);
}

#[tokio::test]
async fn every_early_end_is_a_reset() {
    let server = server(|mut stream, number| async move {
        match number % 5 {
            0 => reset(stream),
            1 => {
                request(&mut stream).await;
                reset(stream);
            }
            2 => {
                request(&mut stream).await; // Then the end of the stream, without a byte.
            }
            3 => {
                request(&mut stream).await;
                stream.write_all(&OK[..OK.len() - 1]).await.unwrap();
            }
            _ => {
                request(&mut stream).await;
                stream.write_all(OK).await.unwrap();
            }
        }
    })
    .await;
    let tally = done(Plan::to(server.address).connections(1).requests(50)).await;
    assert_eq!(counts(&tally), [10, 0, 40, 0, 0], "{tally}");
    assert_eq!(tally.failures.len(), Tally::MAX_FAILURES);
}

#[tokio::test]
async fn a_reset_inside_a_close_delimited_body_is_no_answer() {
    let server = server(|mut stream, _| async move {
        request(&mut stream).await;
        stream
            .write_all(b"HTTP/1.0 200 OK\r\n\r\nhel")
            .await
            .unwrap();
        reset(stream);
    })
    .await;
    let tally = done(Plan::to(server.address).requests(4)).await;
    assert_eq!(counts(&tally), [0, 0, 4, 0, 0], "{tally}");
}

#[tokio::test]
async fn silence_and_half_an_answer_time_out() {
    let server = server(|mut stream, number| async move {
        request(&mut stream).await;
        if number % 2 == 0 {
            stream.write_all(&OK[..20]).await.unwrap();
        }
        request(&mut stream).await; // The client ends the connection when its time is out.
    })
    .await;
    let tally = done(
        Plan::to(server.address)
            .connections(6)
            .requests(6)
            .timeout(Duration::from_millis(500)),
    )
    .await;
    assert_eq!(counts(&tally), [0, 0, 0, 6, 0], "{tally}");
    assert!(tally.elapsed >= Duration::from_millis(500));
}

#[tokio::test]
async fn a_late_answer_is_not_taken_for_the_next_one() {
    let server = server(|mut stream, number| async move {
        let mut told = 0;
        while request(&mut stream).await {
            told += 1;
            if number == 0 && told == 1 {
                tokio::time::sleep(Duration::from_millis(1500)).await;
            }
            if stream.write_all(OK).await.is_err() {
                return;
            }
        }
    })
    .await;
    let plan = Plan::to(server.address).connections(1).keep_alive();
    let tally = done(plan.requests(5).timeout(Duration::from_secs(1))).await;
    assert_eq!(counts(&tally), [4, 0, 0, 1, 0], "{tally}");
    assert_eq!(
        tally.connections, 2,
        "the late one's connection is not used again"
    );
}

#[tokio::test]
async fn wrong_status_wrong_body_and_nonsense_are_wrong() {
    let server = server(|mut stream, number| async move {
        request(&mut stream).await;
        let answer: &[u8] = match number % 4 {
            0 => b"HTTP/1.1 500 Oops\r\nContent-Length: 5\r\n\r\nhello",
            1 => b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nbye",
            2 => b"220 mail ready\r\n",
            _ => OK,
        };
        stream.write_all(answer).await.unwrap();
    })
    .await;
    let plan = Plan::to(server.address).connections(1).requests(40);
    let tally = done(plan.contains("hello")).await;
    assert_eq!(counts(&tally), [10, 0, 0, 0, 30], "{tally}");
}

#[tokio::test]
async fn a_closed_kept_alive_connection_is_no_failure_if_announced() {
    let server = server(|mut stream, _| async move {
        for answer in [OK, OK, OK_CLOSE] {
            request(&mut stream).await;
            stream.write_all(answer).await.unwrap();
        }
    })
    .await;
    let plan = Plan::to(server.address).connections(2).keep_alive();
    let tally = done(plan.requests(60)).await;
    assert_eq!(counts(&tally), [60, 0, 0, 0, 0], "{tally}");
    assert!((20..=21).contains(&tally.connections), "{tally}");
    assert!((19..=21).contains(&tally.reconnects), "{tally}");
}

#[tokio::test]
async fn a_kept_alive_connection_closed_while_idle_is_no_failure() {
    let server = server(|mut stream, _| async move {
        request(&mut stream).await;
        stream.write_all(OK).await.unwrap();
    })
    .await;
    // Ten a second: the end of stream is there long before the next request is written.
    let plan = Plan::to(server.address).connections(1).keep_alive();
    let tally = done(plan.per_second(10.0).requests(8)).await;
    assert_eq!(counts(&tally), [8, 0, 0, 0, 0], "{tally}");
    assert_eq!((tally.connections, tally.reconnects), (8, 7));
}

#[tokio::test]
async fn a_request_written_on_a_kept_alive_connection_that_ends_is_a_reset() {
    let server = server(|mut stream, _| async move {
        request(&mut stream).await;
        stream.write_all(OK).await.unwrap();
        request(&mut stream).await; // The second is taken, then the connection ends without a byte.
    })
    .await;
    let plan = Plan::to(server.address).connections(1).keep_alive();
    let tally = done(plan.requests(10)).await;
    assert_eq!(counts(&tally), [5, 0, 5, 0, 0], "{tally}");
    assert!(
        tally.failures[0].detail.contains("with 1 answers before"),
        "{tally}"
    );
}

#[tokio::test]
async fn a_pace_is_held_and_does_not_wait_for_answers() {
    let server = server(|mut stream, _| async move {
        request(&mut stream).await;
        tokio::time::sleep(Duration::from_millis(100)).await;
        stream.write_all(OK_CLOSE).await.unwrap();
    })
    .await;
    // One connection alone could ask 10 times a second.
    let plan = Plan::to(server.address).connections(40).per_second(100.0);
    let tally = done(plan.requests(50)).await;
    assert_eq!(counts(&tally), [50, 0, 0, 0, 0], "{tally}");
    assert!(tally.elapsed >= Duration::from_millis(490), "{tally}");
    assert!(tally.elapsed < Duration::from_millis(3000), "{tally}");
}

#[tokio::test]
async fn answers_by_what_they_say() {
    let server = server(|mut stream, number| async move {
        request(&mut stream).await;
        let body = format!("{{\"version\":\"v{}\"}}", number % 2);
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
        stream.write_all((head + &body).as_bytes()).await.unwrap();
    })
    .await;
    let plan = Plan::to(server.address).by_field("version").requests(10);
    let tally = done(plan).await;
    assert_eq!((tally.by["v0"], tally.by["v1"]), (5, 5), "{tally}");
}

#[tokio::test]
async fn a_stopped_run_counts_what_is_under_way() {
    let server = server(|mut stream, _| async move {
        while request(&mut stream).await {
            stream.write_all(OK).await.unwrap();
        }
    })
    .await;
    let handle = Load::start(Plan::to(server.address).keep_alive()).unwrap();
    handle.answers(100, Duration::from_secs(10)).await.unwrap();
    let before = handle.progress().answered;
    let tally = tokio::time::timeout(Duration::from_secs(10), handle.stop()).await;
    let tally = tally.expect("stops at once");
    assert!(tally.answered >= before && before >= 100, "{tally}");
    assert_eq!(tally.lost(), 0, "{tally}");
}

#[tokio::test]
async fn waiting_for_answers_that_do_not_come_ends() {
    let address = StdListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let handle = Load::start(Plan::to(address).requests(3)).unwrap();
    let error = handle
        .answers(1, Duration::from_secs(10))
        .await
        .unwrap_err();
    assert!(error.contains("ended"), "{error}");
    assert_eq!(handle.stop().await.refused, 3);
}

#[tokio::test]
async fn the_program_accounts_in_json_and_exits_by_the_result() {
    let server = server(|mut stream, number| async move {
        request(&mut stream).await;
        stream
            .write_all(if number < 7 { OK } else { b"?" })
            .await
            .unwrap();
    })
    .await;
    let load = |requests: &'static str| {
        let address = server.address.to_string();
        async move {
            let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_load"));
            command.args([&address, "-c1", "-n", requests, "--contains", "hello"]);
            command.kill_on_drop(true).output().await.unwrap()
        }
    };
    let good = load("5").await;
    assert!(good.status.success());
    let bad = load("5").await;
    assert_eq!(bad.status.code(), Some(1));
    let json: serde_json::Value = serde_json::from_slice(&bad.stdout).unwrap();
    assert_eq!(
        (json["answered"].as_u64(), json["wrong"].as_u64()),
        (Some(2), Some(3))
    );
    assert!(String::from_utf8_lossy(&bad.stderr).contains("5 requests in"));
}

#[test]
fn other_machines_are_refused() {
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_load"));
    let output = command.arg("192.0.2.1:80").output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("loopback"));
}
