//! A fleet that is looked at, written down, brought back, and started with the machine.

mod describe;
mod monit;
mod save;
mod service;
mod startup;

use ostler_tests::harness::{App, Cli, Mark, PATIENCE, PrivateDir, Programs};

const PROGRAMS: Programs = ostler_tests::programs!();

/// A worker that does nothing, and goes when it is told to.
fn idle(name: &str) -> App {
    App::new(name, ["sleep", "600"]).set("ready", "delay(0s)")
}

/// A home in which masters are started in the background; whatever is left of them is killed when the test ends.
struct Yard {
    // Before the directory: what is killed lives in it.
    mark: Mark,
    dir: PrivateDir,
}

impl Yard {
    fn new() -> Self {
        let dir = PrivateDir::new();
        let mark = Mark::new(dir.path());
        Self { mark, dir }
    }

    fn ostler(&self, args: &[&str]) -> Cli {
        Cli::new(PROGRAMS.ostler)
            .env("OSTLER_HOME", self.dir.at("home"))
            .env(Mark::VARIABLE, self.mark.value())
            .dir(self.dir.path())
            .args(args)
    }

    /// Each app with its state and its number of workers.
    async fn apps(&self) -> Vec<(String, String, u64)> {
        let status = self.ostler(&["ls", "--json"]).success().await.json();
        let apps = status["apps"].as_array().expect("apps").iter();
        let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
        apps.map(|app| {
            let size = app["instances"].as_u64().expect("a number");
            (text(&app["name"]), text(&app["state"]), size)
        })
        .collect()
    }

    /// The process of each worker that there is, by app and slot.
    async fn pids(&self) -> Vec<(String, u64)> {
        let status = self.ostler(&["ls", "--json"]).success().await.json();
        let workers = status["workers"].as_array().expect("workers").iter();
        let pids = workers.filter_map(|worker| {
            let (app, slot) = (worker["app"].as_str()?, worker["slot"].as_u64()?);
            Some((format!("{app}:{slot}"), worker["pid"].as_u64()?))
        });
        pids.collect()
    }
}
