//! What the hub's tasks share: the core, and the connections it decides about. All on one thread.

use std::{
    any::Any,
    cell::{Cell, RefCell},
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    rc::Rc,
    sync::{Arc, atomic::AtomicU64},
    time::Instant,
};

use super::{
    bell::Bell,
    core::{Core, Door, Output, PeerClaim},
    handle::HubOptions,
    notice::NoticeSender,
    numbered::NumberMap,
    stream::Stream,
};

/// What a read buffer holds: some hundred small frames, and little enough to stay in a core's cache.
pub(super) const READ_BYTES: usize = 64 << 10;

/// A connection as the shell sees it.
#[derive(Debug)]
pub(super) struct Link {
    pub(super) id: u64,
    pub(super) stream: Stream,
    /// What its writer has still to write. While there is something, or the writer is at it, nobody else writes.
    pub(super) rest: RefCell<Output>,
    pub(super) writer_busy: Cell<bool>,
    /// Wakes its writer.
    pub(super) wake_writer: Bell,
    /// Wakes its reader, which waits for output to be written; or because the connection ends.
    pub(super) wake_reader: Bell,
    /// The hub has closed the connection.
    pub(super) ending: Bell,
    /// Writing failed.
    pub(super) broken: RefCell<Option<io::Error>>,
}

/// What the tasks of one life of the hub share.
pub(super) struct Shell {
    core: RefCell<Core>,
    links: RefCell<NumberMap<Rc<Link>>>,
    scratch: RefCell<Output>,
    dirty: Cell<Vec<u64>>,
    notices: NoticeSender,
    /// A read buffer that no connection uses just now.
    spare: Cell<Option<Vec<u8>>>,
    /// The time the hub's timer is set to.
    pub(super) timer: Cell<Option<Instant>>,
    /// Something is due earlier than that.
    pub(super) earlier: Bell,
    /// What the core panicked with.
    fault: RefCell<Option<String>>,
    pub(super) faulted: Bell,
    /// What peers claim, until somebody has looked at it.
    pub(super) claims: Cell<Vec<PeerClaim>>,
    pub(super) claimed: Bell,
    /// The last connection is gone.
    pub(super) empty: Bell,
}

impl Shell {
    pub(super) fn new(
        options: &HubOptions,
        revision: &Arc<AtomicU64>,
        life: u128,
        notices: NoticeSender,
    ) -> Rc<Self> {
        let mut core = Core::new(options, life, Instant::now());
        core.follow(Arc::clone(revision));
        Rc::new(Self {
            core: RefCell::new(core),
            links: RefCell::default(),
            scratch: RefCell::default(),
            dirty: Cell::default(),
            notices,
            spare: Cell::default(),
            timer: Cell::default(),
            earlier: Bell::default(),
            fault: RefCell::default(),
            faulted: Bell::default(),
            claims: Cell::default(),
            claimed: Bell::default(),
            empty: Bell::default(),
        })
    }

    /// Lets the core decide, then writes at once what it wants written. `None` if it panicked, now or before.
    pub(super) fn step<T>(&self, decide: impl FnOnce(&mut Core) -> T) -> Option<T> {
        if self.fault.borrow().is_some() {
            return None;
        }
        let decided = catch_unwind(AssertUnwindSafe(|| {
            let decided = decide(&mut self.core.borrow_mut());
            self.settle();
            decided
        }));
        match decided {
            Ok(decided) => Some(decided),
            Err(panic) => {
                self.fail(panic_text(&*panic));
                None
            }
        }
    }

    /// Asks the core something that changes nothing.
    pub(super) fn ask<T>(&self, question: impl FnOnce(&Core) -> T) -> T {
        question(&self.core.borrow())
    }

    pub(super) fn fail(&self, panic: String) {
        self.fault.borrow_mut().get_or_insert(panic);
        self.faulted.ring();
    }

    pub(super) fn fault(&self) -> Option<String> {
        self.fault.borrow().clone()
    }

    pub(super) fn open(&self, id: u64, stream: Stream, door: Door) -> Rc<Link> {
        let link = Rc::new(Link {
            id,
            stream,
            rest: RefCell::default(),
            writer_busy: Cell::new(false),
            wake_writer: Bell::default(),
            wake_reader: Bell::default(),
            ending: Bell::default(),
            broken: RefCell::default(),
        });
        self.links.borrow_mut().insert(id, Rc::clone(&link));
        self.step(|core| core.connect(Instant::now(), id, door));
        link
    }

    pub(super) fn close(&self, id: u64, reason: &str) {
        self.links.borrow_mut().remove(&id);
        self.step(|core| core.disconnect(Instant::now(), id, reason));
        if self.links.borrow().is_empty() {
            self.empty.ring();
        }
    }

    pub(super) fn link(&self, id: u64) -> Option<Rc<Link>> {
        self.links.borrow().get(&id).cloned()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.links.borrow().is_empty()
    }

    /// The best that can be done for connections when the core has failed: say so, where no frame is half written.
    pub(super) fn say_fault(&self) {
        let Ok(core) = self.core.try_borrow() else {
            return;
        };
        for link in self.links.borrow().values() {
            let frame = catch_unwind(AssertUnwindSafe(|| core.fault_frame(link.id)));
            if let Ok(Some(frame)) = frame
                && !link.writer_busy.get()
            {
                // Whoever can't be told sees the connection end.
                let _ = link.stream.try_write(&[io::IoSlice::new(&frame)]);
            }
        }
    }

    pub(super) fn take_spare(&self) -> Vec<u8> {
        self.spare
            .take()
            .unwrap_or_else(|| Vec::with_capacity(READ_BYTES))
    }

    pub(super) fn give_spare(&self, buffer: Vec<u8>) {
        self.spare.set(Some(buffer));
    }

    /// Fills the writer's own output; false if nothing waits.
    pub(super) fn refill(&self, link: &Link) -> bool {
        let taken = catch_unwind(AssertUnwindSafe(|| {
            let mut rest = link.rest.borrow_mut();
            let mut core = self.core.borrow_mut();
            core.take_output(Instant::now(), link.id, &mut rest);
            // What one has taken may be news for others: whoever was held back for it may go on.
            let is_dirty = core.is_dirty();
            drop((rest, core));
            if is_dirty {
                self.settle();
            }
        }));
        if let Err(panic) = taken {
            self.fail(panic_text(&*panic));
        }
        !link.rest.borrow().is_empty()
    }

    fn settle(&self) {
        let mut dirty = self.dirty.take();
        while self.core.borrow().is_dirty() {
            self.core.borrow_mut().take_dirty(&mut dirty);
            for id in &dirty {
                let link = self.links.borrow().get(id).cloned();
                if let Some(link) = link {
                    self.pump(&link);
                    if self.core.borrow().is_closing(*id) {
                        link.ending.ring();
                    }
                }
            }
        }
        self.dirty.set(dirty);
        let claims = self.core.borrow_mut().take_claims();
        if !claims.is_empty() {
            let mut waiting = self.claims.take();
            waiting.extend(claims);
            self.claims.set(waiting);
            self.claimed.ring();
        }
        for notice in self.core.borrow_mut().take_notices() {
            self.notices.send(notice);
        }
        let due = self.core.borrow().next_deadline();
        if due.is_some_and(|due| self.timer.get().is_none_or(|timer| due < timer)) {
            self.earlier.ring();
        }
    }

    /// Writes what a connection has waiting until it takes no more; then its writer waits for it.
    fn pump(&self, link: &Link) {
        if link.writer_busy.get() {
            return;
        }
        let mut scratch = self.scratch.borrow_mut();
        loop {
            scratch.reset();
            self.core
                .borrow_mut()
                .take_output(Instant::now(), link.id, &mut scratch);
            if scratch.is_empty() {
                break;
            }
            while !scratch.is_empty() {
                match link.stream.try_write(&scratch.slices()) {
                    Ok(0) => return self.give_up(link, io::ErrorKind::WriteZero.into()),
                    Ok(n) => scratch.advance(n),
                    Err(e) if e.kind() == io::ErrorKind::WouldBlock => {
                        link.rest.replace(scratch.take_rest());
                        link.writer_busy.set(true);
                        link.wake_writer.ring();
                        return;
                    }
                    Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                    Err(e) => return self.give_up(link, e),
                }
            }
        }
        link.wake_reader.ring();
    }

    fn give_up(&self, link: &Link, error: io::Error) {
        link.broken.replace(Some(error));
        link.writer_busy.set(true);
        link.wake_writer.ring();
    }
}

pub(super) fn panic_text(panic: &(dyn Any + Send)) -> String {
    panic
        .downcast_ref::<&str>()
        .map(|s| (*s).to_owned())
        .or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "a panic without words".into())
}
