//! `save` and `resurrect`: what runs is written down, and runs again.

use std::{fs, os::unix::fs::MetadataExt as _};

use serde_json::json;

use super::*;

fn running(name: &str, size: u64) -> (String, String, u64) {
    (name.into(), "running".into(), size)
}

#[tokio::test]
async fn what_runs_is_written_down_and_runs_again() {
    let yard = PROGRAMS.yard();
    let web = idle("web").instances(2);
    let web = web.set("env", json!({"SECRET": "${x}$$\"\n"}));
    let cron = idle("nightly").set("cron", json!({"at": "0 4 * * *", "timezone": "UTC"}));
    // What `${x}` stands for is decided when the file is read: here it is text.
    let file = App::file(&[web, cron]).replace("${x}$$", "$${x}$$");
    yard.dir.write("ostler.toml", &file);
    yard.ostler(&["start"]).success().await;
    yard.ostler(&["start", "-n", "cmd", "-i", "1", "--", "sleep", "600"])
        .success()
        .await;
    yard.ostler(&["scale", "web", "3"]).success().await;
    yard.ostler(&["stop", "nightly"]).success().await;
    let said = |app: &str| {
        let args = ["describe", app, "--json"];
        let told = yard.ostler(&args);
        async move { told.success().await.json()[0]["definition"]["settings"].clone() }
    };
    let before = said("nightly").await;

    let saved = yard.dir.at("home").join("test.saved.toml");
    let told = yard.ostler(&["save"]).stdout("").success().await;
    assert!(told.stderr.contains("saved 3 apps in "), "{told:#?}");
    assert_eq!(fs::metadata(&saved).expect("written").mode() & 0o777, 0o600);
    let path = saved.display().to_string();
    yard.ostler(&["validate", &path])
        .stdout_contains("3 apps")
        .success()
        .await;

    yard.ostler(&["kill"]).success().await;
    let told = yard.ostler(&["resurrect"]).success().await;
    assert!(
        told.stderr.contains("master test runs in the background"),
        "{told:#?}"
    );
    let back = [
        running("cmd", 1),
        ("nightly".into(), "stopped".into(), 1),
        running("web", 3),
    ];
    assert_eq!(yard.apps().await, back);
    let after = said("nightly").await;
    let values = |settings: &serde_json::Value| -> Vec<_> {
        let settings = settings.as_array().expect("settings").iter();
        let settings = settings.filter(|said| said["key"] != "autostart");
        settings
            .map(|said| (said["key"].clone(), said["value"].clone()))
            .collect()
    };
    assert_eq!(values(&after), values(&before));
    let (_, pid) = yard
        .pids()
        .await
        .into_iter()
        .find(|(name, _)| name == "web:0")
        .expect("web");
    let environ = fs::read(format!("/proc/{pid}/environ")).expect("it lives");
    let wanted = b"SECRET=${x}$\"\n\0";
    assert!(
        environ.windows(wanted.len()).any(|part| part == wanted),
        "as it was"
    );

    // Written again, the one before is kept.
    yard.ostler(&["scale", "web", "1"]).success().await;
    let told = yard.ostler(&["save"]).success().await;
    let previous = yard.dir.at("home").join("test.saved.1.toml");
    assert!(
        told.stderr.contains(&previous.display().to_string()),
        "{told:#?}"
    );
    let read = |path| fs::read_to_string(path).expect("a file");
    assert!(read(&previous).contains("instances = 3"));
    assert!(!read(&saved).contains("instances = 3"));
    assert_eq!(fs::metadata(&previous).expect("kept").mode() & 0o777, 0o600);
    yard.ostler(&["kill"]).success().await;
}

#[tokio::test]
async fn a_master_that_runs_gets_what_it_lacks_and_keeps_the_rest() {
    let yard = PROGRAMS.yard();
    yard.dir
        .write("ostler.toml", &App::file(&[idle("web"), idle("api")]));
    yard.ostler(&["start"]).success().await;
    yard.ostler(&["save"]).success().await;
    yard.ostler(&["delete", "api"]).success().await;
    yard.ostler(&["scale", "web", "2"]).success().await;
    let before = yard.pids().await;
    yard.ostler(&["resurrect"]).success().await;
    assert_eq!(yard.apps().await, [running("api", 1), running("web", 2)]);
    let after = yard.pids().await;
    assert!(
        before.iter().all(|worker| after.contains(worker)),
        "{before:?} {after:?}"
    );
    // Nothing is missing: nothing is done.
    yard.ostler(&["resurrect"])
        .stderr_contains("the master has all of it already")
        .success()
        .await;
    assert_eq!(yard.pids().await, after);
    yard.ostler(&["stop", "api"]).success().await;
    yard.ostler(&["save"]).success().await;
    yard.ostler(&["delete", "api"]).success().await;
    yard.ostler(&["resurrect"])
        .stderr_contains("added 1 app, 1 of them stopped")
        .success()
        .await;
    yard.ostler(&["kill"]).success().await;
}

#[tokio::test]
async fn a_file_by_name_is_a_process_file_like_any_other() {
    let yard = PROGRAMS.yard();
    yard.dir
        .write("ostler.toml", &App::file(&[idle("web").instances(2)]));
    yard.ostler(&["start"]).success().await;
    yard.ostler(&["save", "copy.toml"]).success().await;
    assert!(!yard.dir.at("home").join("test.saved.toml").exists());
    yard.ostler(&["save", "copy.json"])
        .stderr_contains("name it copy.toml")
        .fails_with(2)
        .await;
    // What it says is what runs.
    yard.ostler(&["start", "copy.toml"]).success().await;
    let plan = yard.ostler(&["kill"]).success().await;
    assert!(plan.stderr.contains("has ended"), "{plan:#?}");
    yard.ostler(&["start", "copy.toml"]).success().await;
    assert_eq!(yard.apps().await, [running("web", 2)]);
    yard.ostler(&["kill"]).success().await;
}

#[tokio::test]
async fn what_can_not_be_saved_or_brought_back_is_told() {
    let yard = PROGRAMS.yard();
    yard.ostler(&["save"]).fails_with(3).await;
    yard.ostler(&["resurrect"])
        .stderr_contains("nothing is saved")
        .stderr_contains("hint: while a master runs: ostler save")
        .fails_with(4)
        .await;
    yard.dir.write("ostler.toml", &App::file(&[idle("web")]));
    yard.ostler(&["start"]).success().await;
    fs::create_dir(yard.dir.at("home").join("test.saved.toml")).expect("in the way");
    yard.ostler(&["save"])
        .stderr_contains("can't write")
        .fails_with(1)
        .await;
    yard.ostler(&["kill"]).success().await;
}

#[tokio::test]
async fn a_fleet_that_ends_is_not_written_down() {
    let yard = PROGRAMS.yard();
    let busy = ostler_tests::habit!("web", "ignore-term").set("ready", "delay(0s)");
    yard.dir.write("ostler.toml", &App::file(&[busy]));
    yard.ostler(&["start"]).success().await;
    yard.ostler(&["save"]).success().await;
    let saved = yard.dir.at("home").join("test.saved.toml");
    let before = fs::read_to_string(&saved).expect("written");
    yard.ostler(&["kill", "--no-wait"]).success().await;
    yard.ostler(&["save"])
        .stderr_contains("what was saved before is still there")
        .fails_with(75)
        .await;
    assert_eq!(fs::read_to_string(&saved).expect("there"), before);
    yard.ostler(&["kill", "--force"]).success().await;
}

/// Without apps, and with one that is stopped: as it is, not as it was.
#[tokio::test]
async fn what_was_deleted_or_changed_while_it_was_stopped_does_not_come_back_as_it_was() {
    let yard = PROGRAMS.yard();
    yard.dir.write("ostler.toml", &App::file(&[idle("web")]));
    yard.ostler(&["start"]).success().await;
    yard.ostler(&["save"]).success().await;
    yard.ostler(&["stop"]).success().await;
    let newer = idle("web").set("env", json!({"NEWER": "1"}));
    yard.dir.write("ostler.toml", &App::file(&[newer]));
    yard.ostler(&["reload", "--config"]).success().await;
    yard.ostler(&["describe", "web"])
        .stdout_contains("NEWER")
        .success()
        .await;
    yard.ostler(&["save"]).success().await;
    let saved = yard.dir.at("home").join("test.saved.toml");
    let text = fs::read_to_string(&saved).expect("written");
    assert!(text.contains("NEWER") && text.contains("autostart = false"));

    yard.ostler(&["delete", "web"]).success().await;
    yard.ostler(&["describe"])
        .stderr_contains("there are no apps")
        .fails_with(4)
        .await;
    yard.ostler(&["save"])
        .stderr_contains("saved 0 apps in ")
        .success()
        .await;
    yard.ostler(&["kill"]).success().await;
    yard.ostler(&["resurrect"]).success().await;
    assert_eq!(yard.apps().await, []);
    yard.ostler(&["kill"]).success().await;
}
