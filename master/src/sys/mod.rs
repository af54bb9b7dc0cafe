//! The only room with `unsafe`: what the kernel offers and the standard library doesn't, behind owned and borrowed
//! descriptors. Everything here is small, synchronous unless it says otherwise, and knows nothing of apps or workers.

mod cgroup;
mod cores;
mod fd_table;
mod fds;
mod heap;
mod nofile;
mod packets;
mod passed;
mod pidfd;
mod reaper;
mod reuseport;
mod scheduling;
mod scm;
mod signalfd;
mod signals;
mod sockopt;
mod text;
mod twin;
mod wall_clock;
mod watch_fd;

pub(crate) use cgroup::own_v2;
pub use cgroup::{quota_v1, quota_v2};
pub use cores::{allowed_cores, available_cores};
pub use fd_table::{FdTable, NameTaken};
pub(crate) use fds::{close, close_from, close_others, move_to, null_stdin, place_at};
pub use heap::release_heap;
pub use nofile::{OpenFiles, raise_open_files, set_soft_open_files};
pub(crate) use packets::receive_packets;
pub(crate) use passed::take_passed_socket;
pub(crate) use pidfd::kill_child;
pub use pidfd::{Ended, group_of, kill_group, peek, pidfd_open, reap, send_signal};
pub use reaper::{adopt_orphans, children, reap_children};
pub(crate) use reuseport::{Instruction, choose_by};
pub(crate) use scheduling::{Scheduling, io_priority, scheduling};
pub use scm::{FDS_PER_MESSAGE, receive_fds, send_fds};
pub(crate) use scm::{receive_what_fits, receive_with_fds, send_with_fds};
pub use signalfd::{Arrived, Signals};
pub(crate) use signals::reset_signals;
pub use signals::signal_name;
pub(crate) use sockopt::{option, set_option};
pub use text::release_text;
pub(crate) use twin::{Twin, twin};
pub use wall_clock::WallClock;
pub use watch_fd::watch_fd;
