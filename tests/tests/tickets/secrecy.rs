//! Who gets the secrets, and who doesn't. Workers (`asker`) say what they were told; nobody else must have any of it.

use std::{fs, path::Path};

use ostler_bus::{Slot, client::ConnectOptions};
use ostler_tests::{harness::Heard, words::Do};

use super::*;

fn apps() -> MasterBuilder {
    let app = |name: &str, instances: u32, sockets: serde_json::Value| {
        App::new(name, [env!("CARGO_BIN_EXE_asker")])
            .instances(instances)
            .set("listen", sockets)
            .unwatched()
    };
    let address = "127.0.0.1:0";
    ostler!().apps(&[
        app("web", 2, json!({"https": address, "admin": address})),
        app("other", 1, json!({"https": address})),
    ])
}

/// The current, the previous and the next secret of a socket, as the worker of a slot was told them.
async fn told(fleet: &Fleet, app: &str, slot: u32, socket: &str) -> String {
    let what = format!("tickets {socket}");
    let order = fleet.bus.question(&Do { what }).to_slot(app, Slot(slot));
    let done = order.timeout(PATIENCE).ask().await;
    done.expect("a worker that does as it is told").reply
}

#[tokio::test]
async fn workers_of_one_app_have_a_socket_s_secrets_in_common_and_nobody_else_has_them() {
    let fleet = Fleet::ready(apps(), 3).await;
    let observer = fleet
        .connect(ConnectOptions::observer("curious").once())
        .await;
    let mut heard = Heard::raw(&observer, "*").await;
    let of_web = told(&fleet, "web", 0, "https").await;
    let secrets: Vec<&str> = of_web.split(' ').collect();
    assert!(
        secrets.len() == 3 && secrets.iter().all(|it| it.len() == 96),
        "{of_web}"
    );
    assert_eq!(told(&fleet, "web", 1, "https").await, of_web);
    assert_eq!(
        told(&fleet, "web", 0, "https").await,
        of_web,
        "asked for again"
    );

    let of_others = [("web", "admin"), ("other", "https")];
    for (app, socket) in of_others {
        let others = told(&fleet, app, 0, socket).await;
        let common = others.split(' ').filter(|it| secrets.contains(it));
        assert_eq!(common.count(), 0, "{app}'s {socket}");
    }
    let refused = told(&fleet, "other", 0, "admin").await;
    assert!(
        refused.starts_with("error: the app has no socket \"admin\", only https"),
        "{refused}"
    );

    fleet.ostler(["emit", "that.was_all", "{}"]).success().await;
    let events = heard.up_to("that.was_all").await;
    let status = fleet.status().await;
    let mut seen = serde_json::to_string(&status).expect("JSON");
    for verb in [
        &["ls", "--json"][..],
        &["sockets", "--json"],
        &["describe", "web", "--json"],
    ] {
        seen += &fleet.ostler(verb).success().await.stdout;
    }
    seen += &fleet.process.stderr.text();
    seen += &fleet.process.stdout.text();
    for worker in &status.workers {
        let environment = fs::read(format!("/proc/{}/environ", worker.pid.expect("a process")));
        seen += &String::from_utf8_lossy(&environment.expect("a process of ours"));
    }
    seen += &format!("{events:?}");
    seen += &files(fleet.dir().path());
    assert!(seen.contains("https"), "there is something to look at");
    for secret in secrets {
        assert!(!seen.contains(secret), "it is shown somewhere");
    }
}

/// All that stands in the files below a directory.
fn files(dir: &Path) -> String {
    let entries = fs::read_dir(dir).expect("a directory of ours").flatten();
    let texts = entries.map(|entry| match entry.file_type() {
        Ok(kind) if kind.is_dir() => files(&entry.path()),
        Ok(kind) if kind.is_file() => {
            String::from_utf8_lossy(&fs::read(entry.path()).unwrap_or_default()).into_owned()
        }
        _ => String::new(),
    });
    texts.collect()
}
