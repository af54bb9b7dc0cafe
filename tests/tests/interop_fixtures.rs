//! The programs that Ostler is tried with, tried without it: what they lose here is their own loss.
//!
//! Needs Node and gunicorn: run `tests/interop/setup.sh`, then `cargo test -p ostler-tests --features interop --test interop_fixtures`.

use std::{ffi::OsStr, net::TcpListener, time::Duration};

use ostler_tests::{
    harness::{Exit, Fixture, PATIENCE, Process, Program, deadline},
    load::{Load, Plan},
};
use rustix::process::Signal;
use tokio::net::UnixDatagram;

/// A fixture with a socket to listen on, and the socket that it tells its readiness to.
struct Alone {
    fixture: Fixture,
    notify: UnixDatagram,
    listener: TcpListener,
}

impl Alone {
    fn new(program: Program) -> Self {
        let fixture = Fixture::new(program);
        let notify = UnixDatagram::bind(fixture.dir().at("notify")).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        Self {
            fixture,
            notify,
            listener,
        }
    }

    fn start(&self, fail: &str) -> Process {
        let notify = self.fixture.dir().at("notify");
        let say = format!("{} say", env!("CARGO_BIN_EXE_misbehave"));
        let env: [(&str, &OsStr); 3] = [
            ("NOTIFY_SOCKET", notify.as_os_str()),
            ("SYSTEMD_NOTIFY", say.as_ref()),
            ("FAIL", fail.as_ref()),
        ];
        let words = self.fixture.command(env!("CARGO_TARGET_TMPDIR"));
        Process::spawn_listening(&self.listener, &env, words)
    }

    /// Waits until a process has said that it is ready.
    async fn ready(&self, process: &Process) {
        let mut buffer = [0; 512];
        let told = async {
            loop {
                let count = self.notify.recv(&mut buffer).await.unwrap();
                if String::from_utf8_lossy(&buffer[..count]).contains("READY=1") {
                    return;
                }
            }
        };
        tokio::select! {
            () = deadline("READY=1", PATIENCE, told) => {}
            exit = process.wait(PATIENCE) => panic!("{exit:?}\n{}", process.output()),
        }
    }

    /// Five times a new process takes over from the old one, under load of new connections: none may be lost.
    async fn takes_over(&self) {
        self.fixture.version("v0");
        let mut old = self.start("");
        self.ready(&old).await;
        let plan = Plan::to(self.listener.local_addr().unwrap());
        let plan = plan.check(|answer| {
            let body: serde_json::Value =
                serde_json::from_slice(&answer.body).map_err(|e| e.to_string())?;
            body["pid"].is_u64().then_some(()).ok_or("no pid".into())
        });
        let load = Load::start(plan.clone().by_field("version")).unwrap();
        for version in ["v1", "v2", "v3", "v4", "v5"] {
            load.answers(100, PATIENCE).await.unwrap();
            self.fixture.version(version);
            let new = self.start("");
            self.ready(&new).await;
            old.signal(Signal::TERM);
            assert_eq!(old.wait(PATIENCE).await, Exit::Code(0), "{}", old.output());
            old = new;
        }
        load.answers(100, PATIENCE).await.unwrap();
        let tally = load.stop().await;
        eprintln!("{tally}");
        assert_eq!(
            (tally.lost(), &tally.fault),
            (0, &None),
            "{tally}\n{}",
            old.output()
        );
        assert_eq!(tally.by.len(), 6, "{tally}");
        let kept = Load::start(plan.keep_alive().requests(200))
            .unwrap()
            .finish()
            .await;
        assert_eq!((kept.answered, kept.lost()), (200, 0), "{kept}");
    }

    async fn bad_versions_are_bad(&self) {
        let exits = self.start("exit");
        assert_ne!(exits.wait(PATIENCE).await, Exit::Code(0));
        assert!(
            exits.stderr.text().contains("can't start"),
            "{}",
            exits.output()
        );
        self.fixture.fail("never");
        let mut never = self.start("");
        never
            .stderr
            .wait_for_line("never becomes ready", PATIENCE)
            .await;
        let mut buffer = [0; 512];
        while let Ok(told) =
            tokio::time::timeout(Duration::from_millis(500), self.notify.recv(&mut buffer)).await
        {
            let text = String::from_utf8_lossy(&buffer[..told.unwrap()]).into_owned();
            assert!(!text.contains("READY=1"), "{text}");
        }
        assert_eq!(never.exit(), None);
    }
}

#[tokio::test]
async fn gunicorn_takes_over_and_loses_nothing() {
    Alone::new(Program::Gunicorn).takes_over().await;
}

#[tokio::test]
async fn bad_versions_of_a_gunicorn_app_are_bad() {
    Alone::new(Program::Gunicorn).bad_versions_are_bad().await;
}

#[tokio::test]
async fn node_takes_over_and_loses_nothing() {
    Alone::new(Program::Node).takes_over().await;
}

#[tokio::test]
async fn bad_versions_of_a_node_server_are_bad() {
    Alone::new(Program::Node).bad_versions_are_bad().await;
}
