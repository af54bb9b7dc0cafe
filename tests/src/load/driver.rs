//! A driver: one request at a time, over one connection of its own, with its own part of the tally.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::{sync::watch, time::Instant};

use super::{
    Answer, Connections, Failure, Outcome, Pace, Plan, Progress, Tally,
    connection::{Connection, Miss},
};

/// Over this a paced request began late.
const LATE: Duration = Duration::from_millis(10);

/// What the drivers of a run share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) plan: Plan,
    pub(super) began: Instant,
    pub(super) issued: AtomicU64,
    pub(super) progress: watch::Sender<Progress>,
    pub(super) stop: watch::Sender<bool>,
}

/// Sends requests until the plan is done or the run is stopped; what is under way then still comes to its end.
pub(super) async fn drive(shared: Arc<Shared>) -> Tally {
    let mut driver = Driver {
        request: request(&shared.plan),
        stop: shared.stop.subscribe(),
        connection: None,
        tally: Tally::default(),
        shared,
    };
    while let Some(due) = driver.next_due().await {
        driver.one(due).await;
    }
    driver.tally
}

struct Driver {
    shared: Arc<Shared>,
    request: Vec<u8>,
    stop: watch::Receiver<bool>,
    connection: Option<Connection>,
    tally: Tally,
}

impl Driver {
    /// Takes a place among the plan's requests and waits until it is due; `None` when there are no more.
    async fn next_due(&mut self) -> Option<Instant> {
        let plan = &self.shared.plan;
        let end = self.shared.began + plan.duration;
        if *self.stop.borrow() || Instant::now() >= end {
            return None;
        }
        let number = self.shared.issued.fetch_add(1, Ordering::Relaxed);
        if plan.requests.is_some_and(|all| number >= all) {
            return None;
        }
        let due = match plan.pace {
            Pace::Closed => return Some(Instant::now()),
            Pace::PerSecond(rate) => {
                self.shared.began + Duration::try_from_secs_f64(number as f64 / rate).ok()?
            }
        };
        if due >= end {
            return None;
        }
        tokio::select! {
            biased;
            _ = self.stop.wait_for(|stop| *stop) => return None,
            () = tokio::time::sleep_until(due) => {}
        }
        if due.elapsed() > LATE {
            self.tally.late += 1;
        }
        Some(due)
    }

    /// One request, from connecting to its place in the tally.
    async fn one(&mut self, due: Instant) {
        let shared = Arc::clone(&self.shared);
        let plan = &shared.plan;
        let result = match tokio::time::timeout(plan.timeout, self.exchange()).await {
            Ok(Ok(answer)) => judge(plan, &answer).map(|()| answer),
            Ok(Err(miss)) => Err(miss),
            Err(_) => Err(Miss::Failed(
                Outcome::TimedOut,
                format!("no complete answer in {:?}", plan.timeout),
            )),
        };
        let answered = match result {
            Ok(answer) => {
                let key = plan.by.as_ref().and_then(|by| by(&answer));
                self.tally.answered(due.elapsed(), key);
                true
            }
            Err(Miss::Failed(outcome, detail)) => {
                self.connection = None;
                let at_ms = self.shared.began.elapsed().as_millis() as u64;
                self.tally.failed(Failure {
                    at_ms,
                    outcome,
                    detail,
                });
                false
            }
            Err(Miss::Fault(fault)) => {
                self.tally.fault = Some(fault);
                self.shared.stop.send_replace(true);
                return;
            }
        };
        self.shared.progress.send_modify(|progress| match answered {
            true => progress.answered += 1,
            false => progress.failed += 1,
        });
    }

    async fn exchange(&mut self) -> Result<Answer, Miss> {
        // Taken out: a time-out drops it with this future, so no later request reads a late answer.
        let mut connection = match self.connection.take() {
            Some(kept) if !kept.ended_by_server() => kept,
            Some(_ended) => {
                self.tally.reconnects += 1;
                self.connect().await?
            }
            None => self.connect().await?,
        };
        let answer = connection.ask(&self.request).await?;
        match (self.shared.plan.mode, answer.keep_alive) {
            (Connections::KeepAlive, true) => self.connection = Some(connection),
            (Connections::KeepAlive, false) => self.tally.reconnects += 1,
            (Connections::New, _) => {}
        }
        Ok(answer)
    }

    async fn connect(&mut self) -> Result<Connection, Miss> {
        let connection = Connection::open(self.shared.plan.target.address()).await?;
        self.tally.connections += 1;
        Ok(connection)
    }
}

fn judge(plan: &Plan, answer: &Answer) -> Result<(), Miss> {
    let wrong = |why| Err(Miss::Failed(Outcome::Wrong, why));
    if answer.status != plan.status {
        return wrong(format!("status {}, not {}", answer.status, plan.status));
    }
    match plan.check.as_ref().map(|check| check(answer)) {
        None | Some(Ok(())) => Ok(()),
        Some(Err(why)) => wrong(why),
    }
}

fn request(plan: &Plan) -> Vec<u8> {
    let persistence = match plan.mode {
        Connections::New => "Connection: close\r\n",
        Connections::KeepAlive => "",
    };
    let (path, host) = (plan.target.path(), plan.target.address());
    format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nAccept: */*\r\n{persistence}\r\n").into_bytes()
}
