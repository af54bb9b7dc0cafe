//! The bus from a shell: `ostler bus`, the options of `ostler tail`, `ostler bench`; against real masters.

mod follow;
mod history;

use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt as _;
use ostler_bus::{
    client::{ConnectOptions, Delivery},
    hub::HubStats,
    vocab::{
        bus::{BusLagged, BusStats},
        update::SystemRestartNeeded,
    },
};
use ostler_tests::harness::{
    Cli, Exit, Fleet, MasterBuilder, PATIENCE, PrivateDir, Process, Programs, deadline,
};
use rustix::process::Signal;
use serde_json::{Value, json};

const PROGRAMS: Programs = ostler_tests::programs!();

/// A master without workers.
fn quiet() -> MasterBuilder {
    PROGRAMS.habit(0, &["trivial"])
}

async fn stats(fleet: &Fleet) -> HubStats {
    let question = BusStats::default();
    let answer = fleet.bus.request_within(&question, PATIENCE);
    answer.await.expect("the master answers bus.stats")
}

/// Waits until the hub is as wanted.
async fn until(fleet: &Fleet, what: &str, is: impl Fn(&HubStats) -> bool) -> HubStats {
    let looks = async {
        loop {
            let stats = stats(fleet).await;
            if is(&stats) {
                return stats;
            }
        }
    };
    deadline(what, PATIENCE, looks).await
}

/// Starts `ostler tail` with these words, and waits until the hub has its subscription.
async fn tail(fleet: &Fleet, args: &[&str]) -> Process {
    let tail = fleet.ostler(["tail"]).args(args).start();
    let pattern = args[0];
    let stands = until(fleet, "the tail", |stats| {
        let mut subs = stats.peers.iter().flat_map(|peer| &peer.subscriptions);
        subs.any(|sub| sub.pattern == pattern)
    });
    stands.await;
    tail
}

#[tokio::test]
async fn bus_shows_who_hears_what_and_how_fast() {
    let fleet = Fleet::ready(PROGRAMS.sdk(1), 1).await;
    let mut shop = fleet
        .connect(ConnectOptions::client("shop"))
        .await
        .subscribe_raw("orders.>")
        .await
        .unwrap();
    for n in 0..3 {
        fleet.bus.emit_json("orders.created", &n).await.unwrap();
        shop.next().await;
    }
    let table = fleet.ostler(["bus"]).stderr_empty().success().await.stdout;
    let line = |with: &str| {
        let found = table.lines().find(|line| line.contains(with));
        found.unwrap_or_else(|| panic!("no {with:?} in\n{table}"))
    };
    assert!(table.starts_with("bus of web  up "), "{table}");
    assert!(line("CONN").contains("QUEUED"), "{table}");
    line("client shop");
    line("  orders.>");
    line("web.0 worker 1");
    line("operator test");
    line("of the master's own left out; -a shows them");
    assert!(!table.contains("answers bus.stats"), "{table}");
    let all = fleet.ostler(["bus", "-a"]).success().await.stdout;
    assert!(all.contains("answers bus.stats"), "{all}");

    let json = fleet.ostler(["bus", "--json"]).success().await.json();
    let told: HubStats = serde_json::from_value(json).unwrap();
    let peer = told.peers.iter().find(|peer| {
        peer.subscriptions
            .iter()
            .any(|sub| sub.pattern == "orders.>")
    });
    let sub = &peer.expect("the shop").subscriptions[0];
    assert_eq!(
        (sub.counts.delivered, sub.counts.lagged, sub.queued),
        (3, 0, 0)
    );
}

/// A reader that is stopped: what it was given, what waits and what was lost are all there is.
#[tokio::test]
async fn a_slow_reader_is_shown_with_its_queue_and_losses_and_told_of() {
    let fleet = Fleet::start(quiet()).await;
    let mut lagging = fleet.hear::<BusLagged>().await;
    let slow = tail(&fleet, &["flood"]).await;
    slow.signal(Signal::STOP);
    let before = stats(&fleet).await.totals.events;
    let payload = Bytes::from(vec![b'x'; 64]);
    let published: u64 = 80_000;
    for _ in 0..published {
        fleet
            .bus
            .emit_bytes("flood", payload.clone())
            .await
            .unwrap();
    }
    let of = |stats: &HubStats| {
        let mut peers = stats.peers.iter();
        let peer = peers.find(|p| p.subscriptions.iter().any(|s| s.pattern == "flood"));
        peer.expect("the tail is connected").clone()
    };
    let told = until(&fleet, "all to be published", |stats| {
        stats.peers.iter().any(|peer| peer.published >= published)
    });
    let told = told.await;
    let peer = of(&told);
    let sub = &peer.subscriptions[0];
    assert_eq!(sub.queued, sub.queue_limit, "{sub:#?}");
    assert!(sub.counts.lagged > 0, "{sub:#?}");
    assert_eq!(
        sub.counts.delivered + sub.queued + sub.counts.lagged,
        published
    );
    assert!(peer.memory >= sub.queued_bytes && sub.queued_bytes >= 64 * sub.queued);
    // `bus.lagged` itself is one more.
    assert!(told.totals.events >= before + published);
    let event = lagging.next().await.event;
    assert_eq!((event.conn, event.pattern.as_str()), (peer.conn, "flood"));
    assert!((1..=sub.counts.lagged).contains(&event.missed), "{event:?}");
    let table = fleet.ostler(["bus"]).success().await.stdout;
    assert!(table.contains("65.5k"), "{table}");
    assert!(table.contains(" lagged"), "{table}");
    slow.signal(Signal::CONT);
}

#[tokio::test]
async fn bus_is_watched_until_ctrl_c_or_the_reader_goes() {
    let fleet = Fleet::start(quiet()).await;
    let mut watch = fleet.ostler(["bus", "--watch=100ms", "--json"]).start();
    let mut uptimes = Vec::new();
    for _ in 0..3 {
        let line = watch.stdout.wait_for_line("{", PATIENCE).await;
        let told: HubStats = serde_json::from_str(&line).unwrap();
        uptimes.push(told.uptime_ms);
    }
    assert!(
        uptimes.is_sorted() && uptimes[0] < uptimes[2],
        "{uptimes:?}"
    );
    watch.signal(Signal::INT);
    assert_eq!(watch.wait(PATIENCE).await, Exit::Code(0));
    assert_eq!(watch.stderr.text(), "");

    let script = format!("{} bus -w | head -n 1", PROGRAMS.ostler);
    Cli::new("bash")
        .args(["-c", "set -o pipefail; eval \"$0\"", &script])
        .env("OSTLER_HOME", fleet.home())
        .stdout_contains("bus of web")
        .stderr_empty()
        .success()
        .await;
    for bad in ["--watch=5", "--watch=1ms"] {
        fleet.ostler(["bus", bad]).stdout("").fails_with(2).await;
    }
}

#[tokio::test]
async fn tail_prints_what_the_filters_take_as_often_as_wanted() {
    let fleet = Fleet::start(quiet()).await;
    let wanted = ["--filter", "payload.id=7", "--filter", "payload.of.name=a"];
    let mut args = vec!["orders.*"];
    args.extend(wanted);
    let filtered = tail(&fleet, &[&args[..], &["--count", "2"]].concat()).await;
    let bare = tail(&fleet, &["orders.new", "-c", "3", "--format", "payload"]).await;
    let pretty = tail(&fleet, &["orders.>", "-c", "1", "--format", "pretty"]).await;
    for (id, name) in [(7, "a"), (8, "a"), (7, "b"), (7, "a"), (7, "a")] {
        let order = json!({"id": id, "of": {"name": name}});
        fleet.bus.emit_json("orders.new", &order).await.unwrap();
    }
    for tail in [&filtered, &bare, &pretty] {
        assert_eq!(
            tail.wait(PATIENCE).await,
            Exit::Code(0),
            "{}",
            tail.output()
        );
    }
    let lines = filtered.stdout.all();
    assert_eq!(lines.len(), 2, "{lines:?}");
    for line in lines {
        let line: Value = serde_json::from_str(&line).unwrap();
        assert_eq!(line["payload"], json!({"id": 7, "of": {"name": "a"}}));
    }
    assert_eq!(
        bare.stdout.text(),
        "{\"id\":7,\"of\":{\"name\":\"a\"}}\n{\"id\":8,\"of\":{\"name\":\"a\"}}\n{\"id\":7,\"of\":{\"name\":\"b\"}}\n"
    );
    let pretty = pretty.stdout.text();
    assert!(
        pretty.contains("  orders.new  client test  {\"id\":7,"),
        "{pretty}"
    );
    for bad in [
        ["--filter", "payload.id"],
        ["--count", "0"],
        ["--format", "xml"],
    ] {
        let refused = fleet.ostler(["tail", "t"]).args(bad).stdout("");
        refused.fails_with(2).await;
    }
}

#[tokio::test]
async fn tail_since_a_number_leaves_out_what_was_before() {
    let fleet = Fleet::start(quiet()).await;
    for (topic, n) in [("kept.a", 1), ("kept.b", 2)] {
        let kept = fleet.bus.json(topic, &n).retained().acked();
        kept.await.unwrap();
    }
    let mut both = fleet.bus.subscribe_raw("kept.*").await.unwrap();
    let mut seqs = Vec::new();
    for _ in 0..2 {
        match both.next().await {
            Some(Delivery::Event(event)) => seqs.push(event.seq),
            other => panic!("{other:?}"),
        }
    }
    let told = |since: u64, count: &str| {
        fleet
            .ostler(["tail", "kept.*", "--since-seq", &since.to_string()])
            .args(["--count", count, "--format", "payload"])
    };
    told(0, "2").stdout("1\n2\n").success().await;
    told(seqs[0], "1").stdout("2\n").success().await;
    // Nothing is left of before; what comes now comes.
    let since = seqs[1].to_string();
    let live = tail(&fleet, &["kept.>", "--since-seq", &since, "-c", "1"]).await;
    let third = fleet.bus.json("kept.c", &3).acked();
    third.await.unwrap();
    assert_eq!(live.wait(PATIENCE).await, Exit::Code(0));
    let line: Value = serde_json::from_str(&live.stdout.text()).unwrap();
    assert_eq!(
        (&line["topic"], &line["payload"]),
        (&json!("kept.c"), &json!(3))
    );
}

#[tokio::test]
async fn bench_measures_everything_and_leaves_nothing() {
    let dir = PrivateDir::new();
    let bench = |args: &[&str]| {
        let cli = Cli::new(PROGRAMS.ostler).env("TMPDIR", dir.path());
        cli.arg("bench").args(args)
    };
    let output = bench(&["--seconds", "1", "--json"]);
    let output = output.within(Duration::from_secs(60)).success().await;
    let figures = output.json();
    let runs = figures["deliveries"].as_array().unwrap();
    let of = |run: &Value| (run["subscribers"].as_u64(), run["bytes"].as_u64());
    let wanted = [64, 1024].map(|bytes| [1, 4, 16].map(|n| (Some(n), Some(bytes))));
    assert_eq!(runs.iter().map(of).collect::<Vec<_>>(), wanted.concat());
    let positive = |value: &Value| value.as_f64().is_some_and(|n| n > 0.0);
    assert!(
        runs.iter().all(|run| positive(&run["per_second"])),
        "{figures}"
    );
    assert!(positive(&figures["connects_per_second"]), "{figures}");
    for latency in [&figures["one_way_ns"], &figures["request_ns"]] {
        let at = |share: &str| latency[share].as_u64().unwrap();
        assert!(
            0 < at("p50") && at("p50") <= at("p90") && at("p90") <= at("p99"),
            "{figures}"
        );
        assert!(at("samples") > 0, "{figures}");
    }
    assert!(
        output.stderr.contains("1 → 16, 1024 bytes\n"),
        "{output:#?}"
    );
    let left = || std::fs::read_dir(dir.path()).unwrap().count();
    assert_eq!(left(), 0);

    let mut long = bench(&["--seconds", "600"]).start();
    long.stderr.wait_for_line("1 → 1", PATIENCE).await;
    deadline("the benchmark's directory", PATIENCE, async {
        while left() == 0 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    long.signal(Signal::INT);
    assert_eq!(long.wait(PATIENCE).await, Exit::Code(1));
    long.stderr
        .wait_for_line("error: interrupted", PATIENCE)
        .await;
    assert_eq!(left(), 0);
    bench(&["--seconds", "0"]).fails_with(2).await;
}

#[tokio::test]
async fn nothing_is_cut_off_in_a_pipe() {
    let fleet = Fleet::start(quiet()).await;
    let reason = "why ".repeat(60);
    let event = SystemRestartNeeded {
        reason: Some(reason.clone()),
    };
    fleet.bus.emit(&event).await.unwrap();
    let marked = fleet.until("the mark", |status| status.master.restart_needed);
    marked.await;
    let expected = format!("system restart needed: {reason}\n");
    fleet
        .ostler(["ls"])
        .stdout_contains(expected)
        .success()
        .await;
}

#[tokio::test]
async fn what_an_app_is_in_no_state_for_has_failed() {
    let fleet = Fleet::start(quiet()).await;
    let parked = fleet.ostler(["start", "web"]).stdout("");
    parked.stderr_contains("0 instances").fails_with(1).await;
    let parked = fleet.ostler(["reload", "web"]).stdout("");
    parked.stderr_contains("0 instances").fails_with(1).await;
    fleet.ostler(["scale", "1"]).success().await;
    fleet.ostler(["stop"]).success().await;
    let stopped = fleet.ostler(["reload", "web"]).stdout("");
    stopped.stderr_contains("use `start`").fails_with(1).await;
}

#[tokio::test]
async fn an_update_that_a_stop_overtakes_is_no_error() {
    let slow = PROGRAMS.habit(1, &["trivial"]).ready("delay(1s)");
    let fleet = Fleet::ready(slow, 1).await;
    let reload = fleet.ostler(["reload"]).start();
    let updating = fleet.until("the update", |status| status.apps[0].state == "updating");
    updating.await;
    fleet.ostler(["stop"]).success().await;
    assert_eq!(reload.wait(PATIENCE).await, Exit::Code(1));
    let line = fleet
        .logged("given up, 0 replaced: overtaken by stop")
        .await;
    assert!(!line.contains("ERROR"), "{line}");
    assert!(
        !fleet.process.stderr.text().contains("ERROR"),
        "{}",
        fleet.process.output()
    );
}
