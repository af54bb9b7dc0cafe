//! Who comes in at a master's bus, and what they may do there, as its process file says.

use std::{net::SocketAddr, os::unix::fs::PermissionsExt, path::Path};

use ostler_tests::harness::{Cli, Fleet, Mark, PATIENCE, PrivateDir, Programs};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustix::process::Signal;

const PROGRAMS: Programs = ostler_tests::programs!();

const OPERATOR: &str = "0123456789abcdef0123456789abcdef";
const OBSERVER: &str = "fedcba9876543210fedcba9876543210";

/// Writes a file that its owner alone may read.
fn private(dir: &PrivateDir, name: &str, text: &str) {
    let path = dir.write(name, text);
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).unwrap();
}

/// A parked app, and this said of the bus.
fn parked(bus: &str) -> String {
    let command = PROGRAMS.misbehave;
    format!("[bus]\n{bus}\n[app.web]\ncommand = [{command:?}, \"trivial\"]\ninstances = 0\n")
}

/// Where the network door is, from the master's log.
async fn door(fleet: &Fleet, how: &str) -> SocketAddr {
    let line = fleet.logged("the bus listens on").await;
    let (_, address) = line.split_once(&format!("{how}://")).expect(how);
    address.trim().parse().unwrap()
}

/// A command that knows of no master by name.
fn remote(dir: &Path, url: &str, token: &str) -> Cli {
    let home = dir.join("nobody");
    Cli::new(PROGRAMS.ostler)
        .env("OSTLER_HOME", home)
        .env(Mark::VARIABLE, Mark::new(dir).value())
        .dir(dir)
        .args(["--bus", url, "--token-file", token])
}

#[tokio::test]
async fn rights_of_the_file_hold_and_hup_takes_up_new_ones() {
    let master = PROGRAMS.master();
    let app = PROGRAMS.sdk_app("web", 1, master.dir().path());
    let rights = "[app.web.bus]\nemit = { deny = [\"admin.>\"] }\n";
    let mut fleet = Fleet::ready(master.file(&format!("{app}{rights}")), 1).await;
    let told = |answer: serde_json::Value| answer["error"].as_str().unwrap_or_default().to_owned();
    let refused = told(fleet.get("web", "/emit/admin.x").await);
    let line = r#"app web: bus.emit.deny "admin.>" (ostler.toml)"#;
    assert!(refused.contains(line), "{refused}");
    assert!(fleet.get("web", "/emit/orders.x").await["ok"].is_number());
    let rights = "[app.web.bus]\nemit = { allow = [\"admin.*\"] }\n";
    fleet.dir().write("ostler.toml", &format!("{app}{rights}"));
    fleet.process.signal(Signal::HUP);
    fleet.wait_for_log("SIGHUP: read").await;
    // The rules were changed in the same breath: whichever worker answers now has the new ones.
    let end = tokio::time::Instant::now() + PATIENCE;
    loop {
        let refused = told(fleet.get("web", "/emit/orders.x").await);
        if refused.contains("bus.emit.allow has only") {
            break;
        }
        assert!(tokio::time::Instant::now() < end, "{refused}");
    }
    assert!(fleet.get("web", "/emit/admin.y").await["ok"].is_number());
    assert!(!told(fleet.get("web", "/emit/worker.exited").await).is_empty());
}

#[tokio::test]
async fn a_token_opens_the_network_door_as_far_as_its_role_goes() {
    let master = PROGRAMS
        .master()
        .file(&parked("listen = \"127.0.0.1:0\"\ntokens = \"bus.tokens\""));
    let line = format!("operator deploy {OPERATOR}");
    private(
        master.dir(),
        "bus.tokens",
        &format!("{line}\nobserver screen {OBSERVER}\n"),
    );
    private(master.dir(), "operator", &line);
    private(master.dir(), "observer", OBSERVER);
    private(master.dir(), "wrong", "wrong");
    let mut fleet = Fleet::start(master).await;
    let url = format!("tcp://{}", door(&fleet, "tcp").await);
    let dir = fleet.dir().path().to_owned();
    let command = |token: &str, args: &[&str]| remote(&dir, &url, token).args(args);
    command("operator", &["ping"]).success().await;
    command("observer", &["ls"])
        .stdout_contains("web")
        .success()
        .await;
    command("operator", &["scale", "web", "0"]).success().await;
    command("observer", &["emit", "orders.x"])
        .stderr_contains("observers only listen")
        .fails_with(1)
        .await;
    command("wrong", &["ping"])
        .stderr_contains("doesn't know this token")
        .fails_with(1)
        .await;
    fleet.logged("turned away from the bus").await;
    // A token that is withdrawn opens nothing any more.
    private(
        fleet.dir(),
        "bus.tokens",
        &format!("observer screen {OBSERVER}\n"),
    );
    fleet.process.signal(Signal::HUP);
    fleet.wait_for_log("SIGHUP: read").await;
    let end = tokio::time::Instant::now() + PATIENCE;
    while command("operator", &["ping"]).run().await.exit == ostler_tests::harness::Exit::Code(0) {
        assert!(tokio::time::Instant::now() < end, "the token is still good");
    }
    command("observer", &["ping"]).success().await;
}

#[tokio::test]
async fn with_tls_both_ends_know_each_other() {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let ca = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    let certificate = certificate.signed_by(&key, &ca).unwrap();
    let master = PROGRAMS.master().file(&parked(
        "listen = \"0.0.0.0:0\"\ntokens = \"bus.tokens\"\ntls = { cert = \"bus.pem\", key = \"bus.key\", client_ca = \"ca.pem\" }",
    ));
    let dir = master.dir();
    private(dir, "bus.tokens", &format!("operator deploy {OPERATOR}\n"));
    dir.write("ca.pem", &ca.pem());
    dir.write("bus.pem", &certificate.pem());
    private(dir, "bus.key", &key.serialize_pem());
    let fleet = Fleet::start(master).await;
    let port = door(&fleet, "tls").await.port();
    let dir = fleet.dir().path().to_owned();
    let url = format!("tls://localhost:{port}");
    let command = |args: &[&str]| remote(&dir, &url, "bus.tokens").args(args);
    let known = ["--identity", "bus.pem", "bus.key", "ping"];
    command(&["--ca", "ca.pem"]).args(known).success().await;
    command(&["--ca", "ca.pem", "ping"]).fails_with(1).await;
    command(&["ping"])
        .stderr_contains("--ca FILE")
        .fails_with(2)
        .await;
    let plain = format!("tcp://127.0.0.1:{port}");
    remote(&dir, &plain, "bus.tokens")
        .arg("ping")
        .fails_with(1)
        .await;
}

#[tokio::test]
async fn a_door_that_is_not_safe_keeps_the_master_from_starting() {
    let dir = PrivateDir::new();
    let run = || {
        Cli::new(PROGRAMS.ostler)
            .env("OSTLER_HOME", dir.at("home"))
            .env(Mark::VARIABLE, Mark::new(dir.path()).value())
            .dir(dir.path())
            .args(["run", "ostler.toml"])
    };
    dir.write(
        "ostler.toml",
        &parked("listen = \"127.0.0.1:0\"\ntokens = \"bus.tokens\""),
    );
    dir.write("bus.tokens", &format!("operator deploy {OPERATOR}\n"));
    run().stderr_contains("chmod 600").fails_with(78).await;
    private(&dir, "bus.tokens", "operator deploy short\n");
    run()
        .stderr_contains("line 1: the token of \"deploy\" has 5 characters")
        .fails_with(78)
        .await;
    dir.write(
        "ostler.toml",
        &parked("listen = \":0\"\ntokens = \"bus.tokens\""),
    );
    run().stderr_contains("without TLS").fails_with(78).await;
}

#[tokio::test]
async fn limits_of_the_file_hold() {
    let fleet = Fleet::start(PROGRAMS.master().file(&parked(
        "[bus.limits]\npayload_bytes = \"2KiB\"\nsubscriptions = 3",
    )))
    .await;
    let limits = fleet.bus.limits();
    assert_eq!((limits.payload, limits.subscriptions), (2048, 3));
    let text = "x".repeat(2046);
    assert_eq!(fleet.bus.emit_json("x", &text).await, Ok(()));
    let longer = fleet.bus.emit_json("x", &format!("{text}x")).await;
    assert!(longer.is_err(), "{longer:?}");
}

#[tokio::test]
async fn the_limit_of_open_files_is_raised_for_the_master_alone() {
    let dir = PrivateDir::new();
    let script = "ulimit -n 300 && ulimit -Sn 64 && exec \"$@\"";
    let run = [
        "run",
        "-n",
        "web",
        "-i",
        "1",
        "--",
        "sh",
        "-c",
        "echo files $(ulimit -n); exec sleep 600",
    ];
    let process = Cli::new("sh")
        .args(["-c", script, "sh", PROGRAMS.ostler])
        .args(run)
        .env("OSTLER_HOME", dir.at("home"))
        .env(Mark::VARIABLE, Mark::new(dir.path()).value())
        .dir(dir.path())
        .start();
    process
        .stdout
        .clone()
        .wait_for_line("files 64", PATIENCE)
        .await;
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", process.id())).unwrap();
    let files = limits
        .lines()
        .find(|line| line.starts_with("Max open files"));
    let words: Vec<&str> = files.unwrap().split_ascii_whitespace().collect();
    assert_eq!(words[3..5], ["300", "300"]);
    process.signal(Signal::TERM);
    process.wait(PATIENCE).await;
}
