//! Reads a connection's frames and feeds them to the core.
//!
//! A read buffer is taken when there is something to read and given back when there is nothing: an idle connection holds
//! none. What follows an incomplete frame is waited for in memory of its own size.

use std::{io, time::Instant};

use bytes::{Buf, Bytes};

use super::shell::{Link, READ_BYTES, Shell};

/// Memory reserved for a large frame before its bytes have come: more is taken as it fills.
const AHEAD_BYTES: usize = 256 << 10;

/// An incomplete frame waits in memory of its own if it is shorter than this.
const SMALL_REST: usize = 16 << 10;

/// Reads until the connection ends, and says why it did.
pub(super) async fn read(shell: &Shell, link: &Link) -> String {
    let mut buffer = Vec::new();
    loop {
        match read_once(shell, link, &mut buffer).await {
            Ok(Read::More) => tokio::task::yield_now().await,
            Ok(Read::Nothing) => park(shell, &mut buffer),
            Ok(Read::Closing) => return "closed by the hub".into(),
            Ok(Read::End) => return "the peer closed the connection".into(),
            Err(e) => return format!("reading failed: {e}"),
        }
    }
}

/// What a reading found, and so what comes next.
enum Read {
    /// There may be more.
    More,
    /// There is no more just now.
    Nothing,
    End,
    Closing,
}

async fn read_once(shell: &Shell, link: &Link, buffer: &mut Vec<u8>) -> io::Result<Read> {
    link.stream.readable().await?;
    make_room(shell, link, buffer);
    let room = buffer.capacity() - buffer.len();
    let after = match link.stream.read(buffer).await {
        Ok(0) => return Ok(Read::End),
        Ok(read) if link.stream.is_drained(read, room) => Read::Nothing,
        Ok(_) => Read::More,
        Err(e) if e.kind() == io::ErrorKind::WouldBlock => return Ok(Read::Nothing),
        Err(e) if e.kind() == io::ErrorKind::Interrupted => return Ok(Read::More),
        Err(e) => return Err(e),
    };
    loop {
        let whole = match shell.ask(|core| core.scan(link.id, buffer)) {
            Ok(scan) => scan.whole,
            Err(error) => {
                shell.step(|core| core.broken(Instant::now(), link.id, error));
                return Ok(Read::Closing);
            }
        };
        if whole == 0 {
            return Ok(after);
        }
        let rest = buffer.split_off(whole);
        let mut input = Bytes::from(std::mem::take(buffer));
        if !feed(shell, link, &mut input).await {
            return Ok(Read::Closing);
        }
        *buffer = again(input, rest);
    }
}

/// Feeds whole frames to the core; false if the connection is to end.
async fn feed(shell: &Shell, link: &Link, input: &mut Bytes) -> bool {
    while !input.is_empty() {
        let taken = shell.step(|core| core.receive(Instant::now(), link.id, input));
        let Some(taken) = taken else { return false };
        input.advance(taken);
        if shell.ask(|core| core.is_closing(link.id)) {
            return false;
        }
        // What it asked for must be read by it first; its writer tells when there is room.
        while shell.ask(|core| core.is_clogged(link.id)) {
            link.wake_reader.rung().await;
        }
    }
    true
}

/// The memory of an input that was taken, if nothing keeps it, for what comes after `rest`.
fn again(input: Bytes, rest: Vec<u8>) -> Vec<u8> {
    if !input.is_unique() {
        return rest;
    }
    let mut buffer = Vec::from(input);
    buffer.clear();
    buffer.extend_from_slice(&rest);
    buffer
}

/// Gives the buffer room to read into: for the rest of a large frame, or for many small ones.
fn make_room(shell: &Shell, link: &Link, buffer: &mut Vec<u8>) {
    if buffer.is_empty() && !link.stream.waits_with_buffer() {
        if buffer.capacity() == 0 {
            *buffer = shell.take_spare();
        }
        // Takes the same memory again if nothing keeps what was read into it.
        buffer.reserve(READ_BYTES);
        return;
    }
    let next = shell
        .ask(|core| core.scan(link.id, buffer))
        .map_or(0, |scan| scan.next);
    let missing = next.saturating_sub(buffer.len()).min(AHEAD_BYTES);
    // In memory, the buffer is held while waiting: a small one.
    let usual = if link.stream.waits_with_buffer() {
        4 << 10
    } else if buffer.capacity() - buffer.len() < 4 << 10 {
        READ_BYTES
    } else {
        1
    };
    buffer.reserve(missing.max(usual));
}

/// Nothing is there to read: gives the buffer back.
fn park(shell: &Shell, buffer: &mut Vec<u8>) {
    if buffer.is_empty() {
        if buffer.capacity() > 0 {
            shell.give_spare(std::mem::take(buffer));
        }
    } else if buffer.len() < SMALL_REST {
        let rest = buffer.clone();
        let mut whole = std::mem::replace(buffer, rest);
        whole.clear();
        shell.give_spare(whole);
    }
}
