//! Every order in which threads may come to what they share: handles, readers and the owning task as they are, with
//! [loom](https://docs.rs/loom)'s locks in place of the system's. A wake-up that is lost is a deadlock, and found as one.
//!
//! tokio's own primitives are left as they are: each of their operations counts as one step. Time stands still, so what
//! should have been woken is never saved by a timeout.
//!
//! ```text
//! $ cargo test --package ostler-bus --lib --features explore explored
//! ```

mod outbox;
mod queue;
mod reconnect;
mod request;
pub(super) mod sync;
mod wire;

use std::{
    future::Future,
    pin::pin,
    sync::Arc,
    task::{Context, Poll, Wake, Waker},
    time::Duration,
};

use bytes::BytesMut;

use self::wire::{Wire, Written};
use super::{
    connection::{Connection, Ended},
    handle::{Bus, Handle},
    link::Link,
    options::ConnectOptions,
    receive::Receiver,
};
use crate::wire::hello::{Codec, Welcome, WelcomeLimits};

/// Of a thread, in words: what runs in them is whole polls of a connection, unoptimized.
const STACK_WORDS: usize = 64 << 10;

/// How often a thread may be interrupted where it need not wait. What goes wrong at all goes wrong with two, nearly always.
const PREEMPTIONS: usize = 2;

/// The longest that one test may explore; on a machine that isn't busy all are through with every order long before.
const AT_MOST: Duration = Duration::from_secs(12);

/// Tries all orders in which the threads that `play` spawns may run.
fn explore(play: impl Fn() + Send + Sync + 'static) {
    // For timers, which nothing drives.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .expect("a runtime");
    let _entered = runtime.enter();
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(PREEMPTIONS);
    model.max_duration = Some(AT_MOST);
    model.max_branches = 10_000;
    // How often it looks at the clock.
    model.checkpoint_interval = 500;
    let play = Arc::new(play);
    model.check(move || {
        let play = Arc::clone(&play);
        join(spawn(move || play()));
    });
}

fn spawn<T: Send + 'static>(
    run: impl FnOnce() -> T + Send + 'static,
) -> loom::thread::JoinHandle<T> {
    let thread = loom::thread::Builder::new().stack_size(STACK_WORDS);
    thread.spawn(run).expect("a thread")
}

fn join<T>(thread: loom::thread::JoinHandle<T>) -> T {
    thread.join().expect("it ends well")
}

/// Wakes a thread. Unlike loom's own waker, cloning and dropping one is no step: tokio does so with its locks taken.
struct Sleeper(loom::sync::Notify);

impl Wake for Sleeper {
    fn wake(self: Arc<Self>) {
        self.0.notify();
    }
}

fn block_on<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    let sleeper = Arc::new(Sleeper(loom::sync::Notify::new()));
    let waker = Waker::from(Arc::clone(&sleeper));
    let mut cx = Context::from_waker(&waker);
    loop {
        match future.as_mut().poll(&mut cx) {
            Poll::Ready(done) => return done,
            Poll::Pending => sleeper.0.wait(),
        }
    }
}

fn welcome() -> Welcome {
    Welcome {
        proto: 1,
        codec: Codec::Postcard,
        hub: "test".into(),
        conn: 1,
        life: "1".into(),
        token: None,
        limits: WelcomeLimits {
            payload: 1 << 10,
            control: 1 << 10,
            subscriptions: 8,
        },
        ping_ms: 0,
        ext: serde_json::Map::new(),
    }
}

/// A client with so much room for what is to be written.
fn client(outgoing_bytes: usize) -> Arc<Link> {
    let mut options = ConnectOptions::client("explored");
    options.outgoing_bytes = outgoing_bytes;
    Link::new(welcome(), options, "the test".into())
}

fn handle(link: &Arc<Link>) -> Bus {
    let link = Arc::clone(link);
    Bus {
        handle: Arc::new(Handle { link }),
    }
}

/// Drives one connection to its end, over `wire`.
fn connect(link: &Arc<Link>, receiver: &mut Receiver, wire: Wire) -> Ended {
    let link = Arc::clone(link);
    block_on(Connection::new(link, receiver, Box::new(wire), BytesMut::new()).run())
}

/// Emits events on `topic`, numbered from 0.
fn emit(bus: &Bus, topic: &str, count: u8) {
    for n in 0..count {
        block_on(bus.emit_bytes(topic, vec![n])).expect("there will be room");
    }
}

/// Checks that each topic's events came to the hub, all in order, each once.
fn assert_written(written: &Written, topics: &[&str], count: u8) {
    for topic in topics {
        let got = written.events_on(topic);
        assert_eq!(got, (0..count).collect::<Vec<u8>>(), "on {topic:?}");
    }
}
