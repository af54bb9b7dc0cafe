//! In which order workers start, and what they are given.

use super::*;

#[tokio::test]
async fn workers_start_one_by_one_each_ready_before_the_next() {
    let (master, mut tail) = started(&[habit!("web", "notify 100").instances(0)]).await;
    master.ostler(["scale", "4"]).success().await;
    tail.settle(&master).await;
    let story = tail.story("web", &["spawned", "ready"]);
    let in_turn = ["0", "1", "2", "3"].map(|n| [format!("spawned {n}"), format!("ready {n}")]);
    assert_eq!(story, in_turn.concat());
}

#[tokio::test]
async fn auto_instances_follow_the_cpu_affinity() {
    let pinned = |cpus: usize| {
        let app = habit!("web", "notify 0").set("instances", "auto");
        let builder = ostler!().apps(&[app]);
        // Children inherit the affinity of the thread that starts them.
        let starter = std::thread::spawn(move || {
            let all = rustix::thread::sched_getaffinity(None).expect("an affinity");
            let mut few = rustix::thread::CpuSet::new();
            let allowed = (0..rustix::thread::CpuSet::MAX_CPU).filter(|cpu| all.is_set(*cpu));
            allowed.take(cpus).for_each(|cpu| few.set(cpu));
            rustix::thread::sched_setaffinity(None, &few).expect("fewer CPUs");
            (builder.spawn(), few.count())
        });
        starter.join().expect("a started master")
    };
    for cpus in [1, 2] {
        let (mut master, cores) = pinned(cpus);
        for _ in 0..cores {
            master.wait_for_log("ready after").await;
        }
        let app = master.app("web").await;
        assert_eq!(app["instances"], cores, "{app:#}");
    }
}

#[tokio::test]
async fn cpu_affinity_per_slot_gives_each_slot_a_core_in_turn() {
    let all = rustix::thread::sched_getaffinity(None).expect("an affinity");
    let cores = (0..rustix::thread::CpuSet::MAX_CPU).filter(|cpu| all.is_set(*cpu));
    // Where there are few, they are given again from the first on.
    let expected: Vec<String> = cores.cycle().take(3).map(|core| core.to_string()).collect();
    let app = habit!("web", "notify 0")
        .instances(3)
        .set("cpu_affinity", "per-slot");
    let master = ostler!().apps(&[app]).start().await;
    master.settled("web", "running").await;
    let allowed = |pid: u64| {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("it lives");
        let mut lines = status.lines();
        let list = lines.find_map(|line| line.strip_prefix("Cpus_allowed_list:"));
        list.expect("a list").trim().to_owned()
    };
    let pids = master.pids("web").await;
    let found: Vec<String> = pids.into_values().map(allowed).collect();
    assert_eq!(found, expected);
}

#[tokio::test]
async fn instances_zero_is_a_parked_app() {
    let (master, mut tail) = started(&[habit!("web", "notify 0").instances(0)]).await;
    assert_eq!(master.app("web").await["instances"], 0);
    assert_eq!(master.workers("web").await, Vec::<Value>::new());
    master.ostler(["scale", "web", "1"]).success().await;
    tail.next("worker.ready").await;
    assert_eq!(master.pids("web").await.len(), 1);
}

#[tokio::test]
async fn environment_names_app_slot_id_and_generation() {
    let app = habit!("web", "print-env given").listening();
    let other = habit!("plain", "print-env plain")
        .set("listen", json!({"a": "127.0.0.1:0", "b": "127.0.0.1:0"}))
        .set("listen_pid", false);
    let master = ostler!().apps(&[app, other]).start().await;
    let (given, plain) = (
        printed(&master, "given").await,
        printed(&master, "plain").await,
    );
    let env = &given["env"];
    let worker = &master.workers("web").await[0];
    let text = |value: &Value| value.to_string();
    assert_eq!(
        (&env["OSTLER_APP"], &env["OSTLER_SLOT"]),
        (&json!("web"), &json!("0"))
    );
    assert_eq!(env["OSTLER_WORKER_ID"], text(&worker["id"]));
    assert_eq!(env["OSTLER_GENERATION"], text(&worker["generation"]));
    assert_eq!(env["NODE_APP_INSTANCE"], "0");
    assert_eq!(env["LISTEN_FDS"], "1");
    assert_eq!(env["LISTEN_PID"], text(&given["pid"]));
    assert_eq!(
        env["PORT"],
        master.address("web").await.port().to_string().as_str()
    );
    assert_eq!(env["OSTLER_BUS_FD"], "4");
    assert!(Path::new(env["OSTLER_BUS"].as_str().expect("a path")).exists());
    assert!(Path::new(env["NOTIFY_SOCKET"].as_str().expect("a path")).exists());
    assert_eq!(plain["env"]["LISTEN_FDNAMES"], "a:b");
    assert_eq!(plain["env"]["LISTEN_PID"], Value::Null);
    assert_eq!(plain["env"]["PORT"], Value::Null, "two sockets");
}

#[tokio::test]
async fn environment_carries_what_the_file_says() {
    let app = habit!("web", "print-env given").set("env", json!({"COLOUR": "green", "N": 3}));
    let masters_own = [
        "NOTIFY_SOCKET",
        "LISTEN_FDS",
        "LISTEN_PID",
        "WATCHDOG_USEC",
        "OSTLER_APP",
    ];
    let mut builder = ostler!()
        .apps(&[app])
        .env("COLOUR", "red")
        .env("KEPT", "yes");
    for name in masters_own {
        builder = builder.env(name, "meant for the master");
    }
    let master = builder.start().await;
    let given = printed(&master, "given").await;
    let env = &given["env"];
    assert_eq!((&env["COLOUR"], &env["N"]), (&json!("green"), &json!("3")));
    assert_eq!(env["KEPT"], "yes");
    assert_eq!(env["OSTLER_HOME"], Value::Null);
    for name in masters_own {
        assert_ne!(env[name], "meant for the master", "{name}");
    }
    assert_eq!(env["LISTEN_FDS"], Value::Null, "no sockets");
}

#[tokio::test]
async fn placeholders_in_an_apps_variables_are_filled_in_for_each_worker() {
    let env = json!({
        "OWN": "80{slot}",
        "WHO": "{id}",
        "AT": "127.0.0.1:{port:http}",
        "FD": "{fd:http}",
        "JSON": {"a": 1, "b": {"slot": "{slot}"}},
        "OTHER": "{nobody} {port:none} {slot {} {{slot}}",
        "TEXT": "a{b",
    });
    let app = habit!("web", "print-env given{slot}")
        .instances(2)
        .listening()
        .set("env", env)
        .set("env_file", "more.env")
        .set(
            "before_start",
            "echo \"$OWN $WHO $AT $PORT $FD\" > hook$OWN",
        );
    let builder = ostler!().apps(&[app]).env("KEPT", "{slot}");
    let master = builder.with("more.env", "MORE=more-{slot}\n").start().await;
    let port = master.address("web").await.port();
    for slot in 0..2_u32 {
        let env = &printed(&master, &format!("given{slot}")).await["env"];
        let id = &env["OSTLER_WORKER_ID"];
        assert_eq!(env["OWN"], format!("80{slot}"));
        assert_eq!(&env["WHO"], id);
        assert_eq!(env["AT"], format!("127.0.0.1:{port}"));
        assert_eq!(env["FD"], "3");
        assert_eq!(env["JSON"], format!(r#"{{"a":1,"b":{{"slot":"{slot}"}}}}"#));
        let other = format!("{{nobody}} {{port:none}} {{slot {{}} {{{slot}}}");
        assert_eq!(env["OTHER"], other);
        assert_eq!(env["TEXT"], "a{b");
        assert_eq!(env["MORE"], format!("more-{slot}"));
        assert_eq!(env["KEPT"], "{slot}", "what is inherited is another's");
        // A command beside it has the same, but for descriptors that it doesn't have.
        let hook = fs::read_to_string(master.dir().at(&format!("hook80{slot}"))).expect("it ran");
        let id = id.as_str().expect("a number");
        let words = format!("80{slot} {id} 127.0.0.1:{port} {port} {{fd:http}}");
        assert_eq!(hook.trim_end(), words);
    }
}

#[tokio::test]
async fn arguments_arrive_unchanged() {
    let words = [
        "a b",
        "\"quoted\" 'too'",
        "",
        "--",
        "$HOME",
        "ü\n\t",
        "*",
        "{nobody}",
        "-n",
        "{slot}",
    ];
    let printer = [env!("CARGO_BIN_EXE_misbehave"), "print-env", "given"];
    let echo = "printf '%s\\0' \"$@\" > args.part; mv args.part args; exec \"$0\" trivial";
    let command = ["sh", "-c", echo, printer[0]].into_iter().chain(words);
    let master = ostler!().arg("-i1").command(command).start().await;
    let path = master.dir().at("args");
    let text = eventually("the arguments", PATIENCE, || fs::read_to_string(&path).ok()).await;
    let mut expected = words.to_vec();
    // The one placeholder among them is filled in, the unknown one is left alone.
    expected[9] = "0";
    assert_eq!(text.split_terminator('\0').collect::<Vec<_>>(), expected);
}

#[tokio::test]
async fn descriptors_signals_and_groups_are_as_a_program_expects() {
    let app = habit!("web", "print-env given").listening();
    let master = ostler!().apps(&[app]).start().await;
    let given = printed(&master, "given").await;
    let fds = given["fds"].as_object().expect("descriptors");
    let mut numbers: Vec<u32> = fds.keys().filter_map(|fd| fd.parse().ok()).collect();
    numbers.sort_unstable();
    assert_eq!(
        numbers,
        [0, 1, 2, 3, 4, 5, 6],
        "standard, socket, bus, its channel, that for descriptors: {fds:#?}"
    );
    assert_eq!(given["pgid"], given["pid"]);
    assert_eq!(given["SigBlk"], "0000000000000000");
    // Bit 12, SIGPIPE, is Rust's own doing in the worker.
    assert_eq!(given["SigIgn"], "0000000000001000");
    assert_eq!(given["cwd"], master.dir().path().to_str().expect("UTF-8"));
}
