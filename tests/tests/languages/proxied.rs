//! Workers in Python behind a proxy: without a master they take its header off themselves, as the master would.

use std::{net::SocketAddr, process::Stdio, time::Instant};

use ostler_bus::vocab::status::StatusReport;
use ostler_tests::{
    harness::{App, Fleet, Language, PATIENCE, deadline},
    ostler,
};
use ostler_worker_sdk::proxy_protocol::{IN_TIME, LONGEST, parse};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use super::sockets::askers;

const LINE: &[u8] = b"PROXY TCP4 203.0.113.9 192.0.2.1 4711 80\r\n";
const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nConnection: close\r\n\r\n";

fn binary(kind: [u8; 2], rest: &[u8]) -> Vec<u8> {
    let length = u16::try_from(rest.len()).expect("short").to_be_bytes();
    [&b"\r\n\r\n\0\r\nQUIT\n"[..], &kind, &length, rest].concat()
}

/// Headers and what is none, with something behind.
fn beginnings() -> Vec<Vec<u8>> {
    let mut all = Vec::new();
    for said in [
        "TCP4 192.168.0.1 192.168.0.11 56324 443",
        "TCP6 2001:db8::1 ::1 5 65535",
        "UNKNOWN",
        "UNKNOWN whatever it is",
        "UNKNOWNS",
        "TCP4",
        "",
        "TCP4 1.2.3.4 5.6.7.8 1",
        "TCP4 1.2.3.4 5.6.7.8 1 2 3",
        "TCP4  1.2.3.4 5.6.7.8 1 2",
        "TCP4 1.2.3.4 5.6.7.8 1 65536",
        "TCP4 1.2.3.4 5.6.7.8 01 -1",
        "TCP4 1.2.3.04 5.6.7.8 1 2",
        "TCP4 ::1 ::1 1 2",
        "TCP6 fe80::1%1 ::1 1 2",
        "UDP4 1.2.3.4 5.6.7.8 1 2",
        "TCP4 1.2.3.4\u{e9} 5.6.7.8 1 2",
        "TCP4 1.2.3.4\0 5.6.7.8 1 \u{b2}",
    ] {
        for end in ["\r\n", "\n", "\rx", "\r\r\n"] {
            all.push(format!("PROXY {said}{end}GET / HTTP/1.1\r\n\r\n").into_bytes());
        }
    }
    for length in [105, 106, 300] {
        all.push(format!("{:x<length$}\r\nrest", "PROXY UNKNOWN ").into_bytes());
    }
    for kind in (0..=255)
        .map(|kind| [0x21, kind])
        .chain([0x20, 0x11, 0x22, 0].map(|it| [it, 0x11]))
    {
        for rest in [0, 11, 12, 35, 36, 215, 216, LONGEST - 16, LONGEST - 15] {
            all.push([&binary(kind, &vec![7; rest])[..], b"rest"].concat());
        }
    }
    let others: [&[u8]; 4] = [
        b"GET / HTTP/1.1\r\n",
        b"PROXY\r\n",
        b"\r\n\r\nGET /",
        b"\x16\x03",
    ];
    all.extend(others.map(<[u8]>::to_vec));
    all
}

/// All of them in one process: a line of hexadecimal digits each, and a line for what it is.
const JUDGE: &str = r#"
import sys
sys.dont_write_bytecode = True
sys.path.insert(0, sys.argv[1])
from ostler_sockets.proxied import header_length
for line in sys.stdin:
    try:
        print(header_length(bytes.fromhex(line)))
    except (ValueError, KeyError, OSError):
        print("refused")
"#;

#[tokio::test]
async fn headers_are_judged_as_the_master_judges_them() {
    let mut begun = Vec::new();
    for whole in beginnings() {
        // Whatever is long is cut where it matters.
        let cuts = (1..=whole.len()).filter(|cut| *cut < 130 || whole.len() - cut < 6);
        begun.extend(cuts.map(|cut| whole[..cut].to_vec()));
    }
    begun.sort();
    begun.dedup();
    let hex = |bytes: &Vec<u8>| bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    let asked: Vec<String> = begun.iter().map(hex).collect();
    let mut judge = tokio::process::Command::new(Language::Python.interpreter())
        .args(["-c", JUDGE])
        .arg(Language::Python.client())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .expect("Python");
    let mut stdin = judge.stdin.take().expect("a pipe");
    let asks = async move {
        let text = asked.join("\n");
        stdin.write_all(text.as_bytes()).await.expect("it reads");
    };
    let judges = async { tokio::join!(asks, judge.wait_with_output()).1 };
    let judged = deadline("the verdicts", PATIENCE, judges)
        .await
        .expect("an end");
    let judged = String::from_utf8(judged.stdout).expect("text");
    let judged: Vec<&str> = judged.lines().collect();
    assert_eq!(judged.len(), begun.len());
    for (bytes, judged) in begun.iter().zip(judged) {
        let own = match parse(bytes) {
            Ok(Some(header)) => header.length.to_string(),
            Ok(None) => "None".into(),
            // What is in bytes is judged there when their kind and length have come.
            Err(_) if bytes.len() < 16 && judged == "None" => continue,
            Err(_) => "refused".into(),
        };
        assert_eq!(judged, own, "{}", bytes.escape_ascii());
    }
}

/// A worker of this app whose master has been killed, and where it listens.
async fn orphaned(app: App) -> (Fleet, SocketAddr, Pid) {
    let socket = json!({"address": "127.0.0.1:0", "mode": "sticky", "proxy_protocol": "strip"});
    let app = app.set("listen", json!({ "http": socket }));
    let mut fleet = Fleet::ready(ostler!().apps(&[app]), 1).await;
    let takes = |status: &StatusReport| {
        let balance = status.apps[0].sockets[0].balance.as_ref();
        balance.is_some_and(|it| it.workers.len() == 1)
    };
    fleet.until("it to take connections", takes).await;
    let address = fleet.address().await;
    let answer = said(address, &[LINE, REQUEST]).await;
    assert!(answer.starts_with(REQUEST) || answer.starts_with(b"HTTP/1.1 200"));
    let pid = fleet.worker("web", 0).await.pid.expect("a worker");
    fleet.end(Signal::KILL).await;
    let pid = Pid::from_raw(pid.cast_signed()).expect("a pid");
    (fleet, address, pid)
}

/// What comes back when this is said in these pieces: nothing if it is reset.
async fn said(address: SocketAddr, pieces: &[&[u8]]) -> Vec<u8> {
    let stream = deadline("a connection", PATIENCE, TcpStream::connect(address)).await;
    let mut stream = stream.expect("it listens");
    stream.set_nodelay(true).expect("set");
    let mut answer = Vec::new();
    let talk = async {
        for piece in pieces {
            stream.write_all(piece).await?;
            tokio::task::yield_now().await;
        }
        stream.shutdown().await?;
        stream.read_to_end(&mut answer).await
    };
    // One that is refused may be reset.
    let _end = deadline("the end", PATIENCE, talk).await;
    answer
}

#[tokio::test]
async fn without_a_master_workers_take_headers_off_and_not_a_byte_more() {
    let (_fleet, address, _) = orphaned(askers("web", 1, &["echo http"])).await;
    let begun = Instant::now();
    let silent = async {
        let mut stream = TcpStream::connect(address).await.expect("connected");
        stream.write_all(&LINE[..20]).await.expect("sent");
        let end = deadline("the end", PATIENCE, stream.read_u8()).await;
        assert!(end.is_err(), "it is sent away");
        assert!(begun.elapsed() >= IN_TIME, "{:?}", begun.elapsed());
    };
    let others = async {
        let large: Vec<u8> = (0..100_000_u32).map(|at| (at % 251) as u8).collect();
        assert_eq!(said(address, &[LINE, b"x"]).await, b"x");
        assert!(begun.elapsed() < IN_TIME, "the silent one holds up nobody");
        let client = binary([0x21, 0x11], &[7; 12]);
        for header in [LINE, &client, b"PROXY UNKNOWN\r\n", &binary([0x20, 0], b"")] {
            let at_once = [header, &large].concat();
            let came = said(address, &[&at_once]).await;
            assert!(came == large, "{} bytes", came.len());
            let bytes: Vec<&[u8]> = header.chunks(1).chain([LINE]).collect();
            assert_eq!(said(address, &bytes).await, LINE);
            assert_eq!(said(address, &[header]).await, b"");
        }
        for none in [
            &b"GET / HTTP/1.1\r\n\r\n"[..],
            b"PROXY nonsense\r\nx",
            b"",
            &LINE[..20],
        ] {
            assert_eq!(said(address, &[none]).await, b"");
        }
    };
    tokio::join!(silent, others);
}

/// An app of the asyncio example.
fn coroutines() -> App {
    let script = Language::Python.client().join("example_asyncio_worker.py");
    let script = script.display().to_string();
    App::new("web", [Language::Python.interpreter(), &script])
        .set("ready", "sdk")
        .set("env", json!({"PYTHONDONTWRITEBYTECODE": "1"}))
        .unwatched()
}

#[tokio::test]
async fn a_worker_that_drains_serves_those_whose_headers_come_in_time() {
    let (_fleet, address, worker) = orphaned(coroutines()).await;
    let begin = || async {
        let mut stream = TcpStream::connect(address).await.expect("it listens");
        stream.write_all(&LINE[..20]).await.expect("sent");
        stream
    };
    let (mut late, mut silent) = (begin().await, begin().await);
    // Who came before was accepted before.
    let answer = said(address, &[LINE, REQUEST]).await;
    assert!(answer.starts_with(b"HTTP/1.1 200"));
    kill_process(worker, Signal::TERM).expect("it lives");
    let begun = Instant::now();
    let accepts_none = async { while TcpStream::connect(address).await.is_ok() {} };
    deadline("it to drain", PATIENCE, accepts_none).await;
    late.write_all(&[&LINE[20..], REQUEST].concat())
        .await
        .expect("sent");
    let mut answer = Vec::new();
    let read = deadline("an answer", PATIENCE, late.read_to_end(&mut answer)).await;
    read.expect("no reset");
    assert!(answer.starts_with(b"HTTP/1.1 200"));
    let end = deadline("the end", PATIENCE, silent.read_u8()).await;
    assert!(end.is_err(), "it is sent away");
    assert!(begun.elapsed() < 2 * IN_TIME, "{:?}", begun.elapsed());
}

#[tokio::test]
async fn in_coroutines_headers_are_taken_off_too() {
    let (_fleet, address, _) = orphaned(coroutines()).await;
    let client = binary([0x21, 0x11], &[7; 12]);
    let silent = TcpStream::connect(address).await.expect("connected");
    for cut in 0..=client.len() {
        let (first, rest) = client.split_at(cut);
        let answer = said(address, &[first, rest, REQUEST]).await;
        let answer = String::from_utf8(answer).expect("text");
        // The header has what would be the end of another request.
        assert_eq!(answer.matches("HTTP/1.1 200").count(), 1, "{answer}");
    }
    drop(silent);
}
