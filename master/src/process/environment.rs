//! What a worker finds in its environment and in its arguments.
//!
//! | name | value |
//! |---|---|
//! | `LISTEN_FDS`, `LISTEN_FDNAMES`, `LISTEN_PID` | the declared sockets, from descriptor 3 on, as systemd hands them over; absent without sockets |
//! | `NOTIFY_SOCKET` | where to say `READY=1` and the rest of sd_notify |
//! | `WATCHDOG_USEC`, `WATCHDOG_PID` | how often to say `WATCHDOG=1`, where the app has a `watchdog` |
//! | `OSTLER_APP`, `OSTLER_SLOT`, `OSTLER_WORKER_ID`, `OSTLER_GENERATION` | which worker this is |
//! | `OSTLER_MASTER_PID` | its master: with the worker's id, the mark by which what it leaves behind is recognised |
//! | `OSTLER_BUS` | the path of the bus socket |
//! | `OSTLER_BUS_FD` | a connected bus socket, on the descriptor after the declared sockets |
//! | `OSTLER_HANDOVER` | `http=6:admin=7`: the channels by which connections to these sockets may come, on the descriptors after the bus |
//! | `OSTLER_PROXY_PROTOCOL` | `http:admin`: the sockets whose connections begin with a header that the app doesn't want to see |
//! | `OSTLER_PASSING` | the channel by which descriptors travel, on the descriptor after those |
//! | `USER`, `LOGNAME`, `HOME` | those of the app's `user`, if it names one; the app's own value wins |
//! | `OSTLER_COUNT_REQUESTS` | 1: the master wants to hear how much it has served (`max_requests`, `idle_timeout`) |
//! | `OSTLER_FD_NAME` | the descriptor of the file NAME of the app's `fds`, in capitals, `-` as `_` |
//! | `EINHORN_FD_COUNT`, `EINHORN_FD_0` …, `EINHORN_FDS` | the same sockets, as Einhorn hands them over |
//! | `NODE_APP_INSTANCE` | the slot, as PM2 has it; the app's own value wins |
//! | `PORT` | the port, if exactly one TCP socket is declared; the app's own value wins |
//!
//! In arguments and in the app's own variables `{slot}`, `{id}`, `{fd:NAME}` (a socket or a file) and `{port:NAME}` are replaced; anything else
//! in braces is left as it is.

use std::{
    collections::BTreeMap,
    ffi::{OsStr, OsString},
    os::unix::ffi::OsStrExt,
    path::Path,
};

use ostler_bus::{Generation, Slot, WorkerId};
use ostler_worker_sdk::{handover, passing, proxy_protocol};

use super::{
    Attributes, SpawnSpec, StdinFrom,
    kin::{MASTER_PID, WORKER_ID},
    spec::FIRST_FD,
};
use crate::{
    config::app::{
        AppDefinition, AppName,
        given::{FileMode, Stdin},
        process::{Affinity, LimitKind},
    },
    sockets::BoundSocket,
    sys,
};

/// Which worker it is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Identity {
    /// Its app.
    pub app: AppName,
    /// Its slot.
    pub slot: Slot,
    /// Its id.
    pub id: WorkerId,
    /// Its generation.
    pub generation: Generation,
}

/// What a worker is given besides what its app's definition says.
#[derive(Clone, Copy, Debug, Default)]
pub struct Gifts<'a> {
    /// Its sockets, in the order of their descriptors, the first of which is 3.
    pub sockets: &'a [&'a BoundSocket],
    /// The sockets whose ports it is told: for a worker its own, for a command beside it the worker's.
    pub ports: &'a [&'a BoundSocket],
    /// Its notify socket.
    pub notify: Option<&'a Path>,
    /// The bus socket's path.
    pub bus: Option<&'a Path>,
    /// Whether a connected bus socket follows the sockets.
    pub bus_fd: bool,
    /// Whether channels follow the bus: one for each socket whose connections may be handed over, in their order.
    pub channels: bool,
    /// Whether the channel by which descriptors travel follows those.
    pub passing: bool,
    /// The directory of its control group.
    pub cgroup: Option<&'a Path>,
}

impl<'a> Gifts<'a> {
    /// The sockets that have a channel each.
    fn handing_over(self) -> impl Iterator<Item = &'a BoundSocket> {
        let sockets = self.sockets.iter().filter(move |_| self.channels);
        sockets.copied().filter(|socket| socket.hands_over())
    }
}

/// The order to start a worker. `base` is the master's own environment; `open_files` is the soft limit it was started
/// with. Beside it go the sockets, then the connected bus socket if there is one, then the channels, and the one for descriptors.
#[must_use]
pub fn spawn_spec(
    base: impl IntoIterator<Item = (OsString, OsString)>,
    app: &AppDefinition,
    who: &Identity,
    gifts: Gifts<'_>,
    open_files: Option<u64>,
) -> SpawnSpec {
    let mut command = arguments(app, who, gifts).into_iter();
    SpawnSpec {
        program: command.next().unwrap_or_default(),
        args: command.collect(),
        env: environment(base, app, who, gifts)
            .into_iter()
            .chain(app.life.watchdog.map(|time| {
                let micros = time.as_micros().to_string();
                ("WATCHDOG_USEC".into(), micros.into())
            }))
            .chain(
                app.recycle
                    .counts_requests()
                    .then(|| ("OSTLER_COUNT_REQUESTS".into(), "1".into())),
            )
            .collect(),
        listen_pid: app.listen_pid && !gifts.sockets.is_empty(),
        watchdog_pid: app.listen_pid && app.life.watchdog.is_some(),
        open_files: match app.process.limits.contains_key(&LimitKind::Nofile) {
            true => None,
            false => open_files,
        },
        attributes: attributes(app, who, gifts.cgroup),
        files: files(app),
        stdin: match &app.given.stdin {
            None | Some(Stdin::Null) => StdinFrom::Null,
            Some(Stdin::Lines) => StdinFrom::Last,
            Some(Stdin::Socket(name)) => gifts
                .sockets
                .iter()
                .position(|socket| socket.name() == name)
                .map_or(StdinFrom::Null, StdinFrom::Shared),
        },
    }
}

fn files(app: &AppDefinition) -> Vec<(OsString, FileMode)> {
    let files = app.given.files().iter();
    files
        .map(|file| (file.path.clone().into_os_string(), file.mode))
        .collect()
}

fn attributes(app: &AppDefinition, who: &Identity, cgroup: Option<&Path>) -> Attributes {
    let process = &app.process;
    Attributes {
        cgroup: cgroup.map(Path::to_owned),
        limits: process.limits.iter().map(|(k, v)| (*k, *v)).collect(),
        nice: process.nice,
        cores: match &process.cpu_affinity {
            None => Vec::new(),
            Some(Affinity::Cores(cores)) => cores.clone(),
            Some(Affinity::PerSlot) => core_of(who.slot, &sys::allowed_cores()),
        },
        credentials: process.credentials(),
        umask: process.umask,
        cwd: app.cwd.as_ref().map(|cwd| cwd.clone().into_os_string()),
    }
}

/// One core for each slot, in turn.
fn core_of(slot: Slot, allowed: &[u32]) -> Vec<u32> {
    let turn = (slot.0 as usize).checked_rem(allowed.len());
    turn.map(|turn| allowed[turn]).into_iter().collect()
}

/// A worker's environment, `LISTEN_PID` aside: what of `base` the app inherits, without what was meant for the master; the app's own variables,
/// what a reload brought besides, then ours. Sorted by name.
#[must_use]
pub fn environment(
    base: impl IntoIterator<Item = (OsString, OsString)>,
    app: &AppDefinition,
    who: &Identity,
    gifts: Gifts<'_>,
) -> Vec<(OsString, OsString)> {
    let mut env: BTreeMap<OsString, OsString> = base
        .into_iter()
        .filter(|(name, _)| !meant_for_the_master(name) && app.inherits.passes(name))
        .collect();
    if let Some(user) = &app.process.user {
        env.insert("USER".into(), user.name.clone().into());
        env.insert("LOGNAME".into(), user.name.clone().into());
        if let Some(home) = &user.home {
            env.insert("HOME".into(), home.into());
        }
    }
    env.insert("NODE_APP_INSTANCE".into(), who.slot.to_string().into());
    if let Some(port) = only_port(app, gifts.ports) {
        env.insert("PORT".into(), port.to_string().into());
    }
    let own = app.env.iter().chain(&app.overlay.extra);
    env.extend(own.map(|(name, value)| (name.into(), fill(value, app, who, gifts).into())));
    env.extend(promised(who, gifts));
    for index in 0..gifts.sockets.len() {
        let number = fd_number(index).to_string();
        env.insert(format!("EINHORN_FD_{index}").into(), number.into());
    }
    for (index, file) in app.given.files().iter().enumerate() {
        let name = file.name.to_ascii_uppercase().replace('-', "_");
        let number = file_number(gifts, index).to_string();
        env.insert(format!("OSTLER_FD_{name}").into(), number.into());
    }
    env.into_iter().collect()
}

fn promised(who: &Identity, gifts: Gifts<'_>) -> impl Iterator<Item = (OsString, OsString)> {
    let mut ours: Vec<(&str, OsString)> = vec![
        ("OSTLER_APP", who.app.as_str().into()),
        ("OSTLER_SLOT", who.slot.to_string().into()),
        (WORKER_ID, who.id.to_string().into()),
        (MASTER_PID, std::process::id().to_string().into()),
        ("OSTLER_GENERATION", who.generation.to_string().into()),
    ];
    if !gifts.sockets.is_empty() {
        let names: Vec<&str> = gifts.sockets.iter().map(|socket| socket.name()).collect();
        ours.push(("LISTEN_FDS", names.len().to_string().into()));
        ours.push(("LISTEN_FDNAMES", names.join(":").into()));
        ours.push(("EINHORN_FD_COUNT", names.len().to_string().into()));
        let numbers: Vec<String> = (0..names.len())
            .map(|index| fd_number(index).to_string())
            .collect();
        ours.push(("EINHORN_FDS", numbers.join(" ").into()));
    }
    if let Some(path) = gifts.notify {
        ours.push(("NOTIFY_SOCKET", path.into()));
    }
    if let Some(path) = gifts.bus {
        ours.push(("OSTLER_BUS", path.into()));
    }
    if gifts.bus_fd {
        let number = fd_number(gifts.sockets.len());
        ours.push(("OSTLER_BUS_FD", number.to_string().into()));
    }
    let first = fd_number(gifts.sockets.len() + usize::from(gifts.bus_fd));
    let channels: Vec<String> = (first..)
        .zip(gifts.handing_over())
        .map(|(number, socket)| format!("{}={number}", socket.name()))
        .collect();
    if !channels.is_empty() {
        ours.push((handover::VARIABLE, channels.join(":").into()));
    }
    let strips = gifts.sockets.iter().filter(|socket| socket.strips());
    let strips: Vec<&str> = strips.map(|socket| socket.name()).collect();
    if !strips.is_empty() {
        ours.push((proxy_protocol::VARIABLE, strips.join(":").into()));
    }
    if gifts.passing {
        let number = first + channels.len();
        ours.push((passing::VARIABLE, number.to_string().into()));
    }
    ours.into_iter().map(|(name, value)| (name.into(), value))
}

/// What the master's own starter told the master alone.
fn meant_for_the_master(name: &OsStr) -> bool {
    let name = name.as_bytes();
    name == b"NOTIFY_SOCKET"
        || [b"LISTEN_".as_slice(), b"WATCHDOG_", b"OSTLER_", b"EINHORN_"]
            .iter()
            .any(|prefix| name.starts_with(prefix))
}

/// A socket that this definition doesn't declare, and an earlier one did, is still there, but is not meant.
fn only_port(app: &AppDefinition, sockets: &[&BoundSocket]) -> Option<u16> {
    let declared = |name: &str| app.listen.iter().any(|socket| socket.name == name);
    let mut ports = sockets
        .iter()
        .filter(|socket| declared(socket.name()))
        .filter_map(|socket| socket.port());
    let first = ports.next()?;
    ports.next().is_none().then_some(first)
}

/// The descriptor of a file: they follow the sockets, the bus and all channels.
fn file_number(gifts: Gifts<'_>, index: usize) -> usize {
    let channels = gifts.handing_over().count();
    let others = usize::from(gifts.bus_fd) + usize::from(gifts.passing);
    fd_number(gifts.sockets.len() + others + channels + index)
}

fn fd_number(index: usize) -> usize {
    index + usize::try_from(FIRST_FD).unwrap_or_default()
}

/// The program and its arguments with their placeholders replaced.
fn arguments(app: &AppDefinition, who: &Identity, gifts: Gifts<'_>) -> Vec<OsString> {
    app.command
        .iter()
        .map(|argument| fill(argument, app, who, gifts).into())
        .collect()
}

fn fill(text: &str, app: &AppDefinition, who: &Identity, gifts: Gifts<'_>) -> String {
    let mut filled = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find('{') {
        filled.push_str(&rest[..start]);
        rest = &rest[start..];
        let value = rest
            .find('}')
            .and_then(|end| Some((end, value_of(&rest[1..end], app, who, gifts)?)));
        match value {
            Some((end, value)) => {
                filled.push_str(&value);
                rest = &rest[end + 1..];
            }
            None => {
                filled.push('{');
                rest = &rest[1..];
            }
        }
    }
    filled.push_str(rest);
    filled
}

fn value_of(
    placeholder: &str,
    app: &AppDefinition,
    who: &Identity,
    gifts: Gifts<'_>,
) -> Option<String> {
    match placeholder {
        "slot" => return Some(who.slot.to_string()),
        "id" => return Some(who.id.to_string()),
        _ => {}
    }
    let (kind, name) = placeholder.split_once(':')?;
    let is_meant = |socket: &&BoundSocket| socket.name() == name;
    match kind {
        "fd" => {
            let file = || app.given.files().iter().position(|file| file.name == name);
            let socket = gifts.sockets.iter().position(is_meant);
            let number = socket
                .map(fd_number)
                .or_else(|| file().map(|at| file_number(gifts, at)));
            number.map(|number| number.to_string())
        }
        "port" => {
            let port = gifts.ports.iter().copied().find(is_meant)?.any_port();
            port.map(|port| port.to_string())
        }
        _ => None,
    }
}
