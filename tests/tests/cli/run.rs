//! `run`: a command or a file, and its options.

use super::*;

#[tokio::test]
async fn run_with_a_command_serves() {
    let master = PROGRAMS
        .master()
        .args(["-n", "web", "-i", "2", "-l", "http=127.0.0.1:0"]);
    let version = master.dir().write("version.txt", "v7");
    let words = [Path::new(PROGRAMS.sdk_worker), &version];
    let fleet = Fleet::ready(master.command(words), 2).await;
    let told = fleet.get("web", "/").await;
    assert_eq!(
        (&told["app"], &told["version"]),
        (&json!("web"), &json!("v7"))
    );
    fleet.logged("master web, pid ").await;
}

#[tokio::test]
async fn run_with_a_file_serves_its_apps() {
    let fleet = Fleet::ready(PROGRAMS.sdk_pair(), 2).await;
    for app in ["left", "right"] {
        assert_eq!(fleet.get(app, "/").await["app"], app);
    }
    // The default file, in the working directory.
    let master = PROGRAMS.master();
    let file = PROGRAMS.sdk_app("only", 1, master.dir().path());
    master.dir().write("ostler.toml", &file);
    let fleet = Fleet::ready(master, 1).await;
    assert_eq!(fleet.get("only", "/").await["slot"], 0);
    assert_eq!(fleet.status().await.master.title, "only");
}

#[tokio::test]
async fn instances_are_set_by_option() {
    let fleet = Fleet::ready(trivial(3), 3).await;
    assert_eq!(instances(&fleet).await, 3);
    let cores = std::thread::available_parallelism().unwrap().get();
    let auto = PROGRAMS
        .master()
        .args(["-i", "auto"])
        .command([PROGRAMS.misbehave, "trivial"]);
    Fleet::ready(auto, cores).await;
    // `auto` is the default.
    let master = PROGRAMS.master().command([PROGRAMS.misbehave, "trivial"]);
    Fleet::ready(master, cores).await;
}

#[tokio::test]
async fn names_come_from_the_option_or_the_command() {
    let master = PROGRAMS.master();
    let script = master.dir().write("my.server.sh", "exec sleep 60");
    let fleet = Fleet::start(
        master
            .instances(1)
            .command(["sh".as_ref(), script.as_os_str()]),
    )
    .await;
    let status = fleet.status().await;
    assert_eq!(
        (status.master.title.as_str(), status.apps[0].name.as_str()),
        ("my_server", "my_server")
    );
    let fleet = Fleet::start(trivial(1).args(["-M", "house"])).await;
    let status = fleet.status().await;
    assert_eq!(
        (status.master.title.as_str(), status.apps[0].name.as_str()),
        ("house", "web")
    );
    let file = "name = \"from-file\"\n".to_owned() + &stubborn();
    let fleet = Fleet::start(PROGRAMS.master().file(&file)).await;
    assert_eq!(fleet.status().await.master.title, "from-file");
}

#[tokio::test]
async fn ready_option_takes_every_mode() {
    let modes: [(&str, &[&str]); 3] = [
        ("auto", &["trivial"]),
        ("notify", &["notify", "10"]),
        ("delay(50ms)", &["trivial"]),
    ];
    for (mode, habit) in modes {
        let fleet = Fleet::ready(PROGRAMS.habit(1, habit).ready(mode), 1).await;
        assert_eq!(fleet.status().await.apps[0].readiness, mode);
    }
    let sdk = PROGRAMS.sdk(1);
    let file = PROGRAMS.sdk_app("web", 1, sdk.dir().path()) + "ready = \"sdk\"\n";
    Fleet::ready(sdk.file(&file), 1).await;
    let dir = PrivateDir::new();
    let wrong = alone(&dir, &["run", "--ready", "soon", "--", "true"]);
    wrong.stderr_contains("delay(2s)").fails_with(2).await;
}
