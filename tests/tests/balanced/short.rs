//! A master that may open no more files.

use std::time::Instant;

use ostler_tests::harness::eventually;
use rustix::process::{Resource, Rlimit, getrlimit, prlimit};

use super::*;

#[tokio::test]
async fn one_that_can_t_accept_says_so_once_and_goes_on_as_soon_as_it_can() {
    let fleet = ready(&web(2), 2).await;
    let address = fleet.address().await;
    taking_after(&fleet, address).await;
    let pid = Pid::from_raw(fleet.process.id().cast_signed());
    let limit = |limit| prlimit(pid, Resource::Nofile, limit).expect("its own child's");
    let said = || {
        let output = fleet.process.output();
        let lines = output.lines();
        let told: Vec<&str> = lines
            .filter(|it| it.contains("web: can't accept"))
            .collect();
        assert!(
            told.iter().all(|it| it.contains("(ulimit -n: 3)")),
            "{told:?}"
        );
        told.len()
    };
    // Each shortage is told of once.
    for shortage in 1..=2 {
        // It has more than that, so that none is left.
        let before = limit(Rlimit {
            current: Some(3),
            maximum: getrlimit(Resource::Nofile).maximum,
        });
        let mut answers = Vec::new();
        for _ in 0..3 {
            answers.push(knock(address, "/").await);
        }
        let told = || (said() == shortage).then_some(());
        eventually("it to be told", PATIENCE, told).await;
        // It tries again all the while, and does what else there is to do.
        let since = Instant::now();
        while since.elapsed() < Duration::from_millis(300) {
            assert_eq!(fleet.status().await.apps[0].ready, 2);
        }
        assert_eq!(said(), shortage);
        assert!(answers.iter().all(|answer| !answer.is_finished()));
        limit(before);
        answered(answers).await;
    }
    let tally = fleet.load_with(to(address, "/").requests(100)).await;
    assert_eq!(tally.finish().await.lost(), 0);
}
