//! What the kernel does by itself where the machine's owner has it so: `net.ipv4.tcp_migrate_req`.

use super::{changes::left_over, *};

/// Has this thread, and what it starts, in a network of its own that has the setting; if that can't be, why.
fn enter_network() -> Result<(), String> {
    if !rustix::process::geteuid().is_root() {
        return Err("only root can have a network of its own".into());
    }
    nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNET).map_err(|e| e.to_string())?;
    let up = std::process::Command::new("ip")
        .args(["link", "set", "lo", "up"])
        .status();
    match up {
        Ok(status) if status.success() => {}
        other => return Err(format!("ip link set lo up: {other:?}")),
    }
    let setting = "/proc/sys/net/ipv4/tcp_migrate_req";
    std::fs::write(setting, "1").map_err(|e| format!("{setting}: {e}"))
}

async fn what_waits_for_a_slot_that_goes_is_the_others() {
    let (fleet, answers) = left_over().await;
    fleet.ostler(["scale", "1"]).success().await;
    let slots = answered(answers).await;
    assert!(slots.iter().all(|slot| *slot == 0), "{slots:?}");
    let one = |status: &StatusReport| sockets(status).len() == 1;
    fleet.until("the socket to be gone", one).await;
    let output = fleet.process.output();
    assert!(!output.contains("waited at its socket"), "{output}");
    // It may come back, in its place.
    fleet.ostler(["scale", "2"]).success().await;
    chosen(&fleet, &[0, 1]).await;
    let plan = to(fleet.address().await, "/").by_field("slot");
    let tally = fleet.load_with(plan.requests(100)).await.finish().await;
    assert_eq!((tally.lost(), tally.by.len()), (0, 2), "{tally}");
}

/// By a thread of its own: others of this process stay in the machine's network.
#[test]
fn where_it_moves_connections_nothing_is_kept_or_lost() {
    let test = std::thread::spawn(|| {
        if let Err(why) = enter_network() {
            return eprintln!("skipped: {why}");
        }
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build();
        let scenario = what_waits_for_a_slot_that_goes_is_the_others();
        runtime.expect("a runtime").block_on(scenario);
    });
    if let Err(panic) = test.join() {
        std::panic::resume_unwind(panic);
    }
}
