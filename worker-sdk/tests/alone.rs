//! A worker that was started by itself. Processes under a master are tried in the tests package.

use std::time::Duration;

use axum::{Router, routing::get};
use futures::StreamExt;
use ostler_worker_sdk::{
    Event, Request, StartError, Worker,
    bus::{
        Origin,
        client::{Delivery, RequestError},
        vocab::status::MasterStatus,
    },
};
use rustix::process::{Signal, getpid, kill_process};
use serde::{Deserialize, Serialize};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

/// Longer than anything here takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);

#[derive(Debug, PartialEq, Serialize, Deserialize, Event)]
#[event(topic = "tests.said")]
struct Said {
    what: String,
}

#[tokio::test]
async fn its_own_events_work_and_there_is_no_fleet() {
    let worker = Worker::start().await.unwrap();
    assert!(!worker.is_managed());
    let mut said = worker.bus().subscribe::<Said>().await.unwrap();
    let what = || Said {
        what: "hello".into(),
    };
    assert_eq!(worker.bus().emit_acked(&what()).await.unwrap(), 1);
    let Some(Delivery::Event(received)) = timeout(PATIENCE, said.next()).await.unwrap() else {
        panic!("an event");
    };
    assert_eq!(received.event, what());
    let Origin::Worker { app, pid, .. } = &*received.origin else {
        panic!("{:?}", received.origin)
    };
    assert_eq!((app, *pid), (&worker.identity().app, std::process::id()));
    worker.ready().await.unwrap();
    worker.disconnect().await.unwrap();
    let nobody = worker.bus().request(&MasterStatus { id: None }).await;
    assert!(
        matches!(nobody, Err(RequestError::NoResponders { .. })),
        "{nobody:?}"
    );
    worker.finish().await.unwrap();
}

#[derive(Debug, PartialEq, Serialize, Deserialize, Request)]
#[request(topic = "tests.size", reply = u64)]
struct Size {}

#[tokio::test]
async fn what_is_sent_to_it_directly_arrives_by_each_way() {
    let worker = Worker::start().await.unwrap();
    let (bus, who) = (worker.bus(), worker.identity());
    let mut said = worker.subscribe_direct::<Said>().await.unwrap();
    let mut asked = worker.serve_direct::<Size>().await.unwrap();
    let say = |what: &str| bus.event(&Said { what: what.into() });
    assert_eq!(say("id").to_worker(who.id).acked().await, Ok(1));
    assert_eq!(say("slot").to_slot(&who.app, who.slot).acked().await, Ok(1));
    assert_eq!(say("app").to_app(&who.app).acked().await, Ok(1));
    assert_eq!(say("other").to_app("another").acked().await, Ok(0));
    assert_eq!(say("all").acked().await, Ok(0), "only what is direct");
    let mut heard = Vec::new();
    for _ in 0..3 {
        match timeout(PATIENCE, said.next()).await.unwrap() {
            Some(Delivery::Event(received)) => heard.push(received.event.what),
            other => panic!("{other:?}"),
        }
    }
    heard.sort();
    assert_eq!(heard, ["app", "id", "slot"]);
    let asking = bus.question(&Size {}).to_slot(&who.app, who.slot).ask();
    let answering = async {
        let call = timeout(PATIENCE, asked.next()).await.unwrap().unwrap();
        call.reply(&7).await.unwrap();
    };
    let (answer, ()) = tokio::join!(asking, answering);
    assert_eq!(answer.unwrap().reply, 7);
    worker.finish().await.unwrap();
    assert!(matches!(
        timeout(PATIENCE, said.next()).await.unwrap(),
        Some(Delivery::Disconnected(_))
    ));
    assert!(timeout(PATIENCE, said.next()).await.unwrap().is_none());
}

#[tokio::test]
async fn it_binds_its_fallback_and_says_why_it_cannot() {
    let worker = Worker::start().await.unwrap();
    let first = worker.listen("http", "127.0.0.1:0").unwrap();
    let address = first.address();
    assert!(address.ends_with(&format!(":{}", first.port().unwrap())));
    let taken = worker.listen("http", &address).unwrap_err();
    assert!(matches!(taken, StartError::Bind { .. }), "{taken}");
    assert!(taken.to_string().contains(&address), "{taken}");
    assert!(worker.listen("http", "no address").is_err());
    let dir = tempfile::tempdir().unwrap();
    let path = format!("unix:{}", dir.path().join("s").display());
    let unix = worker.listen("local", &path).unwrap();
    assert_eq!((unix.address(), unix.port()), (path, None));
    let udp = worker.udp("dns", "127.0.0.1:0").unwrap();
    let at = udp.local_addr().unwrap();
    udp.send_to(b"x", at).await.unwrap();
    assert_eq!(udp.recv_from(&mut [0; 8]).await.unwrap(), (1, at));
    let taken = worker.udp("dns", &at.to_string()).unwrap_err();
    assert!(matches!(taken, StartError::Bind { .. }), "{taken}");
}

/// Signals reach every worker of a process, so this is one test.
#[tokio::test]
async fn a_signal_drains_it_and_a_second_one_cuts() {
    let worker = Worker::start().await.unwrap();
    let listener = worker.listen("http", "127.0.0.1:0").unwrap();
    let port = listener.port().unwrap();
    let (reached, mut is_reached) = tokio::sync::mpsc::channel(1);
    let stuck = move || async move {
        reached.send(()).await.unwrap();
        std::future::pending::<()>().await;
    };
    let routes = Router::new().route("/", get(stuck));
    let mut draining = worker.draining();
    let (mut over, mut asked) = (worker.draining(), worker.draining());
    let client = tokio::spawn(async move {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
        let request = b"GET / HTTP/1.1\r\nHost: test\r\n\r\n";
        stream.write_all(request).await.unwrap();
        is_reached.recv().await.unwrap();
        kill_process(getpid(), Signal::TERM).unwrap();
        assert_eq!(asked.begun().await.reason, "SIGTERM");
        kill_process(getpid(), Signal::INT).unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.unwrap();
        answer
    });
    assert!(!draining.has_begun());
    let served = timeout(PATIENCE, worker.serve(listener, routes)).await;
    served.expect("cut, long before the deadline").unwrap();
    assert!(draining.has_begun());
    timeout(PATIENCE, over.over()).await.unwrap();
    let told = draining.begun().await;
    assert_eq!(told.reason, "SIGTERM", "the first reason stands");
    assert_eq!(client.await.unwrap(), b"", "cut without an answer");
}
