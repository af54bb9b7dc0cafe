//! A blocking HTTP server on an address of its own, which is well from one moment of its life to another.

use std::{
    io::{Read, Write},
    net::TcpListener,
    os::unix::net::UnixListener,
    process::ExitCode,
    time::{Duration, Instant},
};

use crate::life;

/// Serves until asked to go.
pub(super) fn serve(address: &str, from: Duration, to: Duration) -> Result<ExitCode, String> {
    let asked = life::signals();
    let born = Instant::now();
    let told = |error: std::io::Error| format!("{address}: {error}");
    let status = move || match (from..to).contains(&born.elapsed()) {
        true => "200 OK",
        false => "503 Service Unavailable",
    };
    match address.strip_prefix("unix:") {
        Some(path) => {
            let listener = UnixListener::bind(path).map_err(told)?;
            std::thread::spawn(move || {
                listener
                    .incoming()
                    .flatten()
                    .for_each(|peer| answer(peer, status()));
            });
        }
        None => {
            let listener = TcpListener::bind(address).map_err(told)?;
            std::thread::spawn(move || {
                listener
                    .incoming()
                    .flatten()
                    .for_each(|peer| answer(peer, status()));
            });
        }
    }
    println!("listening on {address}");
    life::until_asked(&asked);
    Ok(ExitCode::SUCCESS)
}

/// Answers one request; what the peer does is its own affair.
fn answer(mut peer: impl Read + Write, status: &str) {
    let mut request = [0; 4096];
    if peer.read(&mut request).is_ok_and(|count| count > 0) {
        let text = format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
        peer.write_all(text.as_bytes()).ok();
    }
}
