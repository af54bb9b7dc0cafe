//! How a fleet begins.

use super::*;

#[tokio::test]
async fn a_fleet_begins_whole_and_no_id_is_used_twice() {
    let (master, mut tail) = started(&[habit!("web", "notify 0").instances(4)]).await;
    master.settled("web", "running").await;
    tail.settle(&master).await;
    let workers = master.workers("web").await;
    let of = |key: &str| {
        let values = workers.iter().filter_map(|worker| worker[key].as_u64());
        values.collect::<BTreeSet<u64>>()
    };
    assert_eq!(of("id"), BTreeSet::from([1, 2, 3, 4]));
    assert_eq!((of("slot").len(), of("pid").len()), (4, 4), "{workers:#?}");
    assert_eq!(of("restarts"), BTreeSet::from([0]));
    master.signal(master.pid("web", 3).await, Signal::KILL);
    let ready = tail.next_with("worker.ready", "/worker/slot", 3).await;
    assert_eq!(ready["worker"]["id"], 5);
    master.ostler(["scale", "3"]).success().await;
    master.ostler(["scale", "4"]).success().await;
    let again = master.workers("web").await[3].clone();
    assert_eq!((&again["id"], &again["slot"]), (&json!(6), &json!(3)));
}

#[tokio::test]
async fn apps_start_in_the_order_of_their_priorities() {
    let app = |name: &str, priority: u32| habit!(name, "notify 100").set("priority", priority);
    let apps = [app("low", 10), app("middle", 20), app("high", 30)];
    let master = ostler!().apps(&apps).start().await;
    for name in ["low", "middle", "high"] {
        master.settled(name, "running").await;
    }
    let mut ids = Vec::new();
    for name in ["high", "middle", "low"] {
        ids.push(master.workers(name).await[0]["id"].as_u64());
    }
    assert_eq!(ids, [Some(1), Some(2), Some(3)]);
}

#[tokio::test]
async fn a_start_timeout_is_each_workers_own() {
    // Ten of them take longer together than any of them may.
    let app = habit!("web", "notify 200")
        .instances(10)
        .set("ready", "notify")
        .set("start_timeout", "1500ms")
        .unwatched();
    let (master, mut tail) = started(&[app]).await;
    master.settled("web", "running").await;
    let began = Instant::now();
    master.ostler(["reload"]).success().await;
    assert!(began.elapsed() > Duration::from_millis(1500), "no test");
    tail.settle(&master).await;
    let exits = tail.all("worker.exited");
    assert_eq!(exits.len(), 10);
    assert!(
        exits.iter().all(|exit| exit["voluntary"] == true),
        "{exits:#?}"
    );
}

#[tokio::test]
async fn a_worker_of_a_clear_environment_has_its_own_variables_alone() {
    let bare = habit!("bare", "print-env bare").set("env_clear", true).set(
        "env",
        json!({"Mixed_Case": "kept", "LIST": [1, {"a": "b"}]}),
    );
    let full = habit!("full", "print-env full").set("env", json!({"MINE": "own"}));
    let builder = ostler!().apps(&[bare, full]).env("MINE", "the master's");
    let master = builder.env("OTHER", "the master's").start().await;
    let (bare, full) = (
        printed(&master, "bare").await["env"].take(),
        printed(&master, "full").await["env"].take(),
    );
    assert_eq!(
        (&bare["Mixed_Case"], &bare["LIST"]),
        (&json!("kept"), &json!("[1,{\"a\":\"b\"}]"))
    );
    for name in ["OTHER", "MINE", "PATH", "mixed_case", "MIXED_CASE"] {
        assert_eq!(bare[name], Value::Null, "{name}");
    }
    assert_eq!(
        (&full["MINE"], &full["OTHER"]),
        (&json!("own"), &json!("the master's"))
    );
}

#[tokio::test]
async fn programs_of_any_language_start_and_are_replaced() {
    let sleep = "import time, sys; print('from python', flush=True); time.sleep(600)";
    let mut apps = vec![
        script("shell", "echo from shell; echo to err >&2; exec sleep 600")
            .set("log", json!({"out": "shell.out", "err": "shell.err"})),
    ];
    let python = std::process::Command::new("python3")
        .arg("--version")
        .output();
    match python {
        Ok(_) => apps.push(App::new("python", ["python3", "-c", sleep]).set("log", "python.log")),
        Err(_) => eprintln!("python3 is not here: only the shell is tried"),
    }
    let apps: Vec<App> = apps.into_iter().map(|app| app.instances(2)).collect();
    let names: Vec<&str> = ["shell", "python"][..apps.len()].to_vec();
    let (master, mut tail) = started(&apps).await;
    for name in &names {
        master.settled(name, "running").await;
        master.signal(master.pid(name, 1).await, Signal::KILL);
        tail.next_with("worker.exited", "/worker/app", *name).await;
        master.settled(name, "running").await;
        let restarts = master.workers(name).await;
        let restarts: Vec<_> = restarts.iter().map(|worker| &worker["restarts"]).collect();
        assert_eq!(restarts, [&json!(0), &json!(1)]);
    }
    for log in ["shell.out", "shell.err", "python.log"] {
        if log.starts_with("python") && names.len() == 1 {
            continue;
        }
        let path = master.dir().at(log);
        // Two workers, and the one that replaced one of them.
        eventually("lines in a log", PATIENCE, || {
            let text = fs::read_to_string(&path).ok()?;
            (text.lines().count() == 3).then_some(())
        })
        .await;
    }
}
