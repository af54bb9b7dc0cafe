//! What it costs the master to accept a connection and hand it to a worker, beside a master that does nothing else: `poll`,
//! `accept`, `sendmsg`, `close`, in turns, without an account of anything.
//!
//! Both are measured by the processor time of the one thread that does it, under the same load.

use std::{
    io::{self, IoSlice, IoSliceMut, Read, Write},
    mem::MaybeUninit,
    net::{SocketAddr, TcpListener, TcpStream},
    os::fd::{AsFd, OwnedFd},
    process::{Child, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use rustix::{
    event::{PollFd, PollFlags, poll},
    net::{
        AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
        SendAncillaryMessage, SendFlags, SocketFlags, SocketType, recvmsg, sendmsg, socketpair,
    },
    time::{ClockId, clock_gettime},
};
use tokio::runtime::Runtime;

use super::{Ours, app};
use crate::{
    bench::{Contest, Results, roles},
    load::{Load, Plan},
};

const ROUNDS: usize = 5;

const WORKERS: u32 = 4;

/// Clients at once.
const CLIENTS: usize = 16;

/// Connections in one turn.
const CONNECTIONS: u64 = 5_000;

const CONTROL: usize = rustix::cmsg_space!(ScmRights(1));

const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok";

/// Both, in turns: `naive` and `ostler`.
///
/// # Errors
/// If a request is lost, or a master doesn't start.
pub fn measure(runtime: &Runtime, ostler: &str) -> Result<Results, String> {
    let ours = Ours::start(runtime, ostler, &app("balanced", WORKERS)?, WORKERS)?;
    Contest::new(
        "Handing over a connection: the master's processor time",
        "µs",
    )
    .with("naive", || naive(runtime))
    .with("ostler", || by_ostler(runtime, &ours))
    .run(ROUNDS)
}

/// Asks for so many connections; gives how many were answered.
fn load(runtime: &Runtime, address: SocketAddr) -> Result<u64, String> {
    let plan = Plan::to(address).connections(CLIENTS).requests(CONNECTIONS);
    let tally = runtime.block_on(Load::start(plan)?.finish());
    match tally.lost() {
        0 => Ok(tally.answered),
        _ => Err(tally.to_string()),
    }
}

fn by_ostler(runtime: &Runtime, ours: &Ours) -> Result<f64, String> {
    let before = ours.master().thread_nanos("balance")?;
    let answered = load(runtime, ours.address)?;
    let spent = ours.master().thread_nanos("balance")? - before;
    Ok(spent as f64 / 1e3 / answered as f64)
}

/// The naive master, for one turn.
fn naive(runtime: &Runtime) -> Result<f64, String> {
    let listener = TcpListener::bind("127.0.0.1:0").map_err(|error| error.to_string())?;
    let address = listener.local_addr().map_err(|error| error.to_string())?;
    let mut workers = Vec::new();
    let mut channels = Vec::new();
    for _ in 0..WORKERS {
        let (worker, channel) = start_worker()?;
        workers.push(worker);
        channels.push(channel);
    }
    let over = Arc::new(AtomicBool::new(false));
    let stop = Arc::clone(&over);
    let master = std::thread::spawn(move || hand_over(&listener, &channels, &stop));
    let answered = load(runtime, address);
    over.store(true, Ordering::Relaxed);
    // Wakes it.
    drop(TcpStream::connect(address));
    let time = master.join().map_err(|_| "the naive master panicked")?;
    for mut worker in workers {
        worker.wait().map_err(|error| error.to_string())?;
    }
    let time = time.map_err(|error| error.to_string())?;
    Ok(time.as_secs_f64() * 1e6 / answered? as f64)
}

/// This program as a worker, with its channel as standard input.
fn start_worker() -> Result<(Child, OwnedFd), String> {
    let flags = SocketFlags::CLOEXEC;
    let (ours, theirs) = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)
        .map_err(|error| error.to_string())?;
    let words = roles::command("take-what-comes")?;
    let worker = Command::new(&words[0])
        .args(&words[1..])
        .stdin(Stdio::from(theirs))
        .spawn()
        .map_err(|error| error.to_string())?;
    Ok((worker, ours))
}

/// Accepts and hands over, in turns; gives the processor time that it took.
fn hand_over(
    listener: &TcpListener,
    channels: &[OwnedFd],
    over: &AtomicBool,
) -> io::Result<Duration> {
    listener.set_nonblocking(true)?;
    let mut turns = channels.iter().cycle();
    loop {
        let connection = match listener.accept() {
            Ok((connection, _)) => connection,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                poll(&mut [PollFd::new(listener, PollFlags::IN)], None)?;
                continue;
            }
            Err(error) => return Err(error),
        };
        if over.load(Ordering::Relaxed) {
            let time = clock_gettime(ClockId::ThreadCPUTime);
            return Ok(Duration::new(
                time.tv_sec.unsigned_abs(),
                time.tv_nsec as u32,
            ));
        }
        let mut space = [MaybeUninit::uninit(); CONTROL];
        let mut control = SendAncillaryBuffer::new(&mut space);
        let fds = [connection.as_fd()];
        control.push(SendAncillaryMessage::ScmRights(&fds));
        if let Some(channel) = turns.next() {
            sendmsg(
                channel,
                &[IoSlice::new(&[0])],
                &mut control,
                SendFlags::NOSIGNAL,
            )?;
        }
    }
}

/// A role, of the naive master's workers: answers one request of each connection that comes, until no more can.
pub(super) fn take(_: &[String]) -> Result<(), String> {
    take_all().map_err(|error| error.to_string())
}

fn take_all() -> io::Result<()> {
    let channel = io::stdin();
    loop {
        let mut byte = [0];
        let mut space = [MaybeUninit::uninit(); CONTROL];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let mut into = [IoSliceMut::new(&mut byte)];
        let received = recvmsg(&channel, &mut into, &mut control, RecvFlags::CMSG_CLOEXEC)?;
        if received.bytes == 0 {
            return Ok(());
        }
        for message in control.drain() {
            if let RecvAncillaryMessage::ScmRights(rights) = message {
                for connection in rights {
                    // A client that went is no loss of the benchmark's.
                    let _gone = answer(TcpStream::from(connection));
                }
            }
        }
    }
}

fn answer(mut connection: TcpStream) -> io::Result<()> {
    let mut request = [0; 1024];
    let _length = connection.read(&mut request)?;
    connection.write_all(ANSWER)
}
