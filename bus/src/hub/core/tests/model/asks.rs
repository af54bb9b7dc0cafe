//! Requests against a list of calls: who is asked, and what each asker gets for each of its questions, to the end.

use std::time::{Duration, Instant};

use bytes::BytesMut;
use proptest::{collection::vec, prelude::*};

use super::super::support::*;
use crate::{
    Pattern,
    wire::{
        FrameType,
        control::{ClientOp, HubOp, RefusalKind},
        data::{self, Payload, READERS_TYPE},
        flags,
    },
};

const PEERS: usize = 4;
const PATTERNS: [&str; 4] = ["q", "q.*", "*", "_q"];
const TOPICS: [&str; 4] = ["q", "q.a", "_q", "nobody.at.all"];
/// As long as an answer may take.
const PATIENCE: Duration = Duration::from_millis(1_000);

#[derive(Clone, Debug)]
enum Step {
    Serve(usize, usize),
    Unserve(usize),
    /// One, or as many as are enough.
    Ask(usize, usize, Option<u32>),
    /// Whoever has the call at this place answers it, or declines.
    Answer(usize, bool),
    Read(usize),
    Rejoin(usize),
    /// In hundreds of milliseconds.
    Pass(u64),
}

fn step() -> impl Strategy<Value = Step> {
    let (peer, any) = (0..PEERS, any::<usize>());
    let many = prop_oneof![2 => Just(None), 1 => Just(Some(0)), 1 => (1..3_u32).prop_map(Some)];
    prop_oneof![
        3 => (peer.clone(), 0..PATTERNS.len()).prop_map(|(p, n)| Step::Serve(p, n)),
        1 => any.prop_map(Step::Unserve),
        5 => (peer.clone(), 0..TOPICS.len(), many).prop_map(|(p, t, many)| Step::Ask(p, t, many)),
        5 => (any, prop::bool::weighted(0.8)).prop_map(|(at, yes)| Step::Answer(at, yes)),
        3 => peer.clone().prop_map(Step::Read),
        1 => peer.prop_map(Step::Rejoin),
        1 => (1..8_u64).prop_map(Step::Pass),
    ]
}

/// What an asker gets.
#[derive(Clone, Debug, PartialEq)]
enum Said {
    Answer(u64),
    Done(u64),
    Refused(RefusalKind),
}

#[derive(Debug)]
struct Server {
    conn: u64,
    sub: u32,
    pattern: &'static str,
    outstanding: u32,
    last_call: u64,
}

#[derive(Clone, Debug)]
struct Call {
    number: u64,
    question: u64,
    conn: u64,
    sub: u32,
    read: bool,
}

#[derive(Clone, Debug)]
struct Question {
    number: u64,
    asker: u64,
    until: Instant,
    /// If many are asked: how many are enough, and have answered.
    many: Option<(u64, u64)>,
}

struct Model {
    world: World,
    ids: Vec<u64>,
    servers: Vec<Server>,
    /// Those that somebody waits for.
    calls: Vec<Call>,
    questions: Vec<Question>,
    /// Calls that were sent and not read: connection, subscription, call.
    sent: Vec<(u64, u32, u64)>,
    /// What is to be said: to whom, of which question.
    said: Vec<(u64, u64, Said)>,
    last: u64,
    numbers: u32,
    asked: u64,
}

impl Model {
    fn new() -> Self {
        let mut world = World::new();
        let ids = (0..PEERS).map(|n| world.join(client(&n.to_string())));
        Self {
            ids: ids.collect(),
            world,
            servers: Vec::new(),
            calls: Vec::new(),
            questions: Vec::new(),
            sent: Vec::new(),
            said: Vec::new(),
            last: 0,
            numbers: 0,
            asked: 0,
        }
    }

    fn play(&mut self, step: &Step) {
        match step {
            Step::Serve(place, pattern) => {
                self.numbers += 1;
                let (conn, sub, pattern) = (self.ids[*place], self.numbers, PATTERNS[*pattern]);
                self.world.ask(conn, 0, serve(sub, pattern));
                let (outstanding, last_call) = (0, 0);
                self.servers.push(Server {
                    conn,
                    sub,
                    pattern,
                    outstanding,
                    last_call,
                });
            }
            Step::Unserve(at) if !self.servers.is_empty() => {
                let at = at % self.servers.len();
                let Server { conn, sub, .. } = self.servers.remove(at);
                self.world.ask(conn, 0, ClientOp::Unsubscribe { sub });
                self.sent.retain(|(c, s, _)| (*c, *s) != (conn, sub));
                self.fail(|call| (call.conn, call.sub) == (conn, sub) && !call.read);
            }
            Step::Unserve(_) => {}
            Step::Ask(place, topic, many) => self.ask(self.ids[*place], TOPICS[*topic], *many),
            Step::Answer(at, yes) => self.answer(*at, *yes),
            Step::Read(place) => self.read(self.ids[*place]),
            Step::Rejoin(place) => self.rejoin(*place),
            Step::Pass(hundreds) => self.pass(Duration::from_millis(hundreds * 100)),
        }
    }

    /// Those who serve a topic: exactly first, then by connection and number.
    fn servers_of(&self, topic: &str) -> Vec<usize> {
        let matches = |at: &usize| {
            Pattern::new(self.servers[*at].pattern)
                .unwrap()
                .matches(topic)
        };
        let mut found: Vec<usize> = (0..self.servers.len()).filter(matches).collect();
        found.sort_by_key(|at| {
            let server = &self.servers[*at];
            (server.pattern.contains('*'), server.conn, server.sub)
        });
        found
    }

    fn load(&self, at: usize) -> (u32, u64) {
        (self.servers[at].outstanding, self.servers[at].last_call)
    }

    fn ask(&mut self, asker: u64, topic: &str, many: Option<u32>) {
        self.asked += 1;
        let number = self.asked;
        let mut body = BytesMut::new();
        data::put_request(
            &mut body,
            Payload::Bytes,
            topic,
            number,
            READERS_TYPE,
            1_000,
        );
        if let Some(limit) = many {
            body.extend_from_slice(&limit.to_be_bytes());
        }
        let flags = if many.is_some() { flags::MANY } else { 0 };
        self.world
            .send(asker, &raw(FrameType::Request as u8, flags, &body));

        let found = self.servers_of(topic);
        let chosen = match many {
            None => found
                .into_iter()
                .min_by_key(|at| self.load(*at))
                .into_iter()
                .collect(),
            Some(_) => self.one_of_each(&found),
        };
        if chosen.is_empty() {
            let refused = Said::Refused(RefusalKind::NoResponders);
            return self.said.push((asker, number, refused));
        }
        let enough = |limit: u32| if limit == 0 { u64::MAX } else { limit.into() };
        self.questions.push(Question {
            number,
            asker,
            until: self.world.now + PATIENCE,
            many: many.map(|limit| (enough(limit), 0)),
        });
        for at in chosen {
            self.last += 1;
            let call = self.last;
            let server = &mut self.servers[at];
            server.outstanding += 1;
            server.last_call = call;
            let (conn, sub) = (server.conn, server.sub);
            self.sent.push((conn, sub, call));
            self.calls.push(Call {
                number: call,
                question: number,
                conn,
                sub,
                read: false,
            });
        }
    }

    /// The least busy one of each connection, in the order of the connections' first.
    fn one_of_each(&self, found: &[usize]) -> Vec<usize> {
        let mut chosen: Vec<usize> = Vec::new();
        for at in found {
            let conn = self.servers[*at].conn;
            match chosen.iter_mut().find(|c| self.servers[**c].conn == conn) {
                Some(other) if self.load(*at) < self.load(*other) => *other = *at,
                Some(_) => {}
                None => chosen.push(*at),
            }
        }
        chosen
    }

    fn answer(&mut self, at: usize, yes: bool) {
        let read: Vec<Call> = self.calls.iter().filter(|c| c.read).cloned().collect();
        let Some(call) = at.checked_rem(read.len()).map(|at| read[at].clone()) else {
            return;
        };
        if !yes {
            let (call, reason) = (call.number, "no".into());
            self.world.ask(
                read[at % read.len()].conn,
                0,
                ClientOp::Decline { call, reason },
            );
            return self.fail(|c| c.number == call);
        }
        self.world
            .send(call.conn, &reply(call.number, Payload::Bytes, b"!"));
        self.end(call.number);
        let question = self
            .questions
            .iter_mut()
            .find(|q| q.number == call.question);
        let question = question.expect("somebody waits");
        self.said
            .push((question.asker, question.number, Said::Answer(call.conn)));
        match &mut question.many {
            None => self.questions.retain(|q| q.number != call.question),
            Some((_, answers)) => {
                *answers += 1;
                self.go_on(call.question);
            }
        }
    }

    /// A call is over.
    fn end(&mut self, number: u64) {
        let at = self.calls.iter().position(|call| call.number == number);
        let Call { conn, sub, .. } = self.calls.remove(at.expect("it goes on"));
        let is_its = |s: &&mut Server| (s.conn, s.sub) == (conn, sub);
        if let Some(server) = self.servers.iter_mut().find(is_its) {
            server.outstanding -= 1;
        }
    }

    /// Calls that will not be answered.
    fn fail(&mut self, which: impl Fn(&Call) -> bool) {
        let failed: Vec<Call> = self
            .calls
            .iter()
            .filter(|call| which(call))
            .cloned()
            .collect();
        for call in failed {
            // It may have ended with its question meanwhile.
            if !self.calls.iter().any(|c| c.number == call.number) {
                continue;
            }
            self.end(call.number);
            let question = self.questions.iter().find(|q| q.number == call.question);
            let question = question.expect("somebody waits").clone();
            match question.many {
                Some(_) => self.go_on(call.question),
                None => self.finish(&question, Said::Refused(RefusalKind::Declined)),
            }
        }
    }

    /// Whether a question to many is over.
    fn go_on(&mut self, number: u64) {
        let question = self.questions.iter().find(|q| q.number == number);
        let question = question.expect("somebody waits").clone();
        let waits = self.calls.iter().any(|call| call.question == number);
        if let Some((enough, answers)) = question.many
            && (!waits || answers >= enough)
        {
            self.finish(&question, Said::Done(answers));
        }
    }

    fn finish(&mut self, question: &Question, said: Said) {
        self.forget(question.number);
        self.said.push((question.asker, question.number, said));
    }

    fn forget(&mut self, question: u64) {
        let calls = self.calls.iter().filter(|call| call.question == question);
        let calls: Vec<u64> = calls.map(|call| call.number).collect();
        for call in calls {
            self.end(call);
        }
        self.questions.retain(|q| q.number != question);
    }

    fn pass(&mut self, time: Duration) {
        self.world.pass(time);
        let now = self.world.now;
        let due: Vec<Question> = self
            .questions
            .iter()
            .filter(|q| q.until <= now)
            .cloned()
            .collect();
        for question in due {
            let said = match question.many {
                Some((_, answers)) => Said::Done(answers),
                None => Said::Refused(RefusalKind::TimedOut),
            };
            self.finish(&question, said);
        }
    }

    fn rejoin(&mut self, place: usize) {
        let conn = self.ids[place];
        self.world.leave(conn);
        let own = self
            .questions
            .iter()
            .filter(|q| q.asker == conn)
            .map(|q| q.number);
        for question in own.collect::<Vec<u64>>() {
            self.forget(question);
        }
        self.servers.retain(|server| server.conn != conn);
        self.sent.retain(|(to, ..)| *to != conn);
        self.fail(|call| call.conn == conn);
        self.said.retain(|(to, ..)| *to != conn);
        self.ids[place] = self.world.join(client("again"));
    }

    fn read(&mut self, id: u64) {
        for got in self.world.take(id) {
            let said = match got {
                Got::Call { call, sub, .. } => {
                    let next = self.sent.iter().position(|(to, ..)| *to == id);
                    let sent = self.sent.remove(next.expect("it is asked"));
                    assert_eq!(sent, (id, sub, call));
                    for waiting in self.calls.iter_mut().filter(|c| c.number == call) {
                        waiting.read = true;
                    }
                    continue;
                }
                Got::Answer { r#ref, conn, .. } => (r#ref, Said::Answer(conn)),
                Got::Control(0, _) => continue,
                Got::Control(r#ref, HubOp::Done { count }) => (r#ref, Said::Done(count)),
                Got::Control(r#ref, HubOp::Refused(why)) => (r#ref, Said::Refused(why.kind)),
                other => panic!("{other:?}"),
            };
            let owed = self
                .said
                .iter()
                .position(|(to, r, _)| (*to, *r) == (id, said.0));
            let (.., owed) = self.said.remove(owed.expect("something is said of it"));
            assert_eq!(owed, said.1);
        }
        assert!(
            self.sent.iter().all(|(to, ..)| *to != id),
            "{:?}",
            self.sent
        );
        assert!(
            self.said.iter().all(|(to, ..)| *to != id),
            "{:?}",
            self.said
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn every_question_gets_what_it_is_owed(steps in vec(step(), 1..80)) {
        let mut model = Model::new();
        for step in &steps {
            model.play(step);
        }
        model.pass(PATIENCE);
        for id in model.ids.clone() {
            model.read(id);
        }
        prop_assert!(model.questions.is_empty() && model.calls.is_empty());
        prop_assert_eq!(model.world.core.requests.waiting(), 0);
    }
}
