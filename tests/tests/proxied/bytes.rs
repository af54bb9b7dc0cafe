//! What comes on a connection: all of it reaches the worker, however it is cut, with the header or without.

use super::*;

/// Workers that give back what they got.
async fn echo(header: &str) -> Fleet {
    let socket = json!({"address": "127.0.0.1:0", "mode": "sticky", "proxy_protocol": header});
    let how = if header == "keep" { "header" } else { "plain" };
    let fleet = Fleet::ready(master(&at(2, socket)).with("echo", how), 2).await;
    taking(&fleet, 2).await;
    fleet
}

/// Sends this in these pieces, and reads what comes back: who answered, and what it got.
async fn ask(address: SocketAddr, pieces: &[&[u8]]) -> (String, Vec<u8>) {
    let stream = TcpStream::connect(address).await.expect("connected");
    stream.set_nodelay(true).expect("set");
    let (mut read, mut write) = stream.into_split();
    let answer = tokio::spawn(async move {
        let mut answer = Vec::new();
        read.read_to_end(&mut answer).await.expect("an answer");
        answer
    });
    for piece in pieces {
        write.write_all(piece).await.expect("sent");
    }
    write.shutdown().await.expect("ended");
    let answer = tokio::time::timeout(PATIENCE, answer).await;
    let answer = answer.expect("in time").expect("read");
    let end = answer.iter().position(|byte| *byte == b'\n');
    let (line, said) = answer.split_at(end.expect("a line") + 1);
    (
        String::from_utf8(line.to_vec()).expect("text"),
        said.to_vec(),
    )
}

async fn no_byte_is_lost(what: &str) {
    let fleet = echo(what).await;
    let address = fleet.address().await;
    let large: Vec<u8> = (0..1 << 20_u32).map(|at: u32| (at % 251) as u8).collect();
    for number in 0..4 {
        let who = client(number);
        let whose = match what {
            "keep" => format!(" for {}\n", who.ip()),
            _ => " for nobody\n".into(),
        };
        let header = header(who, number);
        // In one packet, as far as one goes.
        let at_once = [&header[..], &large].concat();
        let (line, said) = ask(address, &[&at_once]).await;
        assert!(line.ends_with(&whose), "{line:?}");
        assert!(said == large, "{} bytes", said.len());
        let slot = line;
        // Byte by byte, with one of the client's at the end.
        let all = [&header[..], b"\r\nPROXY "].concat();
        let bytes: Vec<&[u8]> = all.chunks(1).collect();
        assert_eq!(
            ask(address, &bytes).await,
            (slot.clone(), b"\r\nPROXY ".to_vec())
        );
        // Cut somewhere, and nothing behind it.
        for cut in [1, 5, 6, 12, 16, 20, header.len() - 1] {
            let (first, rest) = header.split_at(cut);
            assert_eq!(ask(address, &[first, rest]).await, (slot.clone(), vec![]));
        }
    }
    let status = fleet.status().await;
    let told = proxied(&status).expect("it is told");
    assert_eq!((told.awaited, told.malformed, told.late), (0, 0, 0));
}

#[tokio::test]
async fn workers_get_what_follows_the_header_and_all_of_it() {
    no_byte_is_lost("strip").await;
}

#[tokio::test]
async fn workers_get_the_header_too_if_they_want_it_and_know_the_client_by_it() {
    no_byte_is_lost("keep").await;
}

#[tokio::test]
async fn proxies_that_speak_for_themselves_are_known_by_their_own_address() {
    let fleet = echo("strip").await;
    let address = fleet.address().await;
    let own = [b"PROXY TCP4 127.0.0.1 127.0.0.1 1 2\r\n", &b"x"[..]].concat();
    let own = ask(address, &[&own]).await;
    for header in [
        &b"PROXY UNKNOWN\r\n"[..],
        b"PROXY UNKNOWN whatever it is\r\n",
        b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0",
        b"\r\n\r\n\0\r\nQUIT\n\x21\0\0\0",
    ] {
        assert_eq!(ask(address, &[header, b"x"]).await, own);
    }
}
