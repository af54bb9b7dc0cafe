//! A system that refuses: homes, disks, descriptors.

use super::*;

#[tokio::test]
async fn unwritable_home_is_reported() {
    let guest = Guest::new(PROGRAMS.ostler);
    let run = ["run", "-n", "web", "--", "sleep", "60"];
    let theirs = guest.dir().make("theirs");
    std::fs::set_permissions(&theirs, PermissionsExt::from_mode(0o555)).unwrap();
    let at = |home: &Path| guest.ostler(&run).env("OSTLER_HOME", home);
    let output = at(&theirs.join("home")).fails_with(1).await;
    told(
        &output,
        &["theirs/home", "Permission denied", "hint: set OSTLER_HOME"],
    );
    if guest.is_another() {
        let output = at(&theirs).fails_with(78).await;
        told(&output, &["belongs to user 0", "hint: "]);
    }
    let real = guest.dir().make("real");
    guest.own(real.clone());
    let link = guest.dir().at("link");
    std::os::unix::fs::symlink(&real, &link).unwrap();
    told(&at(&link).fails_with(78).await, &["symlink", "hint: "]);
    std::fs::set_permissions(&real, PermissionsExt::from_mode(0o777)).unwrap();
    told(
        &at(&real).fails_with(78).await,
        &["writable by others", "0777", "chmod go-w"],
    );
    told(
        &at(Path::new("relative")).fails_with(78).await,
        &["relative", "hint: "],
    );
    let file = guest.dir().write("file", "");
    guest.own(file.clone());
    told(
        &at(&file).fails_with(78).await,
        &["not a directory", "hint: "],
    );
}

#[tokio::test]
async fn too_long_home_is_reported() {
    let alone = Alone::new();
    let home = alone.dir.make(&"deep/".repeat(18));
    let run = alone
        .ostler(&["run", "-n", "web", "--", "sleep", "60"])
        .env("OSTLER_HOME", &home);
    let output = run.fails_with(78).await;
    told(
        &output,
        &["107", "hint: set OSTLER_HOME to a shorter directory"],
    );
    let mut left = Vec::new();
    walk(&home, &mut left);
    assert!(
        left.iter().all(|path| path.extension().is_none()),
        "{left:?}"
    );
}

/// A master whose home is a small disk of its own, where this user may mount one.
async fn on_a_small_disk(options: &str, alone: &Alone) -> Option<Process> {
    let script = format!(
        "mount -t tmpfs -o {options} tmpfs \"$OSTLER_HOME\" && chmod 711 \"$OSTLER_HOME\" && echo mounted && exec \"$@\""
    );
    alone.dir.make("home");
    let run = [
        PROGRAMS.ostler,
        "run",
        "-n",
        "web",
        "-i",
        "1",
        "--",
        PROGRAMS.misbehave,
        "trivial",
    ];
    let cli = Cli::new("unshare")
        .args(["-m", "sh", "-c", &script, "sh"])
        .args(run);
    let mark = Mark::new(alone.dir.path());
    let cli = cli
        .env("OSTLER_HOME", alone.dir.at("home"))
        .env(Mark::VARIABLE, mark.value());
    let process = cli.dir(alone.dir.path()).start();
    let known =
        || (process.exit().is_some() || process.stdout.text().contains("mounted")).then_some(());
    eventually("a mount", PATIENCE, known).await;
    let mounted = process.stdout.text().contains("mounted");
    mounted.then_some(process)
}

#[tokio::test]
async fn full_disk_is_reported() {
    let alone = Alone::new();
    let Some(process) = on_a_small_disk("nr_inodes=1,mode=711", &alone).await else {
        return eprintln!("not run: no disk can be mounted here");
    };
    assert_eq!(process.wait(PATIENCE).await, Exit::Code(1));
    let said = process.stderr.text();
    assert!(
        said.contains("No space left on device") || said.contains("no storage space"),
        "{said}"
    );
    assert!(said.contains("hint: make room on the disk"), "{said}");
}

#[tokio::test]
async fn disk_that_fills_up_later_stops_no_worker() {
    let alone = Alone::new();
    let Some(mut process) = on_a_small_disk("size=256k,nr_inodes=64,mode=711", &alone).await else {
        return eprintln!("not run: no disk can be mounted here");
    };
    process
        .stderr
        .wait_for_line("web.0 taken to be ready", PATIENCE)
        .await;
    let home = format!(
        "/proc/{}/root{}",
        process.id(),
        alone.dir.at("home").display()
    );
    let fillers = PathBuf::from(home).join("fillers");
    std::fs::create_dir(&fillers).unwrap();
    let mut count = 0;
    while std::fs::write(fillers.join(count.to_string()), "").is_ok() {
        count += 1;
    }
    let inside = |args: &[&str]| {
        let pid = process.id().to_string();
        let cli = Cli::new("nsenter")
            .args(["-m", "-t", &pid, PROGRAMS.ostler])
            .args(args);
        cli.env("OSTLER_HOME", alone.dir.at("home"))
    };
    let before = inside(&["ls", "--json"]).success().await.json();
    inside(&["reload"])
        .stderr_contains("No space left")
        .fails_with(1)
        .await;
    let after = inside(&["ls", "--json"]).success().await.json();
    assert_eq!(after["workers"][0]["pid"], before["workers"][0]["pid"]);
    std::fs::remove_dir_all(&fillers).unwrap();
    inside(&["reload"]).success().await;
    inside(&["kill"]).success().await;
}

#[tokio::test]
async fn log_that_cannot_be_written_stops_nobody() {
    let alone = Alone::new();
    let version = alone.dir.write("version.txt", "v0");
    alone
        .dir
        .write("ostler.toml", &PROGRAMS.sdk_app("web", 1, alone.dir.path()));
    let script = "exec \"$0\" run > /dev/full 2> /dev/full";
    let cli = Cli::new("sh")
        .args(["-c", script, PROGRAMS.ostler])
        .dir(alone.dir.path());
    let process = cli.env("OSTLER_HOME", alone.dir.at("home")).start();
    let mut address = None;
    while address.is_none() {
        assert_eq!(process.exit(), None);
        let output = alone.ostler(&["ls", "--json"]).run().await;
        let report: Value = serde_json::from_str(&output.stdout).unwrap_or_default();
        let ready = report["apps"][0]["ready"] == 1;
        address = report["apps"][0]["sockets"][0]["address"]
            .as_str()
            .filter(|_| ready)
            .map(str::to_owned);
    }
    let address = address.unwrap().parse().unwrap();
    assert_eq!(Web::get(address, "/").await["version"], "v0", "{version:?}");
    alone.ostler(&["reload"]).success().await;
    alone.ostler(&["kill"]).success().await;
    assert_eq!(process.wait(PATIENCE).await, Exit::Code(0));
}

#[tokio::test]
async fn out_of_descriptors_is_survived() {
    let alone = Alone::new();
    let script = "ulimit -n 48 && exec \"$@\"";
    let run = [
        PROGRAMS.ostler,
        "run",
        "-n",
        "web",
        "-i",
        "1",
        "--",
        PROGRAMS.misbehave,
        "trivial",
    ];
    let cli = Cli::new("sh")
        .args(["-c", script, "sh"])
        .args(run)
        .dir(alone.dir.path());
    let mark = Mark::new(alone.dir.path());
    let cli = cli
        .env("OSTLER_HOME", alone.dir.at("home"))
        .env(Mark::VARIABLE, mark.value());
    let mut process = cli.start();
    process
        .stderr
        .wait_for_line("web.0 taken to be ready", PATIENCE)
        .await;
    let socket = alone.dir.at("home/web/bus.sock");
    let mut peers = Vec::new();
    for _ in 0..60 {
        peers.push(Peer::connect(&socket).await);
    }
    alone.ostler(&["ping"]).within(PATIENCE).run().await;
    assert_eq!(process.exit(), None, "{}", process.output());
    drop(peers);
    alone.ostler(&["ping"]).success().await;
    alone.ostler(&["reload"]).success().await;
    alone.ostler(&["kill"]).success().await;
}

/// As `unshare` does it unless it is told to fork: the kernel allows such a process no threads.
#[tokio::test]
async fn namespace_of_children_alone_is_reported() {
    let alone = Alone::new();
    let unshare = match rustix::process::geteuid().is_root() {
        true => "--pid",
        false => "--user --map-root-user --pid",
    };
    let unshared = |fork: &[&str], program: &[&str]| {
        let words = [&unshare.split(' ').collect::<Vec<_>>()[..], fork, program].concat();
        let cli = Cli::new("unshare").args(words).dir(alone.dir.path());
        cli.env("OSTLER_HOME", alone.dir.at("home"))
    };
    if unshared(&[], &["true"]).run().await.exit != Exit::Code(0) {
        return eprintln!("not run: no namespace of processes can be had here");
    }
    let job = "[app.job]\ncommand = \"true\"\noneshot = true\n";
    let file = alone.dir.write("job.toml", job);
    let run = [PROGRAMS.ostler, "run", file.to_str().expect("text")];
    let output = unshared(&[], &run).fails_with(1).await;
    told(
        &output,
        &[
            "can't start the log",
            "hint: ",
            "`unshare --pid --fork --mount-proc`",
        ],
    );
    // The advice is good.
    unshared(&["--fork", "--mount-proc"], &run).success().await;
}
