//! What a master shows of itself (`ostler ls --json`), in the words tests ask with.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    time::{Duration, Instant},
};

use serde_json::Value;

use super::{Master, PATIENCE};
use crate::load::{Load, LoadHandle, Plan};

impl Master {
    /// The whole status.
    ///
    /// # Panics
    /// If `ostler ls --json` fails.
    pub async fn status(&self) -> Value {
        self.ostler(["ls", "--json"]).success().await.json()
    }

    /// The status of one app.
    ///
    /// # Panics
    /// If there is none.
    pub async fn app(&self, name: &str) -> Value {
        let status = self.status().await;
        let apps = status["apps"].as_array().expect("apps");
        let found = apps.iter().find(|app| app["name"] == name);
        found
            .unwrap_or_else(|| panic!("no app {name} in {status:#}"))
            .clone()
    }

    /// The entries of an app's workers, and of its slots that have none.
    ///
    /// # Panics
    /// If the status has no list of workers.
    pub async fn workers(&self, app: &str) -> Vec<Value> {
        let status = self.status().await;
        let workers = status["workers"].as_array().expect("workers");
        workers
            .iter()
            .filter(|worker| worker["app"] == app)
            .cloned()
            .collect()
    }

    /// The process of each slot's current worker.
    pub async fn pids(&self, app: &str) -> BTreeMap<u64, u64> {
        let workers = self.workers(app).await;
        let current = workers.iter().filter(|worker| worker["current"] == true);
        current
            .filter_map(|worker| Some((worker["slot"].as_u64()?, worker["pid"].as_u64()?)))
            .collect()
    }

    /// The pid of one slot's current worker.
    ///
    /// # Panics
    /// If it has none.
    pub async fn pid(&self, app: &str, slot: u64) -> u64 {
        let pids = self.pids(app).await;
        *pids
            .get(&slot)
            .unwrap_or_else(|| panic!("no worker in slot {slot}: {pids:?}"))
    }

    /// Waits until an app is in this state with as many workers ready as it should have.
    ///
    /// # Panics
    /// If it doesn't get there in time; with its workers.
    pub async fn settled(&self, app: &str, state: &str) {
        let end = Instant::now() + PATIENCE;
        loop {
            let shown = self.app(app).await;
            let whole = shown["ready"] == shown["instances"] || state != "running";
            if shown["state"] == state && whole {
                return;
            }
            let workers = self.workers(app).await;
            assert!(Instant::now() < end, "not {state}: {shown:#}\n{workers:#?}");
            // Each look is a process of its own: that is pause enough.
        }
    }

    /// The address of an app's first socket, as bound.
    ///
    /// # Panics
    /// If it has none.
    pub async fn address(&self, app: &str) -> SocketAddr {
        let shown = self.app(app).await;
        let address = shown["sockets"][0]["address"].as_str();
        let parsed = address.and_then(|address| address.parse().ok());
        parsed.unwrap_or_else(|| panic!("no address in {shown:#}"))
    }

    /// Puts an app under load, a new connection for each request, and waits until answers come.
    ///
    /// # Panics
    /// If none comes.
    pub async fn load(&self, app: &str) -> LoadHandle {
        let plan = Plan::to(self.address(app).await).by_field("version");
        self.load_with(plan.timeout(Duration::from_secs(15))).await
    }

    /// Starts a plan of one's own and waits until answers come.
    ///
    /// # Panics
    /// If none comes.
    pub async fn load_with(&self, plan: Plan) -> LoadHandle {
        let load = Load::start(plan).expect("a plan that can be run");
        load.answers(20, PATIENCE).await.expect("answers");
        load
    }

    /// Sends a signal to a process that this master started.
    ///
    /// # Panics
    /// If there is no such process.
    pub fn signal(&self, pid: u64, signal: rustix::process::Signal) {
        let number = i32::try_from(pid).expect("a pid");
        let pid = rustix::process::Pid::from_raw(number).expect("a pid");
        assert!(
            self.descendants().contains(&number.cast_unsigned()),
            "{number} is not this master's"
        );
        rustix::process::kill_process(pid, signal).expect("a living process");
    }
}
