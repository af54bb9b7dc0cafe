//! The guide: waits for the fleet, shows what it does, says what to try, and goes on telling what happens.

use std::{
    net::SocketAddr,
    sync::{Arc, OnceLock},
    time::Duration,
};

use ostler_bus::{
    client::{Bus, Subscription},
    vocab::{
        control::MasterKill,
        status::{MasterStatus, StatusReport},
        worker::{WorkerDraining, WorkerExited, WorkerReady},
    },
};

use super::{NAME, acts, commands::Ostler, narrate, screen::Screen};
use crate::{escape, home::MasterName};

/// How long the workers may take until all of them are ready.
const START: Duration = Duration::from_secs(60);

/// After so many failed starts there is no use in waiting.
const FAILED_STARTS: u32 = 3;

/// Anything that keeps a part of the show from being shown.
pub(super) type Trouble = Box<dyn std::error::Error + Send + Sync>;

/// What the guide is given.
#[derive(Debug)]
pub(super) struct Guide {
    pub(super) instances: u32,
    pub(super) master: MasterName,
    pub(super) screen: Screen,
    /// Why the demo could not begin; the program's exit code depends on it.
    pub(super) failure: Arc<OnceLock<String>>,
}

/// A fleet that is up, and where to show it.
#[derive(Clone, Debug)]
pub(super) struct Stage {
    pub(super) bus: Bus,
    pub(super) screen: Screen,
    pub(super) at: SocketAddr,
    pub(super) instances: u32,
}

impl Guide {
    /// Guides until the master ends.
    pub(super) async fn run(self, bus: Bus) {
        let begun = async {
            let stopping = bus.subscribe::<WorkerDraining>().await?;
            Ok::<_, Trouble>((stopping, self.until_ready(&bus).await?))
        };
        let (stopping, report) = match begun.await {
            Ok(begun) => begun,
            Err(trouble) => return self.give_up(&bus, &trouble.to_string()).await,
        };
        let stage = match self.stage(bus.clone(), &report) {
            Ok(stage) => stage,
            Err(trouble) => return self.give_up(&bus, &trouble.to_string()).await,
        };
        let shown = tokio::select! {
            () = self.show(&stage, &report) => true,
            () = told_to_stop(stopping) => false,
        };
        // First: of what is tried, nothing is missed.
        let news = match narrate::News::subscribe(&stage.bus).await {
            Ok(news) => news,
            // The master is ending already.
            Err(trouble) => return tracing::debug!("the guide has no news: {trouble}"),
        };
        if shown {
            self.hand_over(&stage).await;
        }
        narrate::until_the_end(&stage, news).await;
    }

    async fn show(&self, stage: &Stage, report: &StatusReport) {
        self.introduce(stage, report).await;
        let acts: [(&str, _); 4] = [
            ("One port", acts::Act::OnePort),
            ("One event bus", acts::Act::OneBus),
            ("A worker is killed", acts::Act::Kill),
            ("A rolling update under load", acts::Act::Update),
        ];
        for (number, (title, act)) in (1..).zip(acts) {
            stage.screen.section(number, title).await;
            if let Err(trouble) = act.play(stage).await {
                let words = format!(
                    "   could not be shown: {}",
                    escape::line(&trouble.to_string())
                );
                stage.screen.say(stage.screen.style.red(&words)).await;
            }
        }
    }

    async fn introduce(&self, stage: &Stage, report: &StatusReport) {
        let style = stage.screen.style;
        let pids: Vec<String> = report
            .workers
            .iter()
            .filter_map(|worker| Some(worker.pid?.to_string()))
            .collect();
        let name = &report.master.title;
        let lines = [
            style
                .bold("Ostler's demo: one master, and workers that share a port and an event bus."),
            String::new(),
            format!(
                "   service   {}",
                style.bold(&format!("http://{}/", stage.at))
            ),
            format!("   master    {name}, pid {}", report.master.pid),
            format!("   workers   {}, pids {}", pids.len(), pids.join(" ")),
        ];
        stage.screen.say(lines.join("\n")).await;
    }

    async fn hand_over(&self, stage: &Stage) {
        let style = stage.screen.style;
        let (at, ostler) = (stage.at, Ostler::here(&self.master));
        let mut tries = vec![
            (format!("curl http://{at}/"), "which worker answers?"),
            (ostler.command("ls"), "master, app, workers"),
            (
                ostler.command("tail 'demo.*'"),
                "watch events; then, elsewhere:",
            ),
            (
                format!("curl -X POST http://{at}/greet"),
                "a worker emits one",
            ),
            (
                ostler.command("reload"),
                "replace all workers, lose nothing",
            ),
            (
                format!("curl -X POST http://{at}/restart"),
                "a worker asks for the same",
            ),
            (ostler.command("scale 6"), "more of them"),
        ];
        if let Some(pid) = some_worker(&stage.bus).await {
            tries.push((format!("kill -9 {pid}"), "a worker dies, and is replaced"));
        }
        let width = tries.iter().map(|(command, _)| command.len()).max();
        let width = width.unwrap_or(0);
        let mut lines = vec![format!("\n{}", style.bold("Now you, in another terminal:"))];
        if let Some(home) = std::env::var_os("OSTLER_HOME") {
            let home = super::commands::quoted(home.as_ref());
            lines.push(format!("   export OSTLER_HOME={home}"));
        }
        for (command, why) in tries {
            lines.push(format!("   {command:width$}   {}", style.dim(why)));
        }
        lines.push(format!(
            "\n{}\n",
            style.bold("Ctrl-C ends the demo. Until then, this is what happens:")
        ));
        stage.screen.say(lines.join("\n")).await;
    }

    /// Waits until every worker is ready.
    async fn until_ready(&self, bus: &Bus) -> Result<StatusReport, Trouble> {
        let mut ready = bus.subscribe::<WorkerReady>().await?;
        let mut exited = bus.subscribe::<WorkerExited>().await?;
        let all = async {
            let mut failed = 0;
            loop {
                let report = status(bus).await?;
                let app = report.apps.iter().find(|app| app.name == NAME);
                if app.is_some_and(|app| app.ready >= self.instances) {
                    return Ok(report);
                }
                tokio::select! {
                    _ = ready.next_event() => {}
                    Some(exit) = exited.next_event() => {
                        failed += 1;
                        if failed >= FAILED_STARTS {
                            return Err(narrate::death(&exit.event).into());
                        }
                    }
                }
            }
        };
        let late = || Err(format!("not all workers were ready after {START:?}").into());
        tokio::time::timeout(START, all)
            .await
            .unwrap_or_else(|_| late())
    }

    fn stage(&self, bus: Bus, report: &StatusReport) -> Result<Stage, Trouble> {
        let app = report.apps.iter().find(|app| app.name == NAME);
        let socket = app.and_then(|app| app.sockets.first());
        let socket = socket.ok_or("the master has no socket for the demo")?;
        Ok(Stage {
            bus,
            screen: self.screen,
            at: socket.address.parse()?,
            instances: self.instances,
        })
    }

    /// Ends the master: there is nothing to show.
    async fn give_up(&self, bus: &Bus, trouble: &str) {
        let words = format!("the demo's workers could not be started: {trouble}");
        // Set once, here.
        let _first = self.failure.set(words);
        if let Err(error) = bus.request(&MasterKill { force: true }).await {
            tracing::error!("the master can't be ended: {error}");
        }
    }
}

/// The process of a worker that is there now.
async fn some_worker(bus: &Bus) -> Option<u32> {
    let report = status(bus).await.ok()?;
    let mut workers = report.workers.iter();
    workers.find(|worker| worker.current)?.pid
}

/// The state of everything.
pub(super) async fn status(bus: &Bus) -> Result<StatusReport, Trouble> {
    Ok(bus.request(&MasterStatus { id: None }).await?)
}

/// Waits until the workers are told to go for good.
async fn told_to_stop(mut draining: Subscription<WorkerDraining>) {
    while let Some(worker) = draining.next_event().await {
        if narrate::is_for_good(&worker.event) {
            return;
        }
    }
}
