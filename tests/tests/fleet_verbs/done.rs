//! `run` ends when nothing is left to run, unless it is told to stay.

use super::*;
use ostler_tests::harness::{Exit, Master};
use serde_json::json;

fn job(name: &str, script: &str) -> App {
    App::new(name, ["sh", "-c", script])
        .set("oneshot", true)
        .set("restart", "never")
}

async fn ended(apps: &[App]) -> (Exit, Master) {
    let master = PROGRAMS.master().leaving().apps(apps).spawn();
    (master.process.wait(PATIENCE).await, master)
}

#[tokio::test]
async fn run_ends_with_the_last_oneshot() {
    let apps = [
        job("migrate", "echo migrated"),
        job("load", "sleep 0.2").set("depends_on", "migrate"),
        idle("helper").set("autostart", false),
    ];
    let (exit, mut master) = ended(&apps).await;
    assert_eq!(exit, Exit::Code(0));
    let told = master.wait_for_log("exited with code 0").await;
    assert!(
        !told.contains("ERROR"),
        "work that is done is no error: {told}"
    );
    master.wait_for_log("nothing is left to run").await;
    master.assert_nothing_left().await;
}

#[tokio::test]
async fn run_ends_with_1_if_a_job_failed_and_does_not_wait_for_who_needs_it() {
    let apps = [
        job("migrate", "exit 3"),
        idle("web").set("depends_on", "migrate"),
    ];
    assert_eq!(ended(&apps).await.0, Exit::Code(1));
}

#[tokio::test]
async fn codes_that_end_a_worker_for_good_end_the_master_of_nothing_else() {
    let app = App::new("once", ["sh", "-c", "exit 7"]).set("stop_exit_codes", json!([7]));
    assert_eq!(ended(&[app]).await.0, Exit::Code(0));
}

#[tokio::test]
async fn who_was_stopped_may_be_started_again_and_stay_is_stay() {
    let builder = PROGRAMS.master().leaving();
    let fleet = Fleet::ready(builder.apps(&[idle("web")]), 1).await;
    fleet.ostler(["stop"]).success().await;
    fleet.ostler(["start"]).success().await;
    let staying = Fleet::start(PROGRAMS.master().apps(&[job("once", "true")])).await;
    staying
        .until("it to have ended", |s| s.apps[0].state == "stopped")
        .await;
    staying.ostler(["start", "once"]).success().await;
}
