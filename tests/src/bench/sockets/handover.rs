//! What it costs the master to accept a connection and hand it to a worker, beside a master that does nothing else: `poll`,
//! `accept`, `sendmsg`, `close`, in turns, without an account of anything.
//!
//! Both are measured by the processor time of the one thread that does it, under the same load and with the same service in the
//! workers: how often the thread must wait and be woken depends on them.

use std::{
    io::{self, IoSlice, IoSliceMut},
    mem::MaybeUninit,
    net::{SocketAddr, TcpListener, TcpStream},
    os::{
        fd::{AsFd, OwnedFd},
        unix::net::UnixStream,
    },
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
use tokio::{io::Interest, runtime::Runtime, sync::Notify};

use super::{
    Ours, app,
    service::{router, runtime},
};
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

/// A role, of the naive master's workers: serves what comes as those of Ostler do, until nothing more can.
pub(super) fn take(_: &[String]) -> Result<(), String> {
    let ended = Arc::new(Notify::new());
    let serve = async {
        // No stream, but waited for as one.
        let channel = UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?);
        channel.set_nonblocking(true)?;
        let came = Came {
            channel: tokio::net::UnixStream::from_std(channel)?,
            ended: Arc::clone(&ended),
        };
        tokio::select! {
            served = axum::serve(came, router(0)) => served,
            () = ended.notified() => Ok(()),
        }
    };
    let served = runtime()?.block_on(serve);
    served.map_err(|error| error.to_string())
}

/// Connections as they come by a channel.
struct Came {
    channel: tokio::net::UnixStream,
    ended: Arc<Notify>,
}

impl axum::serve::Listener for Came {
    type Io = tokio::net::TcpStream;
    type Addr = ();

    async fn accept(&mut self) -> (Self::Io, ()) {
        loop {
            let channel = &self.channel;
            match channel
                .async_io(Interest::READABLE, || receive(channel))
                .await
            {
                Ok(Some(connection)) => return (connection, ()),
                // A client that went is no loss of the benchmark's.
                Err(error) if error.kind() == io::ErrorKind::InvalidInput => {}
                Ok(None) | Err(_) => {
                    self.ended.notify_one();
                    return std::future::pending().await;
                }
            }
        }
    }

    fn local_addr(&self) -> io::Result<()> {
        Ok(())
    }
}

/// The next connection; `None` at the end of the channel.
fn receive(channel: impl AsFd) -> io::Result<Option<tokio::net::TcpStream>> {
    let mut byte = [0];
    let mut space = [MaybeUninit::uninit(); CONTROL];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut into = [IoSliceMut::new(&mut byte)];
    recvmsg(channel, &mut into, &mut control, RecvFlags::CMSG_CLOEXEC)?;
    let connection = control.drain().find_map(|message| match message {
        RecvAncillaryMessage::ScmRights(mut rights) => rights.next(),
        _ => None,
    });
    let Some(connection) = connection else {
        return Ok(None);
    };
    let connection = TcpStream::from(connection);
    connection.set_nonblocking(true)?;
    connection.set_nodelay(true)?;
    tokio::net::TcpStream::from_std(connection).map(Some)
}
