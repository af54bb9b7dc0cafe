//! A home in which masters are started in the background.

use serde_json::Value;

use super::{Cli, Mark, PrivateDir};

/// A home of the test's own. Whatever was started in it is killed when the test ends.
#[derive(Debug)]
pub struct Yard {
    ostler: &'static str,
    mark: Mark,
    /// What commands run in; `home` in it is where masters are at home.
    pub dir: PrivateDir,
}

impl Yard {
    /// A home for masters of the program `ostler`.
    #[must_use]
    pub fn new(ostler: &'static str) -> Self {
        let dir = PrivateDir::new();
        let mark = Mark::new(dir.path());
        Self { ostler, mark, dir }
    }

    /// A command.
    pub fn ostler(&self, args: &[&str]) -> Cli {
        Cli::new(self.ostler)
            .env("OSTLER_HOME", self.dir.at("home"))
            .env(Mark::VARIABLE, self.mark.value())
            .dir(self.dir.path())
            .args(args)
    }

    /// What the only master shows.
    pub async fn status(&self) -> Value {
        self.ostler(&["ls", "--json"]).success().await.json()
    }

    /// Each app with its state and its number of workers.
    pub async fn apps(&self) -> Vec<(String, String, u64)> {
        let status = self.status().await;
        let apps = status["apps"].as_array().expect("apps").iter();
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        apps.map(|app| {
            let size = app["instances"].as_u64().expect("a number");
            (text(&app["name"]), text(&app["state"]), size)
        })
        .collect()
    }

    /// The names of the apps that run.
    pub async fn running(&self) -> Vec<String> {
        let apps = self.apps().await.into_iter();
        apps.filter_map(|(name, state, _)| (state == "running").then_some(name))
            .collect()
    }

    /// The process of each worker that there is, by app and slot (`web:0`).
    pub async fn pids(&self) -> Vec<(String, u64)> {
        let status = self.status().await;
        let workers = status["workers"].as_array().expect("workers").iter();
        let pids = workers.filter_map(|worker| {
            let (app, slot) = (worker["app"].as_str()?, worker["slot"].as_u64()?);
            Some((format!("{app}:{slot}"), worker["pid"].as_u64()?))
        });
        pids.collect()
    }
}

impl Drop for Yard {
    fn drop(&mut self) {
        self.mark.kill_all();
    }
}
