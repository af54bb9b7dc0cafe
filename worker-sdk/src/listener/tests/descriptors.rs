//! Where this process has no descriptor left.

use super::*;

#[tokio::test]
async fn one_that_had_no_descriptor_asks_again_also_if_its_wait_was_dropped() {
    let (master, mut worker) = master();
    master.hand_over_too_many();
    let refused = async {
        assert_eq!(master.heard().await, TAKES);
        assert_eq!(master.heard().await, account(0, 1, 0));
    };
    tokio::select! {
        accepted = worker.accept() => panic!("{accepted:?}"),
        () = refused => {}
    }
    {
        let mut again = std::pin::pin!(worker.accept());
        assert!(futures::poll!(again.as_mut()).is_pending());
        assert_eq!(master.said(), None, "not at once");
    }
    let _waiting = waits(worker);
    assert_eq!(master.heard().await, TAKES);
}

/// In a process of its own, as all others here want descriptors too.
#[test]
fn one_that_has_no_descriptor_left_to_wait_with_goes_on() {
    const NAME: &str =
        "listener::tests::descriptors::without_a_descriptor_left_it_waits_and_tells_of_all";
    let this = std::env::current_exe().unwrap();
    let limited = "ulimit -n 64; exec \"$0\" \"$@\"";
    let run = std::process::Command::new("sh")
        .args(["-c", limited])
        .arg(this)
        .args(["--exact", NAME, "--ignored", "--nocapture"])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&run.stdout);
    assert!(run.status.success(), "{run:?}");
    assert!(said.contains("1 passed"), "{said}");
}

#[tokio::test]
#[ignore = "one_that_has_no_descriptor_left_to_wait_with_goes_on runs it, with a low limit on open files"]
async fn without_a_descriptor_left_it_waits_and_tells_of_all() {
    let (master, mut worker) = master();
    let mut open = vec![];
    for _ in 0..2 {
        master.hand_over(1);
        open.push(accepted(&mut worker).await);
    }
    let mut taken = 2;
    loop {
        master.hand_over(1);
        match timeout(Duration::from_millis(300), worker.accept()).await {
            Ok(accepted) => drop(accepted.unwrap()),
            // The channel is full.
            Err(_) => break,
        }
        taken += 1;
        assert!(taken < 100_000);
    }
    // The one that tells of closed ones has gone to wait by then.
    drop(open.pop());
    let mut none_left = vec![];
    while let Ok(file) = std::fs::File::open("/dev/null") {
        none_left.push(file);
    }
    let more = timeout(Duration::from_millis(200), worker.accept()).await;
    assert!(more.is_err(), "{more:?}");
    drop(none_left);
    let mut told = Account::default();
    while told.closed < taken - 1 {
        if let WorkerWord::Account(account) = master.heard().await {
            told.closed += account.closed;
        }
    }
    // Nobody takes another: it is told by itself.
    drop(open);
    assert_eq!(master.heard().await, account(0, 0, 1));
}
