//! A worker that shuts a socket of the starter's down.

use super::*;

/// The first worker shuts the socket down, and later ones serve.
fn once(what: &str) -> String {
    format!(
        "mkdir once && exec \"$MISBEHAVE\" notify 0 {what}; exec \"$MISBEHAVE\" notify 0 http version"
    )
}

fn app(socket: &str) -> App {
    App::new("web", ["sh", "worker.sh"])
        .set("env", json!({"MISBEHAVE": env!("CARGO_BIN_EXE_misbehave")}))
        .set("listen", json!({ "http": socket }))
        .unwatched()
}

#[tokio::test]
async fn one_of_tcp_listens_again_in_its_place() {
    let (builder, _starter) = activated(&["http=127.0.0.1:0"]);
    let builder = builder
        .with("version", "1")
        .with("worker.sh", &once("shut-listener"));
    let mut master = builder.apps(&[app("fd:http")]).start().await;
    let line = master.wait_for_log("it listens again").await;
    assert!(line.contains("InPlace"), "{line}");
    master.settled("web", "running").await;
    let address = master.address("web").await;
    let _waits = TcpStream::connect(address).expect("it listens");
    master.ostler(["reload"]).success().await;
    assert!(Web::get(address, "/").await["pid"].is_u64());
    assert_eq!(sockets(&master).await[0]["passed_as"], 3);
}

#[tokio::test]
async fn a_unix_socket_is_told_of_and_left_to_the_starter() {
    let outside = PrivateDir::new();
    let path = outside.at("passed.sock");
    let passed = format!("local=unix:{}", path.display());
    let (builder, _starter) = activated(&[&passed]);
    let builder = builder
        .with("version", "1")
        .with("worker.sh", &once("shut-listener unix"));
    let mut master = builder.apps(&[app("fd:local")]).start().await;
    let line = master
        .wait_for_log("a worker has called shutdown on a socket")
        .await;
    assert!(line.contains("starter"), "{line}");
    master.settled("web", "running").await;
    // Neither replaced, nor tried again: both would be told in the same breath.
    let said = master.process.output();
    assert!(!said.contains("tried again"), "{said}");
    assert!(!said.contains("update to generation 2"), "{said}");
    std::os::unix::net::UnixStream::connect(&path).expect_err("nobody listens");
    assert!(path.exists(), "the starter has made it");
    assert_eq!(master.end(Signal::TERM).await, Exit::Code(0));
    assert!(path.exists());
}
