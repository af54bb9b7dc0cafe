//! Clients that stay where they were.

use super::*;

#[tokio::test]
async fn clients_are_spread_evenly_and_come_to_the_same_slot_again() {
    let fleet = ready(&web(4), 4).await;
    let address = fleet.address().await;
    let before = slots_of(1_200, address).await;
    let mut counts = BTreeMap::<u64, usize>::new();
    for slot in before.values() {
        *counts.entry(*slot).or_default() += 1;
    }
    let most = *counts.values().max().expect("answers");
    let ratio = most as f64 * 4.0 / before.len() as f64;
    assert!(counts.len() == 4 && ratio <= 1.2, "{ratio}: {counts:?}");
    assert_eq!(moved(&before, &slots_of(1_200, address).await), []);
    // However the header is written.
    for number in (0..40).step_by(2) {
        let said = [&header(client(number), number + 2), REQUEST].concat();
        let mut stream = TcpStream::connect(address).await.expect("connected");
        stream.write_all(&said).await.expect("written");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.expect("an answer");
        let slot = format!("\"slot\":{}", before[&number]);
        assert!(answer.contains(&slot), "{answer}");
    }
    let status = fleet.status().await;
    assert_eq!(
        (socket(&status).mode.as_str(), &socket(&status).why),
        ("sticky", &None)
    );
    let told = proxied(&status).expect("it is told");
    assert_eq!(
        (told.buckets.as_slice(), told.header.as_str()),
        (&[64; 4][..], "strip")
    );
    assert_eq!((told.awaited, told.malformed, told.late), (0, 0, 0));
    let table = fleet.ostler(["sockets"]).success().await.stdout;
    assert!(table.contains("by PROXY header"), "{table}");
}

#[tokio::test]
async fn a_crash_or_an_update_moves_nobodys_clients() {
    let app = web(4).set("backoff", json!({"first": "300ms", "max": "300ms"}));
    let fleet = ready(&app, 4).await;
    let address = fleet.address().await;
    let before = slots_of(200, address).await;
    // The second time it has to wait before it comes back.
    for _ in 0..2 {
        signal(&fleet.worker("web", 1).await, Signal::KILL);
        assert_eq!(moved(&before, &slots_of(200, address).await), []);
        fleet.until_ready(4).await;
    }
    fleet.ostler(["reload"]).success().await;
    assert_eq!(moved(&before, &slots_of(200, address).await), []);
}

#[tokio::test]
async fn a_resize_moves_no_more_than_the_share_of_what_comes_or_goes() {
    let fleet = ready(&web(4), 4).await;
    let address = fleet.address().await;
    let before = slots_of(400, address).await;
    fleet.ostler(["scale", "5"]).success().await;
    let five = |status: &StatusReport| proxied(status).is_some_and(|it| it.buckets.len() == 5);
    fleet.until("the fifth to have its share", five).await;
    let went = moved(&before, &slots_of(400, address).await);
    assert!(went.iter().all(|(_, to)| *to == 4), "{went:?}");
    // A fifth is 80.
    assert!((40..=120).contains(&went.len()), "{}", went.len());
    fleet.ostler(["scale", "4"]).success().await;
    assert_eq!(moved(&before, &slots_of(400, address).await), []);
}

#[tokio::test]
async fn clients_of_a_slot_that_is_stopped_are_served_by_others_until_it_is_back() {
    let fleet = ready(&web(3), 3).await;
    let address = fleet.address().await;
    let before = slots_of(200, address).await;
    fleet.ostler(["stop", "web:1"]).success().await;
    let out = |status: &StatusReport| proxied(status).is_some_and(|it| it.buckets[1] == 0);
    fleet.until("it to be left out", out).await;
    let went = moved(&before, &slots_of(200, address).await);
    assert!(went.iter().all(|(from, _)| *from == 1), "{went:?}");
    let theirs = before.values().filter(|slot| **slot == 1).count();
    assert_eq!(went.len(), theirs);
    fleet.ostler(["start", "web:1"]).success().await;
    fleet.until_ready(3).await;
    assert_eq!(moved(&before, &slots_of(200, address).await), []);
}

#[tokio::test]
async fn proxies_may_come_by_a_unix_socket() {
    let socket = json!({"address": "unix:web.sock", "mode": "sticky", "proxy_protocol": "strip"});
    let fleet = ready(&at(2, socket), 2).await;
    let status = fleet.status().await;
    let path = super::socket(&status).address.clone();
    let path = path.strip_prefix("unix:").expect("a path");
    let mut first = BTreeMap::new();
    for number in (0..30).chain(0..30) {
        let mut stream = tokio::net::UnixStream::connect(path)
            .await
            .expect("connected");
        let said = [&header(client(number), number), REQUEST].concat();
        stream.write_all(&said).await.expect("written");
        let read = tokio::spawn(async move {
            let mut answer = String::new();
            stream.read_to_string(&mut answer).await.expect("an answer");
            answer
        });
        let slot = answered(read).await;
        assert_eq!(*first.entry(number).or_insert(slot), slot);
    }
    assert!(first.values().any(|slot| *slot == 0) && first.values().any(|slot| *slot == 1));
    // The proxy itself has no address, and is served all the same.
    let mut stream = tokio::net::UnixStream::connect(path)
        .await
        .expect("connected");
    let said = [b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0", REQUEST].concat();
    stream.write_all(&said).await.expect("written");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.expect("an answer");
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}
