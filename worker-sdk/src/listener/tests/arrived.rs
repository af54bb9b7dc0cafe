//! Connections that arrive while nobody waits for them: none is left lying until another comes.

use super::*;

/// Lets the runtime hear of what has happened.
async fn a_turn() {
    tokio::time::sleep(Duration::from_millis(20)).await;
}

/// Waits once for a connection that isn't there.
async fn none_yet(worker: &mut Listener) {
    let none = timeout(Duration::from_millis(20), worker.accept()).await;
    assert!(none.is_err(), "{none:?}");
}

/// A worker that accepts for itself, the socket as another has it, and where it listens.
fn own() -> (
    Listener,
    StdUnixListener,
    std::path::PathBuf,
    tempfile::TempDir,
) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("s");
    let listener = StdUnixListener::bind(&path).unwrap();
    let socket = listener.try_clone().unwrap().into();
    let worker = Listener::inherited("http", socket, None).unwrap();
    (worker, listener, path, dir)
}

#[tokio::test]
async fn at_a_socket_that_is_accepted_from_here() {
    let (mut worker, other, path, _dir) = own();
    // Before it was ever waited for.
    let _first = [(); 2].map(|()| UnixStream::connect(&path).unwrap());
    accepted(&mut worker).await;
    accepted(&mut worker).await;
    none_yet(&mut worker).await;
    // After a wait was dropped; of several at once, one after the other.
    let _more = [(); 3].map(|()| UnixStream::connect(&path).unwrap());
    a_turn().await;
    for _ in 0..3 {
        accepted(&mut worker).await;
    }
    none_yet(&mut worker).await;
    // After one of which this worker has heard was another's.
    let _theirs = UnixStream::connect(&path).unwrap();
    a_turn().await;
    other.accept().unwrap();
    none_yet(&mut worker).await;
    let _own = UnixStream::connect(&path).unwrap();
    a_turn().await;
    accepted(&mut worker).await;
    // While there was no room for it.
    let open = {
        let _another = UnixStream::connect(&path).unwrap();
        accepted(&mut worker).await
    };
    worker.set_max_connections(1);
    let _waits = UnixStream::connect(&path).unwrap();
    none_yet(&mut worker).await;
    drop(open);
    accepted(&mut worker).await;
}

#[tokio::test]
async fn behind_a_proxy() {
    let (worker, _other, path, _dir) = own();
    let mut worker = worker.stripping();
    for _ in 0..2 {
        let mut client = UnixStream::connect(&path).unwrap();
        client.write_all(b"PROXY UNKNOWN").unwrap();
        none_yet(&mut worker).await;
        client.write_all(b"\r\nx").unwrap();
        let mut whole = UnixStream::connect(&path).unwrap();
        whole.write_all(b"PROXY UNKNOWN\r\nx").unwrap();
        a_turn().await;
        accepted(&mut worker).await;
        accepted(&mut worker).await;
    }
}

#[tokio::test]
async fn on_a_channel() {
    let (master, mut worker) = master();
    let mut given = master.hand_over(WINDOW);
    for _ in 0..WINDOW {
        accepted(&mut worker).await;
    }
    none_yet(&mut worker).await;
    given.extend(master.hand_over(2));
    a_turn().await;
    given.extend(master.hand_over(2));
    for _ in 0..4 {
        accepted(&mut worker).await;
    }
}
