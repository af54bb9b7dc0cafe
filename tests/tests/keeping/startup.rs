//! `startup`: a unit of systemd.

use std::{fs, path::Path, process::Command};

use super::*;

/// Whether systemd finds nothing wrong with a unit, where its tool is installed.
fn verify(unit: &Path) {
    let directory = unit.parent().expect("a directory");
    let checked = Command::new("systemd-analyze")
        .args(["--user", "verify"])
        .arg(unit)
        // Without one it looks at nothing.
        .env("XDG_RUNTIME_DIR", directory)
        .output();
    let Ok(checked) = checked else {
        return;
    };
    let told = String::from_utf8_lossy(&checked.stderr);
    let name = unit.file_name().expect("a name").to_string_lossy();
    // What it says of the machine is not about the unit.
    let about_it: Vec<&str> = told.lines().filter(|line| line.contains(&*name)).collect();
    assert!(
        about_it.is_empty(),
        "{about_it:#?}\n{}",
        fs::read_to_string(unit).expect("a unit")
    );
}

#[tokio::test]
async fn a_unit_is_printed_for_a_file_and_nothing_is_written() {
    let yard = PROGRAMS.yard();
    let slow = idle("web").set(
        "kill_ladder",
        serde_json::json!(["TERM:90s", "INT:10s", "KILL"]),
    );
    let file = yard
        .dir
        .write("shop.toml", &App::file(&[slow, idle("api")]));
    let unit = yard.ostler(&["startup", "shop.toml", "--user"]);
    let unit = unit
        .env("HOME", yard.dir.path())
        .stderr_empty()
        .success()
        .await
        .stdout;
    for line in [
        "Type=notify",
        &format!(
            "ExecStart={} -M test run --stay {}",
            PROGRAMS.ostler,
            file.display()
        ),
        &format!("ExecReload={} -M test reload --config", PROGRAMS.ostler),
        &format!(
            "Environment=\"OSTLER_HOME={}\"",
            yard.dir.at("home").display()
        ),
        &format!("WorkingDirectory={}", yard.dir.path().display()),
        "KillMode=mixed",
        "TimeoutStopSec=130",
        "WantedBy=default.target",
    ] {
        assert!(
            unit.lines().any(|known| known == line),
            "no {line} in\n{unit}"
        );
    }
    assert!(!yard.dir.at(".config").exists());
    verify(&yard.dir.write("ostler-test.service", &unit));
    let system = yard.ostler(&["startup", "shop.toml", "--system"]);
    if rustix::process::geteuid().is_root() {
        let system = system.success().await.stdout;
        assert!(system.contains("WantedBy=multi-user.target"), "{system}");
    } else {
        system.stderr_contains("is run by root").fails_with(2).await;
    }
    let odd = yard.dir.at("a\nUser=root");
    fs::create_dir(&odd).expect("made");
    fs::copy(&file, odd.join("shop.toml")).expect("copied");
    yard.ostler(&["startup", "a\nUser=root/shop.toml"])
        .stdout("")
        .stderr_contains("can't be written into a unit")
        .fails_with(2)
        .await;
    yard.ostler(&["startup", "nothing.toml"])
        .fails_with(78)
        .await;
}

#[tokio::test]
async fn a_unit_is_installed_enabled_and_removed() {
    let yard = PROGRAMS.yard();
    yard.dir.write("ostler.toml", &App::file(&[idle("web")]));
    let ostler = |args: &[&str]| {
        yard.ostler(args)
            .env("XDG_CONFIG_HOME", yard.dir.at("config"))
    };
    let units = yard.dir.at("config/systemd/user");
    let (unit, link) = (
        units.join("ostler-test.service"),
        units.join("default.target.wants/ostler-test.service"),
    );
    yard.ostler(&["start"]).success().await;
    // Nothing is saved yet: it is said, and the unit waits for it.
    ostler(&["startup", "--user", "--install"])
        .stdout("")
        .stderr_contains("nothing is saved yet")
        .stderr_contains("systemctl --user start ostler-test.service")
        .stderr_contains("the master test runs already")
        .success()
        .await;
    let saved = yard.dir.at("home").join("test.saved.toml");
    let text = fs::read_to_string(&unit).expect("a unit");
    let condition = format!("ConditionPathExists={}", saved.display());
    assert!(text.lines().any(|line| line == condition), "{text}");
    let target = fs::canonicalize(&link).expect("a link that leads somewhere");
    assert_eq!(target, fs::canonicalize(&unit).expect("a unit"));
    verify(&unit);
    // Again: the same.
    yard.ostler(&["save"]).success().await;
    ostler(&["startup", "--user", "--install"]).success().await;

    ostler(&["startup", "--user", "--remove"])
        .stderr_contains("removed ")
        .success()
        .await;
    assert!(!unit.exists() && fs::symlink_metadata(&link).is_err());
    ostler(&["unstartup", "--user"])
        .stderr_contains("no master has a unit")
        .fails_with(4)
        .await;

    // Somebody else's is left alone.
    fs::write(&unit, "[Unit]\n").expect("written");
    for args in [
        ["startup", "--user", "--install"],
        ["startup", "--user", "--remove"],
    ] {
        ostler(&args)
            .stderr_contains("was not written by")
            .fails_with(1)
            .await;
    }
    assert_eq!(fs::read_to_string(&unit).expect("still there"), "[Unit]\n");
    yard.ostler(&["kill"]).success().await;
}

#[tokio::test]
async fn the_master_that_runs_is_meant_rather_than_one_that_was_saved() {
    let yard = PROGRAMS.yard();
    yard.dir.write("ostler.toml", &App::file(&[idle("web")]));
    yard.ostler(&["start"]).success().await;
    yard.ostler(&["save"]).success().await;
    yard.ostler(&["kill"]).success().await;
    let text = App::file(&[idle("web")]).replace("\"test\"", "\"other\"");
    yard.dir.write("other.toml", &text);
    yard.ostler(&["start", "other.toml"]).success().await;
    let unit = yard
        .ostler(&["startup", "--user"])
        .env("HOME", yard.dir.path())
        .success()
        .await
        .stdout;
    assert!(unit.contains(" -M other run --stay "), "{unit}");
    yard.ostler(&["kill"]).success().await;
}

/// What systemd does with the unit, done by hand: the line that it runs brings the saved fleet up.
#[tokio::test]
async fn what_the_unit_runs_is_the_saved_fleet() {
    let yard = PROGRAMS.yard();
    yard.dir
        .write("ostler.toml", &App::file(&[idle("web").instances(2)]));
    yard.ostler(&["start"]).success().await;
    yard.ostler(&["save"]).success().await;
    let unit = yard
        .ostler(&["startup", "--user"])
        .env("HOME", yard.dir.path());
    let unit = unit.success().await.stdout;
    yard.ostler(&["kill"]).success().await;
    let line = unit
        .lines()
        .find_map(|line| line.strip_prefix("ExecStart="));
    let words: Vec<&str> = line.expect("a command").split(' ').skip(1).collect();
    let master = yard.ostler(&words).start();
    ostler_tests::harness::deadline("the fleet", PATIENCE, async {
        loop {
            let status = yard.ostler(&["ls", "--json"]).run().await;
            if status.stdout.contains("\"ready\": 2") {
                return;
            }
        }
    })
    .await;
    master.signal(rustix::process::Signal::TERM);
    master.wait(PATIENCE).await;
    assert!(master.output().contains("master test ended"));
}
