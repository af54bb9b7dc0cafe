//! Clocks that say something else than usual. The master measures all time by the monotonic clock, which nobody can set; it reads
//! the time of day only to stamp lines and log files. A kernel that can show a process another monotonic clock proves it:
//! one of a machine that has only just started, and one of a machine that has been up for years.

use super::*;

/// The seconds that this machine's monotonic clock shows.
fn uptime() -> u64 {
    let uptime = fs::read_to_string("/proc/uptime").expect("proc");
    let seconds = uptime.split('.').next().and_then(|text| text.parse().ok());
    seconds.expect("seconds")
}

#[tokio::test]
async fn it_is_all_the_same_how_long_the_machine_has_been_up() {
    let just_now = format!("-{}", uptime().saturating_sub(1));
    for offset in [just_now.as_str(), "2000000000"] {
        let words = ["unshare", "-T", "--monotonic", offset];
        let offsets = ["cat", "/proc/self/timens_offsets"];
        let here = Cli::new(words[0])
            .args(&words[1..])
            .args(offsets)
            .run()
            .await;
        if here.exit != Exit::Code(0) || !here.stdout.contains(offset) {
            return eprintln!("not run: no other clock can be had here: {}", here.stderr);
        }
        let backoff = json!({"first": "100ms", "max": "200ms"});
        let apps = [
            habit!("web", "notify 0").set("min_healthy", "100ms"),
            habit!("bad", "exit 1 20").set("backoff", backoff),
            habit!("slow", "hang-in-start")
                .set("ready", "notify")
                .set("start_timeout", "300ms"),
        ];
        let master = ostler!().through(words).apps(&apps).start().await;
        let mut tail = master.tail().await;
        let namespace = |pid: &str| fs::read_link(format!("/proc/{pid}/ns/time")).ok();
        let inside = namespace(&master.process.id().to_string());
        assert!(
            inside.is_some() && inside != namespace("self"),
            "{inside:?}"
        );
        master.settled("web", "running").await;
        for app in ["bad", "slow"] {
            tail.next_with("worker.exited", "/worker/app", app).await;
        }
        tail.next_with("worker.spawned", "/worker/app", "bad").await;
        let age = master.workers("web").await[0]["age_ms"].as_u64();
        assert!(age < Some(60_000), "{age:?}");
        let began = Instant::now();
        master.ostler(["reload", "web"]).success().await;
        assert!(began.elapsed() >= Duration::from_millis(100));
        end(master).await;
    }
}
