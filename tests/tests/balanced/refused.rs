//! A worker that wants fewer connections than are on their way to it.

use super::*;

async fn says(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).await;
    let mut stream = stream.expect("a connection that is not refused");
    stream.write_all(b"hello").await.expect("written");
    stream
}

/// Says that this is all, and reads the answer.
async fn hears(mut stream: TcpStream) {
    let answer = async {
        stream.shutdown().await.expect("open");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.expect("an answer");
        answer
    };
    let answer = tokio::time::timeout(PATIENCE, answer)
        .await
        .expect("in time");
    assert!(answer.ends_with("\nhello"), "{answer:?}");
}

#[tokio::test]
async fn what_is_on_its_way_when_a_worker_lowers_its_limit_goes_to_others() {
    let fleet = Fleet::ready(master(&web(2)).with("echo", "lower"), 2).await;
    taking(&fleet, 2).await;
    let address = fleet.address().await;
    let lowers = fleet.worker("web", 0).await.id.expect("a worker");
    // One for each worker; they stay open.
    let first = [says(address).await, says(address).await];
    fleet.said("stands still").await;
    let mut others = Vec::new();
    for _ in 0..6 {
        others.push(says(address).await);
    }
    let its = move |status: &StatusReport| {
        let mut workers = balance(status).workers.iter();
        workers.find(|worker| worker.id == lowers).cloned()
    };
    let handed = move |status: &StatusReport| its(status).is_some_and(|it| it.handed > 0);
    fleet.until("some to be on their way", handed).await;
    fleet.dir().write("go", "");
    let refused = move |status: &StatusReport| its(status).is_some_and(|it| it.refused > Some(0));
    let status = fleet.until("some to be refused", refused).await;
    let all = balance(&status);
    assert_eq!(all.refused, its(&status).and_then(|it| it.refused));
    assert!(Some(all.given_again) >= all.refused, "{all:?}");
    assert_eq!(its(&status).and_then(|it| it.max_connections), Some(1));
    let shown = fleet.ostler(["sockets"]).success().await.stdout;
    assert!(
        shown.contains("REFUSED") && shown.contains(" refused)"),
        "{shown}"
    );
    for stream in others {
        hears(stream).await;
    }
    for stream in first {
        hears(stream).await;
    }
}
