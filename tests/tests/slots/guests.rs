//! Without any rights: the master and its workers are an unprivileged user's.

use std::time::Duration;

use ostler_tests::{
    harness::{Guest, Mark, Process, copy_program},
    load::Load,
};
use serde_json::Value;

use super::*;

/// A guest's master with three workers that know nothing of Ostler.
struct Stay {
    guest: Guest,
    master: Process,
    mark: Mark,
}

impl Drop for Stay {
    fn drop(&mut self) {
        self.mark.kill_all();
    }
}

impl Stay {
    async fn begin(mode: &str) -> Self {
        let guest = Guest::new(env!("CARGO_BIN_EXE_ostler-under-test"));
        let program = guest.dir().at("misbehave");
        copy_program(env!("CARGO_BIN_EXE_misbehave"), &program);
        let words = [program.to_str().expect("text"), "notify", "0"];
        let app = App::new("web", [&words[..], &["http", "version"]].concat());
        let file = App::file(&[settled(app, 3, mode)]);
        guest.own(guest.dir().write("ostler.toml", &file));
        guest.own(guest.dir().write("version", "1"));
        let mark = Mark::new(guest.dir().path());
        let run = guest
            .ostler(&["run"])
            .env(Mark::VARIABLE, mark.value())
            .start();
        let stay = Self {
            guest,
            master: run,
            mark,
        };
        for slot in 0..3 {
            let ready = format!("web.{slot} ready after");
            let mut log = stay.master.stderr.clone();
            log.wait_for_line(ready.as_str(), PATIENCE).await;
        }
        stay.has_no_rights();
        stay.chosen(&[0, 1, 2]).await;
        stay
    }

    /// Neither the master nor any worker is root, or may do anything that not everybody may.
    fn has_no_rights(&self) {
        let processes = self.mark.processes();
        assert!(processes.contains(&self.master.id()), "{processes:?}");
        assert!(processes.len() > 3, "{processes:?}");
        for process in processes {
            let status = std::fs::read_to_string(format!("/proc/{process}/status"));
            let status = status.expect("a living process");
            let field = |name: &str| {
                let value = status.lines().find_map(|line| line.strip_prefix(name));
                value.map(str::trim).unwrap_or_else(|| panic!("{status}"))
            };
            assert_eq!(field("CapEff:").trim_matches('0'), "", "{status}");
            assert!(!field("Uid:").split('\t').any(|id| id == "0"), "{status}");
        }
    }

    async fn sockets(&self) -> Vec<Value> {
        let shown = self.guest.ostler(&["sockets", "--json"]).success().await;
        shown.json().as_array().expect("an array").clone()
    }

    async fn address(&self) -> SocketAddr {
        let shown = self.sockets().await;
        let address = shown[0]["address"].as_str().map(str::parse);
        address.expect("an address").expect("of TCP")
    }

    /// Waits until these slots are shown to get connections, and all others to be left out.
    async fn chosen(&self, slots: &[u64]) {
        let chosen = |socket: &Value| {
            let share = socket["share"].as_object().expect("the kernel chooses");
            let gets = share.get("left_out").is_none_or(Value::is_null);
            gets == slots.contains(&socket["slot"].as_u64().expect("a slot"))
        };
        let all = async {
            let mut tick = tokio::time::interval(Duration::from_millis(30));
            while !self.sockets().await.iter().all(chosen) {
                tick.tick().await;
            }
        };
        deadline("those to be chosen from", PATIENCE, all).await;
    }

    /// The slots that answer so many requests, all of which are answered.
    async fn serve(&self, requests: u64) -> Vec<String> {
        let plan = to(self.address().await, "/").by_field("slot");
        let load = Load::start(plan.requests(requests)).expect("a plan that can be run");
        let tally = load.finish().await;
        assert_eq!((tally.lost(), &tally.fault), (0, &None), "{tally}");
        tally.by.into_keys().collect()
    }
}

#[tokio::test]
async fn an_unprivileged_user_s_slots_are_chosen_from_and_updated_and_nothing_is_lost() {
    let stay = Stay::begin("slot").await;
    let table = stay.guest.ostler(&["sockets"]).success().await.stdout;
    assert_eq!(table.matches("  even").count(), 3, "{table}");
    assert_eq!(stay.serve(300).await, ["0", "1", "2"]);
    // The kernel does as it is told: it would have gone on choosing from all three.
    stay.guest.ostler(&["stop", "web:1"]).success().await;
    stay.chosen(&[0, 2]).await;
    assert_eq!(stay.serve(300).await, ["0", "2"]);
    stay.guest.ostler(&["start", "web:1"]).success().await;
    stay.chosen(&[0, 1, 2]).await;

    let plan = to(stay.address().await, "/").by_field("version");
    let load = Load::start(plan).expect("a plan that can be run");
    for version in 2..=4 {
        load.answers(40, PATIENCE).await.expect("answers");
        stay.guest.dir().write("version", &version.to_string());
        stay.guest.ostler(&["reload"]).success().await;
    }
    load.answers(40, PATIENCE).await.expect("answers");
    let tally = load.stop().await;
    assert_eq!((tally.lost(), &tally.fault), (0, &None), "{tally}");
    assert_eq!(tally.by.len(), 4, "{tally}");
    assert_eq!(stay.serve(300).await, ["0", "1", "2"]);
}

#[tokio::test]
async fn an_unprivileged_user_s_clients_stay_where_they_were() {
    let stay = Stay::begin("sticky").await;
    let address = stay.address().await;
    let ask_all = async || {
        let mut answers = Vec::new();
        for client in 1..=60 {
            answers.push(knock_from([127, 0, 3, client], address).await);
        }
        answered(answers).await
    };
    let before = ask_all().await;
    for slot in 0..3 {
        assert!(before.contains(&slot), "{before:?}");
    }
    assert_eq!(ask_all().await, before);
    stay.guest.ostler(&["reload"]).success().await;
    assert_eq!(ask_all().await, before);
}
