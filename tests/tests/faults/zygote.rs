//! The process that copies itself for each worker is killed, stopped, or no longer like its master.

use super::*;

/// Ends the worker in this slot, and waits for the next one.
async fn respawn(master: &Master, tail: &mut Tail, slot: u64) {
    master.signal(master.pid("web", slot).await, Signal::KILL);
    tail.next_with("worker.ready", "/worker/slot", slot).await;
}

#[tokio::test]
async fn whether_it_is_killed_or_stopped_costs_nobody_a_start() {
    let (master, mut tail) = started(&[web("web").instances(2)]).await;
    master.settled("web", "running").await;
    tail.settle(&master).await;
    for signal in [Signal::KILL, Signal::STOP] {
        for slot in 0..2 {
            let zygote = master.zygote().await;
            master.signal(zygote, signal);
            respawn(&master, &mut tail, slot).await;
            // So that there is one that serves.
            respawn(&master, &mut tail, slot).await;
            assert_ne!(master.zygote().await, zygote);
        }
    }
    let exits = tail.all("worker.exited");
    assert!(
        exits
            .iter()
            .all(|exit| exit["status"] == json!({"Signal": "SIGKILL"})),
        "{exits:#?}"
    );
    end(master).await;
}

#[tokio::test]
async fn it_ends_with_its_master_however_that_ends() {
    for signal in [Signal::TERM, Signal::KILL] {
        let (mut master, _tail) = started(&[web("web").instances(0)]).await;
        master.zygote().await;
        master.end(signal).await;
        master.assert_nothing_left().await;
    }
    let (mut master, _tail) = started(&[web("web").instances(0)]).await;
    master.signal(master.zygote().await, Signal::STOP);
    master.end(Signal::TERM).await;
    master.assert_nothing_left().await;
}

#[tokio::test]
async fn what_is_changed_of_the_master_is_so_of_the_workers_that_follow() {
    let (master, mut tail) = started(&[web("web")]).await;
    master.settled("web", "running").await;
    tail.settle(&master).await;
    let core_limit = async || {
        let pid = master.pid("web", 0).await;
        let limits = fs::read_to_string(format!("/proc/{pid}/limits")).expect("a living process");
        let line = limits.lines().find(|line| line.contains("core file"));
        line.expect("its limits").to_owned()
    };
    for limit in ["4096:8192", "2048:8192"] {
        let (soft, hard) = limit.split_once(':').expect("both");
        let zygote = master.zygote().await;
        let master_pid = master.process.id().to_string();
        let arguments = ["--pid", &master_pid, &format!("--core={limit}")];
        Cli::new("prlimit").args(arguments).success().await;
        for _ in 0..2 {
            respawn(&master, &mut tail, 0).await;
            let line = core_limit().await;
            let words: Vec<&str> = line.split_whitespace().collect();
            assert_eq!(words[4..6], [soft, hard], "{line}");
        }
        assert_ne!(master.zygote().await, zygote);
    }
    end(master).await;
}
