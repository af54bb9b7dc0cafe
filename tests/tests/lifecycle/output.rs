//! What workers print.

use super::*;

#[tokio::test]
async fn output_reaches_the_masters_log_with_its_prefix() {
    let app =
        script("web", "echo out; echo err >&2; printf last").set("stop_exit_codes", json!([0]));
    let mut master = ostler!().apps(&[app]).start().await;
    for line in ["web.0 | out", "web.0 | last"] {
        master
            .process
            .wait_for_line(|read: &str| read == line, PATIENCE)
            .await;
    }
    master
        .wait_for_log(|read: &str| read == "web.0 ! err")
        .await;
}

#[tokio::test]
async fn everything_printed_before_the_exit_is_in_the_log() {
    let app = App::new("web", ["seq", "10000"]).set("stop_exit_codes", json!([0]));
    let mut master = ostler!().apps(&[app]).start().await;
    master
        .process
        .wait_for_line("web.0 | 10000", PATIENCE)
        .await;
    let lines = master.process.stdout.all();
    let numbers: Vec<u32> = lines
        .iter()
        .filter_map(|line| line.strip_prefix("web.0 | ")?.parse().ok())
        .collect();
    assert!(
        numbers.iter().copied().eq(1..=10_000),
        "{} lines",
        numbers.len()
    );
}

#[tokio::test]
async fn flooding_worker_holds_up_nobody() {
    let (master, mut tail) = started(&[
        App::new("flood", ["yes", "all work and no play"]).instances(0),
        habit!("api", "notify 0"),
    ])
    .await;
    master.settled("api", "running").await;
    tail.settle(&master).await;
    master.ostler(["scale", "flood", "2"]).success().await;
    let memory = |status: Value| status["master"]["memory"].as_u64().expect("a figure");
    for _ in 0..10 {
        master.signal(master.pid("api", 0).await, Signal::KILL);
        tail.next_with("worker.ready", "/worker/app", "api").await;
    }
    let status = master.status().await;
    assert_eq!(master.pids("flood").await.len(), 2);
    let used = memory(status);
    assert!(used < 128 << 20, "{used} bytes");
}

#[tokio::test]
async fn grandchildren_neither_delay_an_exit_nor_survive_in_the_group() {
    let once = json!([0]);
    let own = habit!("own", "fork-and-leave own-group").set("stop_exit_codes", once.clone());
    let same = habit!("same", "fork-and-leave").set("stop_exit_codes", once);
    let (mut master, mut tail) = started(&[own.instances(0), same.instances(0)]).await;
    master
        .ostler(["scale", "own", "1", "--no-wait"])
        .success()
        .await;
    // It holds the pipes for 30 s, which is longer than this waits.
    tail.next("worker.exited").await;
    master
        .ostler(["scale", "same", "1", "--no-wait"])
        .success()
        .await;
    let line = master
        .process
        .wait_for_line("same.0 | left ", PATIENCE)
        .await;
    tail.next("worker.exited").await;
    let pid: u32 = line
        .rsplit(' ')
        .next()
        .and_then(|pid| pid.parse().ok())
        .expect("a pid");
    let gone = || (!master.descendants().contains(&pid)).then_some(());
    eventually("the straggler to be killed", PATIENCE, gone).await;
}
