//! The ceiling as a broker: a relay that parses nothing, in a process of its own.

use std::{io::Read, os::unix::net::UnixListener};

use crate::bench::{relay::hand_on, roles::end_with_stdin};

/// A role: waits on a socket for one publisher and so many subscribers, tells them that all are there, and relays.
pub(super) fn play(args: &[String]) -> Result<(), String> {
    let [socket, subscribers] = args else {
        return Err("usage: SOCKET SUBSCRIBERS".into());
    };
    end_with_stdin();
    let subscribers: usize = subscribers
        .parse()
        .map_err(|_| "SUBSCRIBERS is no number")?;
    let failed = |e: std::io::Error| e.to_string();
    let listener = UnixListener::bind(socket).map_err(failed)?;
    println!("listening");
    let (mut from, mut to) = (None, Vec::new());
    while from.is_none() || to.len() < subscribers {
        let (mut stream, _) = listener.accept().map_err(failed)?;
        let mut what = [0];
        stream.read_exact(&mut what).map_err(failed)?;
        match &what {
            b"p" => from = Some(stream),
            _ => to.push(stream),
        }
    }
    let from = from.ok_or("no publisher")?;
    for mut stream in to.iter().chain([&from]) {
        std::io::Write::write_all(&mut stream, b"!").map_err(failed)?;
    }
    hand_on(from, to)
}
