//! A pool and its workers in virtual time, under random accidents. Workers speak and hear with delay, through channels
//! that are cut as the real ones are: what a worker said before counts, what it says afterwards it can't.
//!
//! In every history, at every step: nobody has more than a window or its limit; nothing goes to those who may get
//! nothing; nothing waits while somebody has room. At the end: every connection was served once, or was being served by a
//! worker when that died.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use proptest::prelude::*;

use super::*;

#[derive(Clone, Debug)]
enum Step {
    Arrive(u8),
    Join,
    Ready(u8),
    /// It hears one packet.
    Hear(u8),
    /// It takes what it heard first, and says so.
    Take(u8),
    /// It is full: it refuses all that it heard, and says so.
    Refuse(u8),
    Close(u8),
    Limit(u8, u8),
    /// The master hears one word of it.
    Listen(u8),
    /// It is killed: its channel is cut.
    Cut(u8),
    /// It is to drain: its channel is cut in time.
    Drain(u8),
    /// It is let go of: its channel is cut in time.
    Release(u8),
    /// Its next packet can't be sent just now.
    Clog(u8),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        6 => (1..6_u8).prop_map(Step::Arrive),
        1 => Just(Step::Join),
        2 => any::<u8>().prop_map(Step::Ready),
        9 => any::<u8>().prop_map(Step::Hear),
        12 => any::<u8>().prop_map(Step::Take),
        1 => any::<u8>().prop_map(Step::Refuse),
        9 => any::<u8>().prop_map(Step::Close),
        1 => (any::<u8>(), 0..6_u8).prop_map(|(who, limit)| Step::Limit(who, limit)),
        12 => any::<u8>().prop_map(Step::Listen),
        1 => any::<u8>().prop_map(Step::Cut),
        1 => any::<u8>().prop_map(Step::Drain),
        1 => any::<u8>().prop_map(Step::Release),
        1 => any::<u8>().prop_map(Step::Clog),
    ];
    proptest::collection::vec(step, 1..200)
}

enum Said {
    Takes(u32),
    Account(Account),
}

#[derive(Default)]
struct Worker {
    ready: bool,
    leaving: bool,
    released: bool,
    limit: u32,
    /// On their way to it.
    packets: VecDeque<Vec<u32>>,
    /// On their way from it.
    words: VecDeque<Said>,
    heard: VecDeque<u32>,
    serving: Vec<u32>,
    clogged: bool,
}

struct World {
    pool: Pool<u32>,
    workers: BTreeMap<WorkerId, Worker>,
    /// In the kernel's queue.
    queue: VecDeque<u32>,
    arrived: u32,
    next: u64,
    /// Told to drain: they serve what they have.
    draining: Vec<Worker>,
    served: BTreeSet<u32>,
    lost: BTreeSet<u32>,
}

impl World {
    fn new() -> Self {
        Self {
            pool: Pool::new(UNLIMITED),
            workers: BTreeMap::new(),
            queue: VecDeque::new(),
            arrived: 0,
            next: 1,
            draining: Vec::new(),
            served: BTreeSet::new(),
            lost: BTreeSet::new(),
        }
    }

    fn pick(&self, who: u8) -> Option<WorkerId> {
        let count = self.workers.len();
        (count > 0).then(|| *self.workers.keys().nth(who as usize % count).unwrap())
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Arrive(count) => {
                self.queue
                    .extend(self.arrived..self.arrived + u32::from(count));
                self.arrived += u32::from(count);
            }
            Step::Join if self.workers.len() < 5 => self.join(),
            Step::Join => {}
            Step::Ready(who) => {
                if let Some(id) = self.pick(who) {
                    self.pool.ready(id);
                    self.workers.get_mut(&id).unwrap().ready = true;
                }
            }
            Step::Listen(who) => {
                if let Some(id) = self.pick(who) {
                    self.listen(id);
                }
            }
            Step::Cut(who) => {
                if let Some(id) = self.pick(who) {
                    self.cut(id, true);
                }
            }
            Step::Drain(who) => {
                if let Some(id) = self.pick(who) {
                    self.pool.drain(id);
                    let worker = self.workers.get_mut(&id).unwrap();
                    (worker.leaving, worker.released) = (true, false);
                }
            }
            Step::Release(who) => {
                if let Some(id) = self.pick(who) {
                    self.pool.release(id);
                    let worker = self.workers.get_mut(&id).unwrap();
                    (worker.leaving, worker.released) = (true, true);
                }
            }
            Step::Hear(who)
            | Step::Take(who)
            | Step::Refuse(who)
            | Step::Close(who)
            | Step::Limit(who, _)
            | Step::Clog(who) => {
                let id = self.pick(who);
                if let Some(worker) = id.and_then(|id| self.workers.get_mut(&id)) {
                    worker.act(&step, &mut self.served);
                }
            }
        }
        self.serve();
    }

    fn join(&mut self) {
        let id = WorkerId(self.next);
        self.next += 1;
        self.pool.join(id, false);
        let mut worker = Worker {
            limit: UNLIMITED,
            ..Worker::default()
        };
        // First it says that it listens.
        worker.words.extend([0, UNLIMITED].map(Said::Takes));
        self.workers.insert(id, worker);
    }

    fn listen(&mut self, id: WorkerId) -> bool {
        let worker = self.workers.get_mut(&id).unwrap();
        match worker.words.pop_front() {
            Some(Said::Takes(limit)) => self.pool.takes(id, limit),
            Some(Said::Account(account)) => self.pool.account(id, account).unwrap(),
            None => return false,
        }
        true
    }

    /// All it has said is heard, nothing more can be said.
    fn cut(&mut self, id: WorkerId, dies: bool) {
        while self.listen(id) {}
        self.pool.leave(id);
        let worker = self.workers.remove(&id).unwrap();
        match dies {
            true => self.lost.extend(worker.serving),
            false => self.draining.push(worker),
        }
    }

    /// What the thread does after each event.
    fn serve(&mut self) {
        for id in self.pool.parting() {
            self.cut(id, false);
        }
        for _ in 0..self.pool.room() {
            let Some(connection) = self.queue.pop_front() else {
                break;
            };
            self.pool.accepted(connection, None);
        }
        self.pool.deal();
        let dealt: Vec<(WorkerId, Vec<u32>)> = self
            .pool
            .unsent()
            .map(|(id, connections)| (id, connections.copied().collect()))
            .collect();
        let stays = |worker: &Worker| worker.ready && !worker.leaving;
        let nobody_stays = !self.workers.values().any(stays);
        for (id, connections) in dealt {
            let worker = self
                .workers
                .get_mut(&id)
                .expect("nothing for those who left");
            assert!(worker.ready, "nothing before it is ready");
            let may = !worker.leaving || (nobody_stays && !worker.released);
            assert!(may, "nothing while it drains and others stay");
            if std::mem::take(&mut worker.clogged) {
                self.pool.not_sent(id);
            } else {
                worker.packets.push_back(connections);
                self.pool.sent(id);
            }
        }
        self.check();
    }

    fn check(&self) {
        for member in self.pool.members() {
            assert!(member.handed() <= WINDOW);
            let waits = self.pool.waiting() > 0;
            assert!(
                !self.workers[&member.id].leaving || member.handed() > 0 || waits,
                "it may go"
            );
        }
        let clogged = self.pool.unsent().count();
        assert_eq!(clogged, 0);
        let room: usize = self.pool.members().map(|m| m.room(UNLIMITED)).sum();
        let held_back = room.min(self.queue.len() + self.pool.waiting());
        let refused_just_now = self.pool.waiting();
        assert!(
            held_back == 0 || refused_just_now > 0,
            "{held_back} could be served"
        );
    }

    /// Nothing further goes wrong: everything is served.
    fn settle(&mut self) {
        self.join();
        for _ in 0..100_000 {
            let ids: Vec<WorkerId> = self.workers.keys().copied().collect();
            for id in ids {
                self.pool.ready(id);
                let worker = self.workers.get_mut(&id).unwrap();
                (worker.ready, worker.clogged) = (true, false);
                worker.act(&Step::Limit(0, u8::MAX), &mut self.served);
                for step in [Step::Hear(0), Step::Take(0), Step::Close(0)] {
                    worker.act(&step, &mut self.served);
                }
                while self.listen(id) {}
            }
            self.serve();
            if self.served.len() + self.lost.len() + self.drained() == self.arrived as usize {
                return;
            }
        }
        panic!(
            "{} of {} were served, {} lost",
            self.served.len(),
            self.arrived,
            self.lost.len()
        );
    }

    fn drained(&mut self) -> usize {
        for worker in std::mem::take(&mut self.draining) {
            for connection in worker.serving {
                assert!(self.served.insert(connection), "{connection} twice");
            }
        }
        0
    }
}

impl Worker {
    fn act(&mut self, step: &Step, served: &mut BTreeSet<u32>) {
        let mut account = Account::default();
        match step {
            Step::Hear(_) => self
                .heard
                .extend(self.packets.pop_front().into_iter().flatten()),
            Step::Take(_) if self.serving.len() < self.limit as usize => {
                let taken = self.heard.pop_front();
                account.taken = u32::from(taken.is_some());
                self.serving.extend(taken);
            }
            Step::Refuse(_) if !self.serving.is_empty() => {
                account.refused = self.heard.len() as u32;
                self.heard.clear();
            }
            Step::Close(_) => {
                if let Some(connection) = self.serving.pop() {
                    assert!(served.insert(connection), "{connection} twice");
                    account.closed = 1;
                }
            }
            Step::Limit(_, limit) => {
                self.limit = match *limit {
                    u8::MAX => UNLIMITED,
                    limit => u32::from(limit),
                };
                self.words.push_back(Said::Takes(self.limit));
            }
            Step::Clog(_) => self.clogged = true,
            _ => {}
        }
        if account != Account::default() {
            self.words.push_back(Said::Account(account));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, ..ProptestConfig::default() })]

    #[test]
    fn every_connection_is_served_once_or_lost_with_the_worker_that_served_it(steps in steps()) {
        let mut world = World::new();
        for step in steps {
            world.step(step);
        }
        world.settle();
        prop_assert!(world.served.is_disjoint(&world.lost));
    }
}

/// A service that takes no time: each gets as many as any other, whatever the order in which they say that they are done.
#[test]
fn idle_workers_get_equally_many() {
    let mut world = World::new();
    for _ in 0..8 {
        world.join();
    }
    let ids: Vec<WorkerId> = world.workers.keys().copied().collect();
    for id in &ids {
        world.pool.ready(*id);
        world.workers.get_mut(id).unwrap().ready = true;
        world.listen(*id);
    }
    let mut given = BTreeMap::new();
    for round in 0..4_000_usize {
        world.step(Step::Arrive(1 + (round % 3) as u8));
        for at in 0..8 {
            let id = ids[(at * 5 + round) % 8];
            // Now and then one is late.
            if round % 7 == at && round % 8 != 7 {
                continue;
            }
            let worker = world.workers.get_mut(&id).unwrap();
            while !worker.packets.is_empty() || !worker.heard.is_empty() {
                worker.act(&Step::Hear(0), &mut world.served);
                worker.act(&Step::Take(0), &mut world.served);
                *given.entry(id).or_insert(0_u64) += 1;
                worker.act(&Step::Close(0), &mut world.served);
            }
            while world.listen(id) {}
        }
        world.serve();
    }
    let (most, all) = (given.values().max().unwrap(), given.values().sum::<u64>());
    let ratio = *most as f64 * 8.0 / all as f64;
    assert!(ratio <= 1.02, "{ratio}: {given:?}");
}
