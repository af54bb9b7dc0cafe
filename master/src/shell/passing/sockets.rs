//! Sockets that workers ask for: who may have which, how long, and who is told.

use std::{path::Path, sync::Arc};

use ostler_bus::{
    WorkerId,
    vocab::worker::{WorkerListening, WorkerRef},
};
use ostler_worker_sdk::passing::{Listen, MasterWord};

use super::hear::Reply;
use crate::{
    config::{
        address::{self, DEFAULT_BACKLOG},
        app::{AppDefinition, AppName, SocketAddress, SocketDeclaration},
    },
    fleet::SpawnOrder,
    shell::{
        Shell,
        balance::{Handed, Standing},
        tell,
    },
    sockets::{BindError, SocketId, balance::channel_pair, may_bind},
};

/// The longest address that can be one, in bytes: a path of the kernel's greatest length, and what goes before it.
const LONGEST_ADDRESS: usize = 4200;

impl Shell {
    pub(super) fn listen_for(&mut self, id: WorkerId, what: &Listen) -> Reply {
        let Some(process) = self.processes.get(&id) else {
            return Reply::failed(what.id, libc::ESRCH, "the worker is going");
        };
        let (order, pid) = (Arc::clone(&process.order), process.pid());
        let wanted = match declaration(what, &order.definition) {
            Ok(wanted) => wanted,
            Err((errno, reason)) => return Reply::failed(what.id, errno, reason),
        };
        let got = match self.workshop.sockets.ask(&order.app, (id, what.id), wanted) {
            Ok(got) => got,
            Err(error) => return refused(what.id, &error),
        };
        self.shows_otherwise();
        if got.is_new {
            self.workshop.watch_new(got.id, &self.handle);
        }
        match self.pass(got.id, what.id) {
            Ok((reply, address)) => {
                if got.is_new {
                    tracing::info!(
                        "{}.{}: listening on {address}, asked for by worker {id}",
                        order.app,
                        order.slot
                    );
                }
                self.tell_listening(&order, pid, &address);
                reply
            }
            Err(error) => {
                self.close_for(id, what.id);
                Reply::failed(what.id, libc::EMFILE, error)
            }
        }
    }

    /// A socket for a worker, and where it is.
    fn pass(&self, socket: SocketId, question: u64) -> std::io::Result<(Reply, SocketAddress)> {
        let sockets = &self.workshop.sockets;
        let gone = || std::io::Error::other("the socket has gone");
        let (_, bound) = sockets.get(socket).ok_or_else(gone)?;
        let mut fds = vec![sockets.duplicate(socket).ok_or_else(gone)??.into()];
        let mut handed = None;
        if bound.hands_over() {
            let (ours, theirs) = channel_pair()?;
            fds.push(theirs.into());
            handed = Some(Handed {
                socket,
                question: Some(question),
                channel: ours,
            });
        }
        let address = bound.address().clone();
        let word = MasterWord::Listening {
            id: question,
            address: address.to_string(),
        };
        let reply = Reply {
            fds,
            handed,
            ..Reply::word(word)
        };
        Ok((reply, address))
    }

    fn tell_listening(&self, order: &SpawnOrder, pid: u32, address: &SocketAddress) {
        let (family, port) = match address {
            SocketAddress::Tcp(ip) | SocketAddress::Udp(ip) if ip.is_ipv4() => {
                ("IPv4", Some(ip.port()))
            }
            SocketAddress::Tcp(ip) | SocketAddress::Udp(ip) => ("IPv6", Some(ip.port())),
            SocketAddress::Unix(_) | SocketAddress::Starter(_) => ("Unix", None),
        };
        let event = WorkerListening {
            worker: WorkerRef {
                app: order.app.to_string(),
                slot: order.slot,
                id: order.id,
                generation: order.generation,
                pid: Some(pid),
            },
            address: address.to_string(),
            family: family.into(),
            port,
        };
        tell::emit(&self.bus, &event);
    }

    pub(super) fn close_for(&mut self, id: WorkerId, question: u64) {
        let Some(process) = self.processes.get(&id) else {
            return;
        };
        // On its way out it keeps what it has: its successor shall find it.
        if process.standing == Standing::Leaving {
            return;
        }
        let app = process.order.app.clone();
        let given_back = self.workshop.sockets.give_back(&app, id, question);
        if let Some(socket) = given_back.left {
            self.workshop.balancer.leaves(id, socket);
        }
        self.shows_otherwise();
        self.closed(&app, &given_back.closed);
    }

    /// What the status said of sockets is no longer so.
    fn shows_otherwise(&self) {
        self.handle.changed();
        self.workshop.hub.outdate();
    }

    pub(super) fn closed(&mut self, app: &AppName, sockets: &[SocketId]) {
        for socket in sockets {
            self.workshop.balancer.close(*socket);
            tracing::info!("{app}: a socket that was asked for is closed: nobody has it any more");
        }
        if !sockets.is_empty() {
            self.workshop.let_go_of_listeners();
        }
    }

    /// Closes what slots were left where nobody is awaited any more.
    pub(in crate::shell) fn settle_asked(&mut self) {
        if !self.workshop.sockets.is_left_to_slots() {
            return;
        }
        let awaited = self.fleet.awaited();
        let awaits = |app: &AppName, slot| awaited.get(app).is_some_and(|its| its.contains(&slot));
        let closed = self.workshop.sockets.settle(awaits);
        if !closed.is_empty() {
            self.shows_otherwise();
        }
        for (app, socket) in closed {
            self.closed(&app, &[socket]);
        }
    }
}

/// What a worker wants, if it may; else why not.
fn declaration(what: &Listen, app: &AppDefinition) -> Result<SocketDeclaration, (i32, String)> {
    let invalid = |reason: String| Err((libc::EINVAL, reason));
    if what.address.len() > LONGEST_ADDRESS {
        let text = format!("an address has at most {LONGEST_ADDRESS} bytes");
        return invalid(text);
    }
    let address = match address::address(&what.address, Path::new("/")) {
        Ok(SocketAddress::Starter(_)) => {
            return invalid("a socket of the master's starter is declared, not asked for".into());
        }
        Ok(address) => address,
        Err(wrong) => return invalid(wrong.to_string()),
    };
    let user = app.process.user.as_ref().map(|user| user.uid);
    if let Err(problem) = may_bind(user, &address) {
        let error = BindError {
            name: address.to_string(),
            address,
            problem,
        };
        return Err((
            error.problem.errno(),
            format!("{error}, as the worker's user is not the master's"),
        ));
    }
    let mut wanted = address::declaration(String::new(), address);
    wanted.backlog = what.backlog.unwrap_or(DEFAULT_BACKLOG);
    wanted.options.v6_only = what.v6_only;
    wanted.options.file.permissions = what.permissions.map(|mode| mode & 0o777);
    Ok(wanted)
}

fn refused(question: u64, error: &BindError) -> Reply {
    tracing::debug!("a worker can't listen: {error}");
    let text = match error.hint() {
        Some(hint) => format!("{error} ({hint})"),
        None => error.to_string(),
    };
    Reply::failed(question, error.problem.errno(), text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fleet::testing::definition;

    #[test]
    fn what_is_longer_than_any_address_is_refused_unread() {
        let asked = |length: usize| {
            let what = Listen {
                id: 1,
                address: format!("{:length$}", "127.0.0.1:0"),
                backlog: None,
                v6_only: false,
                permissions: None,
            };
            declaration(&what, &definition("web", 1))
        };
        assert!(asked(LONGEST_ADDRESS).is_ok());
        let refused = asked(LONGEST_ADDRESS + 1).map_err(|(errno, _)| errno);
        assert_eq!(refused.err(), Some(libc::EINVAL));
    }
}
