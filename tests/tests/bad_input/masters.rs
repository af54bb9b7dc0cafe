//! Masters in the way of each other, and people who may not in.

use super::*;

#[tokio::test]
async fn second_master_of_a_name_is_refused() {
    let (fleet, pids) = well().await;
    let second = fleet.ostler(["run", "-n", "web", "--", "sleep", "60"]);
    let output = second.fails_with(75).await;
    let pid = fleet.process.id().to_string();
    told(&output, &["web", "already running", &pid, "hint: ", "-M"]);
    still_well(&fleet, &pids).await;
}

/// Of several that start at once exactly one wins, and the others say so.
#[tokio::test]
async fn race_of_masters_has_one_winner() {
    let alone = Alone::new();
    let run = ["run", "-n", "race", "-i", "0", "--", "sleep", "60"];
    let mut all: Vec<Process> = (0..8).map(|_| alone.ostler(&run).start()).collect();
    let losers = || (all.iter().filter(|p| p.exit().is_some()).count() == 7).then_some(());
    eventually("seven to give up", PATIENCE, losers).await;
    let (winners, losers): (Vec<_>, Vec<_>) = all.iter_mut().partition(|p| p.exit().is_none());
    for loser in losers {
        assert_eq!(loser.exit(), Some(Exit::Code(75)), "{}", loser.output());
    }
    let ping = alone.ostler(&["ping", "--json"]).success().await.json();
    assert_eq!(ping["pid"], winners[0].id());
}

#[tokio::test]
async fn stale_socket_of_a_dead_master_is_replaced() {
    let fleet = Fleet::start(PROGRAMS.habit(0, &["trivial"])).await;
    fleet.process.signal(Signal::KILL);
    fleet.process.wait(PATIENCE).await;
    assert!(fleet.socket().exists());
    fleet
        .ostler(["ls"])
        .stderr_contains("no master is running")
        .fails_with(3)
        .await;
    let mut again = fleet
        .ostler(["run", "-n", "web", "-i", "0", "--", "sleep", "60"])
        .start();
    again.stderr.wait_for_line("master web", PATIENCE).await;
    let ping = fleet.ostler(["ping", "--json"]).success().await.json();
    assert_eq!(ping["pid"], again.id());
}

#[tokio::test]
async fn client_of_another_uid_is_refused() {
    let guest = Guest::new(PROGRAMS.ostler);
    if !guest.is_another() {
        return eprintln!("not run: only root can be another user");
    }
    let (fleet, pids) = well().await;
    let ls = |fleet: &Fleet| {
        guest
            .ostler(&["-M", "web", "ls"])
            .env("OSTLER_HOME", fleet.home())
    };
    let output = ls(&fleet).run().await;
    assert!(
        output.stderr.starts_with("error: ") && output.stderr.contains("hint: "),
        "{output:#?}"
    );
    assert!(
        output.exit != Exit::Code(0) && output.stdout.is_empty(),
        "{output:#?}"
    );
    // Even where somebody has opened the way to the socket.
    let open = |path: &Path, mode| {
        std::fs::set_permissions(path, PermissionsExt::from_mode(mode)).unwrap();
    };
    for dir in [
        fleet.dir().path(),
        &fleet.home(),
        fleet.socket().parent().unwrap(),
    ] {
        open(dir, 0o711);
    }
    open(&fleet.socket(), 0o777);
    let socket = fleet.socket();
    let hear = guest.program(PROGRAMS.misbehave, &["hear", socket.to_str().unwrap()]);
    hear.stdout_contains("uid 65534 may not connect")
        .success()
        .await;
    let denied = fleet.logged("turned away from the bus").await;
    assert!(denied.contains("uid 65534"), "{denied}");
    still_well(&fleet, &pids).await;
}

#[tokio::test]
async fn worker_socket_is_for_the_worker_alone() {
    let fleet = Fleet::ready(PROGRAMS.sdk(1), 1).await;
    let mut forged = hello("worker");
    forged["name"] = json!("web");
    forged["token"] = json!("0123456789abcdef0123456789abcdef");
    let mut peer = Peer::connect(fleet.socket()).await;
    peer.send(kind::HELLO, 0, &forged).await;
    peer.closing().await;
    assert_eq!(fleet.status().await.workers.len(), 1);
}
