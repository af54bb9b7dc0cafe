//! One slow worker holds its publisher back, a group shares what comes, one question goes to many: with real workers.

use std::collections::BTreeSet;

use super::*;

const TALKER: &str = env!("CARGO_BIN_EXE_talker");

async fn talking(workers: u32, habit: &[&str]) -> Fleet {
    let master = PROGRAMS.master().name("web").instances(workers);
    let words = [&[TALKER], habit].concat();
    Fleet::ready(master.command(words), workers as usize).await
}

/// The numbers that a slot's workers said they took.
fn taken(fleet: &Fleet, slot: &str) -> Vec<u64> {
    let words = format!("slot {slot} took ");
    let lines = fleet.process.stdout.all();
    let numbers = lines.iter().filter_map(|line| line.split_once(&words));
    numbers.map(|(_, n)| n.trim().parse().unwrap()).collect()
}

#[tokio::test]
async fn slow_worker_holds_its_publisher_back_and_loses_nothing() {
    const COUNT: u64 = 60;
    let fleet = talking(1, &["slow", "20"]).await;
    let client = client(&fleet, "publisher").await;
    for n in 0..COUNT {
        client.emit(&Note::new("", n)).await.unwrap();
        // Sent and answered: what the hub has said of holding is known here.
        client.json("other", &()).acked().await.unwrap();
    }
    let ahead = COUNT - taken(&fleet, "0").len() as u64;
    assert!(ahead <= 32, "{ahead} ahead of a worker that lets 16 wait");
    fleet.said(format!("took {}", COUNT - 1).as_str()).await;
    assert_eq!(taken(&fleet, "0"), (0..COUNT).collect::<Vec<_>>());
}

#[tokio::test]
async fn group_shares_events_and_takes_over_those_of_a_member_that_is_killed() {
    const COUNT: u64 = 60;
    let fleet = talking(3, &["group", "20"]).await;
    let pids: Vec<u32> = fleet
        .until_ready(3)
        .await
        .iter()
        .map(|w| w.pid.unwrap())
        .collect();
    for n in 0..COUNT {
        fleet.bus.emit(&Note::new("", n)).await.unwrap();
    }
    fleet.said("slot 0 took").await;
    let victim = rustix::process::Pid::from_raw(pids[0].cast_signed()).unwrap();
    rustix::process::kill_process(victim, Signal::KILL).unwrap();
    let all = || {
        let slots = ["0", "1", "2"].map(|slot| taken(&fleet, slot));
        let all: BTreeSet<u64> = slots.iter().flatten().copied().collect();
        (all.len() as u64 == COUNT).then_some(slots)
    };
    let slots = eventually("all events to be taken", PATIENCE, all).await;
    let twice = slots.iter().map(Vec::len).sum::<usize>() as u64 - COUNT;
    // What it had taken and not confirmed: its window.
    assert!(twice <= 4, "{twice} were taken twice: {slots:?}");
    assert!(slots.iter().all(|slot| !slot.is_empty()), "{slots:?}");
}

#[tokio::test]
async fn one_question_goes_to_every_worker_and_is_answered_by_each() {
    let fleet = answering("answer", 3).await;
    let question = fleet.bus.request_many(&Double { number: 21 });
    let answers = question.timeout(PATIENCE).ask().await.unwrap();
    let answers = answers.all().await.unwrap();
    let slots: BTreeSet<u32> = answers.iter().map(|answer| answer.reply.slot).collect();
    assert_eq!(slots, BTreeSet::from([0, 1, 2]));
    assert!(answers.iter().all(|answer| answer.reply.number == 42));
    let two = fleet.bus.request_many(&Double { number: 1 }).limit(2);
    let two = two.timeout(PATIENCE).ask().await.unwrap();
    assert_eq!(two.all().await.unwrap().len(), 2);
}
