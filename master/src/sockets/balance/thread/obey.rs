//! What the thread is told: who comes and goes, and which sockets there are.

use std::{io, os::fd::OwnedFd, time::Instant};

use super::{DeskNumber, Thread};
use crate::sockets::{
    SocketId,
    balance::{
        channel::Channel,
        desk::Desk,
        inbox::{Command, Joins, Served, Sticks},
        proxied::Proxied,
    },
};

impl Thread {
    /// Does what it was told; false if that is to end.
    pub(super) fn obey(&mut self) -> bool {
        for command in self.inbox.take() {
            match command {
                Command::Joins(joins) => self.join(*joins),
                Command::Ready(id) => self.each(|desk| {
                    desk.ready(id);
                    None
                }),
                Command::Drains(id) => self.each(|desk| {
                    desk.drain(id);
                    None
                }),
                Command::Gone(id) => self.each(|desk| desk.part_with(id)),
                Command::Leaves(id, socket) => {
                    self.each(|desk| match desk.socket.id == socket {
                        true => desk.part_with(id),
                        false => None,
                    });
                }
                Command::Released(id) => {
                    let now = Instant::now();
                    self.each(|desk| {
                        desk.release(id, now);
                        None
                    });
                }
                Command::Mended(socket, listener) => self.mended(socket, listener),
                Command::Stand { app, services } => self.each(|desk| {
                    if desk.socket.app == app {
                        desk.stand(&services);
                    }
                    None
                }),
                Command::Forget(app, passed_on) => {
                    for socket in passed_on {
                        self.is_now(socket);
                    }
                    self.forget(|desk| desk.socket.app == app);
                }
                Command::Close(socket) => self.forget(|desk| desk.socket.id == socket),
                Command::Report(report) => {
                    let desks = self.desks.values();
                    let status = desks.map(|desk| (desk.socket.clone(), desk.status()));
                    // Whoever asked has gone.
                    let _gone = report.send(status.collect());
                }
                Command::End => return false,
            }
        }
        true
    }

    /// A worker may have several sockets.
    fn each(&mut self, what: impl FnMut(&mut Desk) -> Option<Channel>) {
        let broken: Vec<Channel> = self.desks.values_mut().filter_map(what).collect();
        self.busy = self.desks.keys().copied().collect();
        self.let_go(broken);
    }

    fn join(&mut self, joins: Joins) {
        let Joins {
            id,
            socket,
            channel,
            begins,
            listener,
            max_connections,
            sticks,
        } = joins;
        let known = self.is_now(socket.clone());
        let number = known.or_else(|| self.open(Desk::new(socket, listener), sticks));
        let Some(number) = number else {
            return;
        };
        if let Err(error) = self.watch.channel(number, id, &channel) {
            tracing::error!("worker {id} can't be handed connections: {error}");
            return;
        }
        if let Some(desk) = self.desks.get_mut(&number) {
            desk.limit(max_connections);
            let before = desk.join(id, begins, channel);
            if let Some(sticks) = sticks {
                desk.lives(id, sticks.slot);
            }
            self.let_go(before);
        }
        self.is_busy(number);
    }

    /// A socket may have been passed on: this is who has it now, and by which name.
    fn is_now(&mut self, socket: Served) -> Option<DeskNumber> {
        let known = self.number_of(socket.id);
        if let Some(desk) = known.and_then(|number| self.desks.get_mut(&number)) {
            desk.socket = socket;
        }
        known
    }

    fn number_of(&self, socket: SocketId) -> Option<DeskNumber> {
        let mut desks = self.desks.iter();
        let (number, _) = desks.find(|(_, desk)| desk.socket.id == socket)?;
        Some(*number)
    }

    /// Begins to accept for a socket.
    fn open(&mut self, desk: Desk, sticks: Option<Sticks>) -> Option<DeskNumber> {
        self.last_desk += 1;
        let number = self.last_desk;
        self.desks.insert(number, desk);
        let watched = self.watch_headers(number, sticks);
        match watched.and_then(|()| self.watch_listener(number)) {
            Ok(()) => Some(number),
            Err(error) => {
                self.give_up(number, &error);
                None
            }
        }
    }

    fn watch_headers(&mut self, number: DeskNumber, sticks: Option<Sticks>) -> io::Result<()> {
        if let (Some(sticks), Some(desk)) = (sticks, self.desks.get_mut(&number)) {
            let proxied = Proxied::new(sticks.header, desk.kind)?;
            self.watch.headers(number, proxied.edges())?;
            desk.sticks(proxied);
        }
        Ok(())
    }

    fn watch_listener(&mut self, number: DeskNumber) -> io::Result<()> {
        let Some(desk) = self.desks.get_mut(&number) else {
            return Ok(());
        };
        rustix::io::ioctl_fionbio(&desk.listener, true)?;
        self.watch.listener(number, &desk.listener)?;
        desk.has_come();
        self.is_busy(number);
        Ok(())
    }

    fn mended(&mut self, socket: SocketId, listener: OwnedFd) {
        let Some(number) = self.number_of(socket) else {
            return;
        };
        if let Some(desk) = self.desks.get_mut(&number) {
            let old = std::mem::replace(&mut desk.listener, listener);
            self.watch.drop_listener(number, &old);
        }
        if let Err(error) = self.watch_listener(number) {
            self.give_up(number, &error);
        }
    }

    fn give_up(&mut self, number: DeskNumber, error: &io::Error) {
        if let Some(desk) = self.desks.get(&number) {
            tracing::error!(
                "{}: connections to the socket {:?} can't be handed over: {error}; workers accept for themselves",
                desk.socket.app,
                desk.socket.name
            );
            let id = desk.socket.id;
            self.forget(|desk| desk.socket.id == id);
        }
    }

    /// Lets go of sockets. What nobody has taken is closed, as what waits in the kernel will be; but workers that were let go of
    /// take what they were handed.
    fn forget(&mut self, which: impl Fn(&Desk) -> bool) {
        let mut done = Vec::new();
        for (number, desk) in self.desks.iter_mut().filter(|(_, desk)| which(desk)) {
            self.watch.drop_listener(*number, &desk.listener);
            if desk.close() {
                done.push(*number);
            }
        }
        for number in done {
            self.drop_desk(number);
        }
    }
}
