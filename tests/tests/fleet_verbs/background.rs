//! `start` without a master: one in the background; with one: what is new is added to it; `kill` ends it.

use std::net::TcpListener;

use super::*;

#[tokio::test]
async fn a_master_is_started_in_the_background_and_kill_ends_it() {
    let yard = PROGRAMS.yard();
    yard.dir.write(
        "shop.toml",
        &App::file(&[idle("web").instances(2), idle("api")]),
    );
    let told = yard
        .ostler(&["start", "shop.toml"])
        .stdout("")
        .success()
        .await;
    assert!(
        told.stderr.contains("start done in")
            && told
                .stderr
                .contains("master test runs in the background: pid "),
        "{told:#?}"
    );
    // Up means up: nobody has to wait any more.
    assert_eq!(yard.running().await, ["api", "web"]);
    let status = yard.status().await;
    let pid = status["master"]["pid"].as_u64().expect("a pid");
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).expect("it lives");
    let fields: Vec<&str> = stat
        .rsplit_once(") ")
        .expect("a stat")
        .1
        .split(' ')
        .collect();
    assert_eq!(fields[3], pid.to_string(), "a session of its own");
    assert_eq!(fields[4], "0", "no terminal");
    let fd = |n: u32| std::fs::read_link(format!("/proc/{pid}/fd/{n}")).expect("a descriptor");
    let log = yard.dir.at("home").join("test.log");
    assert_eq!(fd(0).to_str(), Some("/dev/null"));
    assert_eq!((fd(1), fd(2)), (log.clone(), log.clone()));
    let note = std::fs::read_to_string(yard.dir.at("home").join("test/lock")).expect("a lock");
    assert_eq!(note.trim(), pid.to_string(), "the lock is its pid file");

    // Again: all runs, nothing is done.
    yard.ostler(&["start", "shop.toml"]).success().await;
    assert_eq!(yard.status().await["master"]["pid"], pid);
    yard.ostler(&["stop"]).success().await;
    assert_eq!(yard.running().await, [""; 0]);
    yard.ostler(&["start"]).success().await;
    assert_eq!(yard.running().await, ["api", "web"]);

    let killed = yard.ostler(&["kill"]).success().await;
    assert!(
        killed.stderr.contains("master test has ended"),
        "{killed:#?}"
    );
    assert!(!lives(u32::try_from(pid).expect("a pid")));
    yard.ostler(&["ls"]).fails_with(3).await;
    let log = std::fs::read_to_string(log).expect("the log stays");
    assert!(log.contains("master test ended"), "{log}");
}

#[tokio::test]
async fn a_log_that_was_renamed_or_removed_is_made_anew() {
    let yard = PROGRAMS.yard();
    let ticks = "while :; do echo tick; sleep 0.02; done";
    let app = App::new("web", ["sh", "-c", ticks]).instances(1);
    yard.dir
        .write("ostler.toml", &App::file(&[app.set("ready", "delay(0s)")]));
    yard.ostler(&["start"]).success().await;
    let pid = yard.status().await["master"]["pid"].as_u64();
    let pid = pid.and_then(|pid| i32::try_from(pid).ok());
    let master = rustix::process::Pid::from_raw(pid.expect("a pid")).expect("a pid");
    let log = yard.dir.at("home").join("test.log");
    let read = || std::fs::read_to_string(&log).unwrap_or_default();
    let ticks = || {
        eventually("a line", PATIENCE, || {
            read().contains("web.0 | tick").then_some(())
        })
    };
    ticks().await;
    // Noticed with the next line.
    let away = yard.dir.at("away");
    std::fs::rename(&log, &away).expect("renamed");
    ticks().await;
    std::fs::remove_file(&log).expect("removed");
    ticks().await;
    // Or at once, if somebody asks for it: what it had is free then.
    yard.ostler(&["stop"]).success().await;
    std::fs::remove_file(&log).expect("removed");
    rustix::process::kill_process(master, rustix::process::Signal::USR1).expect("it lives");
    eventually("the word of it", PATIENCE, || {
        read()
            .contains("SIGUSR1: 1 log files reopened")
            .then_some(())
    })
    .await;
    for number in 1..3 {
        let fd = format!("/proc/{}/fd/{number}", master.as_raw_nonzero());
        assert_eq!(std::fs::read_link(fd).expect("open"), log);
    }
    yard.ostler(&["kill"]).success().await;
    assert!(read().contains("master test ended"), "{}", read());
}

#[tokio::test]
async fn what_is_new_is_added_to_the_master_that_runs() {
    let yard = PROGRAMS.yard();
    yard.dir.write("ostler.toml", "name = \"main\"\n[app.web]\ncommand = [\"sleep\", \"600\"]\ninstances = 1\nready = \"delay(0s)\"\n");
    yard.dir
        .write("more.toml", &App::file(&[idle("one"), idle("two")]));
    yard.ostler(&["start"]).success().await;
    let told = yard.ostler(&["start", "more.toml"]).success().await;
    assert!(
        told.stderr.contains("it runs in the master main"),
        "{told:#?}"
    );
    yard.ostler(&[
        "start",
        "-n",
        "cmd",
        "-i",
        "2",
        "--ready",
        "delay(0s)",
        "--",
        "sleep",
        "600",
    ])
    .success()
    .await;
    assert_eq!(yard.running().await, ["cmd", "one", "two", "web"]);
    // The file says nothing of them, and leaves them alone.
    yard.ostler(&["reload", "--config"]).success().await;
    assert_eq!(yard.running().await, ["cmd", "one", "two", "web"]);
    let clash = yard.ostler(&["start", "-n", "web", "--", "sleep", "300"]);
    clash
        .stderr_contains("web runs already, and is defined otherwise (command")
        .fails_with(1)
        .await;
    yard.ostler(&["start", "--", "no-such-program"])
        .stderr_contains("no-such-program")
        .fails_with(2)
        .await;
    yard.ostler(&["delete", "cmd", "one"]).success().await;
    assert_eq!(yard.running().await, ["two", "web"]);
    // A second master has another name.
    yard.ostler(&[
        "-M",
        "second",
        "start",
        "-n",
        "x",
        "--ready",
        "delay(0s)",
        "--",
        "sleep",
        "600",
    ])
    .success()
    .await;
    yard.ostler(&["start", "-n", "y", "--", "sleep", "600"])
        .stderr_contains("2 masters are running")
        .fails_with(2)
        .await;
    yard.ostler(&["-M", "second", "kill"]).success().await;
    yard.ostler(&["kill"]).success().await;
}

#[tokio::test]
async fn an_app_that_does_not_start_is_told_with_its_last_lines() {
    let yard = PROGRAMS.yard();
    yard.dir.write(
        "ostler.toml",
        "name = \"bad\"\n[app.web]\ncommand = [\"sh\", \"-c\", \"echo no luck today >&2; exit 3\"]\ninstances = 1\n",
    );
    let told = yard.ostler(&["start"]).stdout("").fails_with(1).await;
    for part in [
        "start failed",
        "exited with code 3",
        "no luck today",
        "the master runs on",
    ] {
        assert!(told.stderr.contains(part), "{part}: {told:#?}");
    }
    yard.ostler(&["ping"]).success().await;
    yard.ostler(&["kill"]).success().await;
}

#[tokio::test]
async fn a_master_that_cannot_start_says_why() {
    let yard = PROGRAMS.yard();
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("an address").to_string();
    let told = yard
        .ostler(&["start", "-n", "web", "-l", &address, "--", "sleep", "600"])
        .stdout("")
        .fails_with(1)
        .await;
    assert!(
        told.stderr.contains("the master ended before it was up") && told.stderr.contains(&address),
        "{told:#?}"
    );
    yard.ostler(&["ls"]).fails_with(3).await;
    // What can be known before is said before.
    yard.dir.write("bad.toml", "[app.web]\ncomand = 1\n");
    yard.ostler(&["start", "bad.toml"])
        .stderr_contains("comand")
        .fails_with(78)
        .await;
    yard.ostler(&["start", "nowhere.toml"]).fails_with(78).await;
    yard.ostler(&["start", "-i", "2", "web"])
        .stderr_contains("-i goes with a process file or a command")
        .fails_with(2)
        .await;
}

#[tokio::test]
async fn without_anything_to_start_it_says_so() {
    let yard = PROGRAMS.yard();
    yard.ostler(&["start"])
        .stderr_contains("there is no ostler.toml here")
        .fails_with(3)
        .await;
    yard.ostler(&["start", "web"])
        .stderr_contains("no master is running")
        .fails_with(3)
        .await;
}

#[tokio::test]
async fn where_a_token_would_be_enough_no_command_is_taken() {
    let yard = PROGRAMS.yard();
    let tokens = yard.dir.write(
        "tokens",
        "operator deploy 0123456789abcdef0123456789abcdef\n",
    );
    let private = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    std::fs::set_permissions(tokens, private).expect("its mode");
    yard.dir.write(
        "ostler.toml",
        "name = \"open\"\n[app.web]\ncommand = [\"sleep\", \"600\"]\ninstances = 1\nready = \"delay(0s)\"\n[bus]\nlisten = \"127.0.0.1:0\"\ntokens = \"tokens\"\n",
    );
    yard.dir.write("more.toml", &App::file(&[idle("more")]));
    yard.ostler(&["start"]).success().await;
    yard.ostler(&["start", "-n", "cmd", "--", "sleep", "600"])
        .stderr_contains("a token must not be enough")
        .fails_with(1)
        .await;
    yard.ostler(&["start", "more.toml"]).success().await;
    assert_eq!(yard.running().await, ["more", "web"]);
    yard.ostler(&["kill"]).success().await;
}

#[tokio::test]
async fn where_the_master_runs_another_file_start_asks_which_is_meant() {
    let yard = PROGRAMS.yard();
    let dir = |name: &str, app: App| {
        let file = App::file(&[app]).replace("\"test\"", &format!("{name:?}"));
        let path = yard.dir.make(name);
        std::fs::write(path.join("ostler.toml"), file).expect("written");
        path
    };
    let (a, b) = (dir("a", idle("web")), dir("b", idle("api")));
    yard.ostler(&["start"]).dir(&a).success().await;
    yard.ostler(&["stop"]).success().await;
    let told = yard
        .ostler(&["start"])
        .dir(&b)
        .stdout("")
        .fails_with(2)
        .await;
    for part in [
        "the master a runs",
        "a/ostler.toml",
        "ostler -M b start",
        "ostler start ostler.toml",
        "ostler -M a start",
    ] {
        assert!(told.stderr.contains(part), "{part}: {told:#?}");
    }
    assert_eq!(yard.running().await, [""; 0], "nothing is done to a's");
    // Its own directory, and one without a file, leave no question.
    yard.ostler(&["start"]).dir(&a).success().await;
    assert_eq!(yard.running().await, ["web"]);
    yard.ostler(&["stop"]).success().await;
    yard.ostler(&["start"]).success().await;
    assert_eq!(yard.running().await, ["web"]);
    // Each of the hints does what it says.
    yard.ostler(&["start", "./ostler.toml"])
        .dir(&b)
        .success()
        .await;
    assert_eq!(yard.running().await, ["api", "web"]);
    yard.ostler(&["stop"]).success().await;
    // Now a's master has b's apps as well: there is no question.
    yard.ostler(&["start"]).dir(&b).success().await;
    assert_eq!(yard.running().await, ["api", "web"]);
    yard.ostler(&["stop"]).success().await;
    yard.ostler(&["-M", "a", "start", "--no-wait"])
        .dir(&b)
        .success()
        .await;
    yard.ostler(&["-M", "b", "start"]).dir(&b).success().await;
    let b_status = yard.ostler(&["-M", "b", "ls", "--json"]);
    assert_eq!(b_status.success().await.json()["apps"][0]["name"], "api");
    yard.ostler(&["-M", "b", "kill"]).success().await;
    yard.ostler(&["kill"]).success().await;
}

#[tokio::test]
async fn of_a_file_only_the_apps_that_are_named_start() {
    let yard = PROGRAMS.yard();
    let later = idle("later").set("autostart", false);
    let apps = [idle("web"), idle("db"), idle("api"), later];
    yard.dir.write("shop.toml", &App::file(&apps));
    yard.ostler(&["start", "shop.toml", "webs"])
        .stderr_contains("shop.toml has no app \"webs\"; did you mean \"web\"?")
        .fails_with(4)
        .await;
    yard.ostler(&["start", "shop.toml", "web", "later"])
        .success()
        .await;
    assert_eq!(yard.running().await, ["later", "web"]);
    // The others are known, and a file that says the same changes nothing.
    let before = yard.pids().await;
    yard.ostler(&["reload", "--config"]).success().await;
    assert_eq!(
        (yard.running().await, yard.pids().await),
        (vec!["later".into(), "web".into()], before)
    );
    yard.ostler(&["start", "shop.toml", "db"]).success().await;
    assert_eq!(yard.running().await, ["db", "later", "web"]);
    yard.ostler(&["start", "api"]).success().await;
    // To a master that has none of them only those that are named are added.
    yard.dir
        .write("more.toml", &App::file(&[idle("one"), idle("two")]));
    yard.ostler(&["start", "more.toml", "two"]).success().await;
    assert_eq!(yard.running().await, ["api", "db", "later", "two", "web"]);
    assert_eq!(yard.apps().await.len(), 5);
    yard.ostler(&["kill"]).success().await;
}
