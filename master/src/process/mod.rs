//! Workers as processes: how one is started, what it is given, what it says, and how its end is told.
//!
//! A worker is started through a **shim**, a process of this very program: ordinary single-threaded code, that receives the
//! [`SpawnSpec`] and the descriptors over a socketpair, prepares itself and becomes the worker. What fails on the way
//! comes back over that socketpair; its end of file without a word of failure means that the exec succeeded.
//!
//! The shim is a copy of the [zygote], which waits for nothing else ([`zygote_main`]), and the master's child from the first.
//! Where there can be no zygote the program itself is executed, under the hidden subcommand `__exec` ([`exec_shim_main`]).
//! Either way nothing of the master's runs between a fork and an exec.
//!
//! ```text
//! Spawner::spawn ─► zygote ─ twin ─► shim ── exec ──► worker
//!       │ spec, descriptors ─────► │                 │ stdout, stderr ─► output::capture ─► LineQueue ─► log thread
//!       │ ◄── "about to exec", failure, or EOF       │ datagrams ──────► NotifySocket
//!       └─ Child (pidfd) ◄────────────────────────── end
//! ```
//!
//! [`Child`] watches by pidfd and, at the end, kills what is left of the worker's process group and session *before* it
//! reaps: until then their number can't belong to strangers. What has left the session is found by its mark ([`kin`]).

mod attributes;
mod candidates;
mod cgroup;
mod child;
mod clip;
mod drainer;
mod environment;
mod exit_hint;
pub mod family;
mod handshake;
mod kin;
mod memory;
mod notify;
mod output;
mod releases;
mod shim;
mod spawn_error;
mod spawner;
mod spec;
mod stdin;
mod zygote;

pub use attributes::Attributes;
pub use cgroup::{Cgroups, WorkerGroup};
pub use child::Child;
pub use drainer::{DRAIN_COMMAND, drain, drain_main};
pub use environment::{Gifts, Identity, environment, spawn_spec};
pub use exit_hint::exit_hint;
pub use kin::Cleared;
pub use memory::{cpu_time, resident_memory};
pub use notify::{Notification, NotifyError, NotifySocket, parse_notifications};
pub(crate) use output::stamp;
pub use output::{
    FileSink, LINE_BYTES, LineBook, LineQueue, LogFiles, LogItem, LogReceiver, LogWriter, Outlet,
    Outlets, Output, OutputEnd, OutputLine, SLOT_BYTES, Stream, Streams, TAIL_LINES, WantedLines,
    capture, line_queue, render_human, render_json, write_log,
};
pub use releases::Releases;
pub use shim::{SHIM_COMMAND, exec_shim_main};
pub use spawn_error::SpawnError;
pub use spawner::{HANDSHAKE_TIMEOUT, Spawned, Spawner};
pub use spec::{Failure, SpawnSpec, StdinFrom};
pub use stdin::{NotTaken, STDIN_LINE, StdinLines};
pub use zygote::{ZYGOTE_COMMAND, zygote_main};
