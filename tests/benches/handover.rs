//! `cargo bench -p ostler-tests --bench handover`: what it costs the master to accept a connection and hand it to a worker,
//! beside a master that does nothing else: `poll`, `accept`, `sendmsg`, `close`, in turns, without an account of anything.
//!
//! Both are measured by the processor time of the one thread that does it, under the same load. Goal: at most 1.2 times.

use std::{
    io::{self, IoSlice, IoSliceMut, Read, Write},
    mem::MaybeUninit,
    net::{SocketAddr, TcpListener, TcpStream},
    os::fd::{AsFd, OwnedFd},
    process::{Child, Command, ExitCode, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use ostler_bus::vocab::status::StatusReport;
use ostler_tests::{
    bench::Contest,
    harness::{App, Fleet},
    load::{Load, Plan},
    ostler,
};
use rustix::{
    event::{PollFd, PollFlags, poll},
    net::{
        AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
        SendAncillaryMessage, SendFlags, SocketFlags, SocketType, recvmsg, sendmsg, socketpair,
    },
    time::{ClockId, clock_gettime},
};
use serde_json::json;
use tokio::runtime::{Builder, Runtime};

const ROUNDS: usize = 5;

const WORKERS: u32 = 4;

/// Clients at once.
const CLIENTS: usize = 16;

/// Connections in one turn.
const CONNECTIONS: u64 = 5_000;

/// The naive master's workers are this program, with this argument and their channel as standard input.
const SERVE: &str = "serve-what-comes";

const CONTROL: usize = rustix::cmsg_space!(ScmRights(1));

const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok";

fn main() -> ExitCode {
    let done = match std::env::args().nth(1).as_deref() {
        Some(SERVE) => serve().map_err(|error| error.to_string()),
        _ => measure(),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("error: {why}");
            ExitCode::FAILURE
        }
    }
}

fn measure() -> Result<(), String> {
    let runtime = Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| error.to_string())?;
    let fleet = runtime.block_on(balanced());
    let contest = Contest::new(
        "Handing over a connection: the master's processor time",
        "µs",
    )
    .with("naive", || naive(&runtime))
    .with("ostler", || by_ostler(&runtime, &fleet));
    println!("{}", contest.run(ROUNDS)?);
    Ok(())
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

async fn balanced() -> Fleet {
    let app = App::new("web", [env!("CARGO_BIN_EXE_sdk_worker"), "version"])
        .instances(WORKERS)
        .set(
            "listen",
            json!({"http": {"address": "127.0.0.1:0", "mode": "balanced"}}),
        )
        .unwatched();
    let master = ostler!().with("version", "1").apps(&[app]);
    let fleet = Fleet::ready(master, WORKERS as usize).await;
    let plan = Plan::to(fleet.address().await).requests(100);
    fleet.load_with(plan).await.finish().await;
    let taking = |status: &StatusReport| {
        let balance = status.apps[0].sockets[0].balance.as_ref();
        balance.is_some_and(|balance| balance.workers.len() == WORKERS as usize)
    };
    fleet.until("all workers to take connections", taking).await;
    fleet
}

fn by_ostler(runtime: &Runtime, fleet: &Fleet) -> Result<f64, String> {
    let address = runtime.block_on(fleet.address());
    let before = time_of_thread(fleet.process.id(), "balance")?;
    let answered = load(runtime, address)?;
    let after = time_of_thread(fleet.process.id(), "balance")?;
    Ok(micros(after - before, answered))
}

/// The processor time of a process's thread of this name.
fn time_of_thread(pid: u32, name: &str) -> Result<Duration, String> {
    let missing = || format!("process {pid} has no thread {name:?}");
    let threads = std::fs::read_dir(format!("/proc/{pid}/task")).map_err(|e| e.to_string())?;
    for thread in threads.flatten() {
        let read = |what| std::fs::read_to_string(thread.path().join(what));
        if read("comm").is_ok_and(|comm| comm.trim() == name) {
            let times = read("schedstat").map_err(|e| e.to_string())?;
            let nanos = times.split(' ').next().and_then(|n| n.parse().ok());
            return nanos.map(Duration::from_nanos).ok_or_else(missing);
        }
    }
    Err(missing())
}

fn micros(time: Duration, connections: u64) -> f64 {
    time.as_secs_f64() * 1e6 / connections as f64
}

/// The naive master, for one turn.
fn naive(runtime: &Runtime) -> Result<f64, String> {
    let listener = TcpListener::bind("127.0.0.1:0").map_err(|error| error.to_string())?;
    let address = listener.local_addr().map_err(|error| error.to_string())?;
    let mut workers = Vec::new();
    let mut channels = Vec::new();
    for _ in 0..WORKERS {
        let (worker, channel) = start_worker().map_err(|error| error.to_string())?;
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
    Ok(micros(time.map_err(|error| error.to_string())?, answered?))
}

fn start_worker() -> io::Result<(Child, OwnedFd)> {
    let flags = SocketFlags::CLOEXEC;
    let (ours, theirs) = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)?;
    let worker = Command::new(std::env::current_exe()?)
        .arg(SERVE)
        .stdin(Stdio::from(theirs))
        .spawn()?;
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

/// Answers one request of each connection that comes, until no more can.
fn serve() -> io::Result<()> {
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
