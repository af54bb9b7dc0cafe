//! Subscribers that are slow, stopped or dead, and a bus that is flooded.

use super::*;

/// Emits numbered events of 1 KiB, acknowledged in batches, so that a reader that reads is never left behind.
async fn flood(fleet: &Fleet, count: u64, reader: &mut Heard<Payload>) {
    let text = "x".repeat(1000);
    for number in 0..count {
        let payload = json!([number, text]);
        match number % 500 {
            499 => drop(fleet.bus.json("flood", &payload).acked().await.unwrap()),
            _ => fleet.bus.emit_json("flood", &payload).await.unwrap(),
        }
        let heard = reader.next().await.event.to_json().unwrap();
        assert!(heard.starts_with(&format!("[{number},")), "{heard}");
    }
}

fn resident_mib(pid: u32) -> u64 {
    let statm = std::fs::read_to_string(format!("/proc/{pid}/statm")).unwrap();
    let pages: u64 = statm.split(' ').nth(1).unwrap().parse().unwrap();
    pages * 4096 / (1 << 20)
}

#[tokio::test]
async fn stopped_subscriber_lags_and_harms_nobody() {
    const COUNT: u64 = 20_000;
    let fleet = quiet().await;
    let mut tail = tail(&fleet, "flood.>", "flood.probe").await;
    let also = tail_of_flood(&fleet).await;
    also.signal(Signal::STOP);
    let before = resident_mib(fleet.process.id());
    let mut reader = fleet.hear_raw("flood").await;
    flood(&fleet, COUNT, &mut reader).await;
    // 8 MiB for the stopped one, and what the allocator makes of it.
    let grown = resident_mib(fleet.process.id()) - before;
    assert!(grown < 40, "{grown} MiB");
    also.signal(Signal::CONT);
    fleet.bus.emit_json("flood.end", &()).await.unwrap();
    tail.wait_for_line("flood.end", PATIENCE).await;
    fleet.bus.emit_json("flood", &json!(["end"])).await.unwrap();
    also.stdout
        .clone()
        .wait_for_line("[\"end\"]", PATIENCE)
        .await;
    let lines = also
        .stdout
        .all()
        .into_iter()
        .map(|l| serde_json::from_str::<Value>(&l).unwrap());
    let (lost, events): (Vec<_>, Vec<_>) = lines.partition(|line| line.get("lagged").is_some());
    let lost: u64 = lost
        .iter()
        .map(|line| line["lagged"].as_u64().unwrap())
        .sum();
    let numbered = events
        .iter()
        .filter(|line| line["payload"][0].is_u64())
        .count() as u64;
    assert!(lost > 0);
    assert_eq!(numbered + lost, COUNT, "each event is shown or counted");
}

/// A tail of the topic `flood` alone.
async fn tail_of_flood(fleet: &Fleet) -> Process {
    let mut tail = fleet.ostler(["tail", "flood"]).start();
    let stands = async { while fleet.bus.json("flood", &()).acked().await != Ok(1) {} };
    deadline("the tail's subscription", PATIENCE, stands).await;
    // It has read the hub's answer, too: stopped before, it would give the hub up when it goes on.
    tail.wait_for_line("\"flood\"", PATIENCE).await;
    tail
}

#[tokio::test]
async fn dead_subscriber_costs_the_others_nothing() {
    let fleet = quiet().await;
    let dying = tail_of_flood(&fleet).await;
    let mut reader = fleet.hear_raw("flood").await;
    flood(&fleet, 1000, &mut reader).await;
    dying.signal(Signal::KILL);
    flood(&fleet, 5000, &mut reader).await;
    nobody_hears_but_one(&fleet).await;
}

async fn nobody_hears_but_one(fleet: &Fleet) {
    let one = async { while fleet.bus.json("flood", &()).acked().await != Ok(1) {} };
    deadline("the dead one's subscription to go", PATIENCE, one).await;
}

#[tokio::test]
async fn flooded_bus_delays_neither_control_nor_supervision() {
    let fleet = Fleet::ready(PROGRAMS.habit(1, &["trivial"]), 1).await;
    let (stop, stopped) = tokio::sync::watch::channel(false);
    let flooder = client(&fleet, "flooder").await;
    let _slow = Heard::raw(&client(&fleet, "slow").await, "flood").await;
    let flooding = std::thread::spawn(move || {
        while !*stopped.borrow() {
            // What there is no room for is not what is tested.
            let _full = flooder.json("flood", &"x".repeat(100)).try_send();
        }
    });
    let began = std::time::Instant::now();
    for _ in 0..20 {
        fleet.status().await;
    }
    let old = fleet.worker("web", 0).await;
    let pid = rustix::process::Pid::from_raw(old.pid.unwrap() as i32).unwrap();
    rustix::process::kill_process(pid, Signal::KILL).unwrap();
    let newer = |s: &ostler_bus::vocab::status::StatusReport| {
        s.workers.iter().any(|w| w.id > old.id && w.pid.is_some())
    };
    fleet.until("a successor", newer).await;
    let took = began.elapsed();
    stop.send_replace(true);
    flooding.join().unwrap();
    assert!(took < Duration::from_secs(5), "{took:?}");
}
