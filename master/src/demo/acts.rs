//! What the guide shows. Each act does something real and tells what came of it.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use ostler_bus::{
    client::Subscription,
    vocab::{
        control::{Answer, AppReload},
        update::{UpdateAborted, UpdateFinished, UpdateProgress, UpdateStep},
        worker::WorkerReady,
    },
};
use rustix::process::{Pid, Signal, kill_process};
use serde::Deserialize;

use super::{
    NAME,
    ask::{self, Load, Tally},
    events::Heard,
    guide::{Stage, Trouble, status},
};
use crate::config::units::fine;

/// How long a single thing may take that takes milliseconds.
const SOON: Duration = Duration::from_secs(10);

/// How long an update may take that takes a few seconds.
const UPDATE: Duration = Duration::from_secs(120);

/// What can be shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Act {
    OnePort,
    OneBus,
    Kill,
    Update,
}

impl Act {
    pub(super) async fn play(self, stage: &Stage) -> Result<(), Trouble> {
        match self {
            Self::OnePort => one_port(stage).await,
            Self::OneBus => one_bus(stage).await,
            Self::Kill => kill(stage).await,
            Self::Update => update(stage).await,
        }
    }
}

async fn one_port(stage: &Stage) -> Result<(), Trouble> {
    const REQUESTS: usize = 400;
    let tally = ask::some(stage.at, REQUESTS).await;
    let screen = stage.screen;
    screen
        .say(format!(
            "   {REQUESTS} requests, each on a new connection to {}:",
            stage.at
        ))
        .await;
    let mut by_slot: BTreeMap<u32, u64> = (0..stage.instances).map(|slot| (slot, 0)).collect();
    for slot in &tally.answered {
        *by_slot.entry(*slot).or_default() += 1;
    }
    let most = by_slot.values().copied().max().unwrap_or(0);
    for (slot, count) in by_slot {
        let bar = screen.bar(count, most);
        screen
            .say(format!("   slot {slot:<2} {count:>4}  {bar}"))
            .await;
    }
    lost(stage, &tally).await;
    Ok(())
}

/// What `POST /greet` answers.
#[derive(Debug, Deserialize)]
struct Greeted {
    greeted_by_slot: u32,
}

async fn one_bus(stage: &Stage) -> Result<(), Trouble> {
    let mut heard = stage.bus.subscribe::<Heard>().await?;
    let answer = ask::ask(stage.at, "POST", "/greet").await?;
    let greeted: Greeted = serde_json::from_slice(&answer)?;
    let (screen, from) = (stage.screen, greeted.greeted_by_slot);
    screen
        .say(format!(
            "   POST /greet reached slot {from}, which emitted the typed event demo.greeting."
        ))
        .await;
    let slots = usize::try_from(stage.instances)?;
    let mut listeners = BTreeMap::new();
    let all = async {
        while listeners.len() < slots {
            let Some(event) = heard.next_event().await else {
                return;
            };
            listeners.insert(event.event.slot, event.event.after_us);
        }
    };
    let in_time = tokio::time::timeout(SOON, all).await;
    for (slot, after_us) in &listeners {
        let after = fine(Duration::from_micros(*after_us));
        let own = if *slot == from { ", its own" } else { "" };
        screen
            .say(format!("   slot {slot:<2} heard it after {after}{own}"))
            .await;
    }
    in_time.map_err(|_| format!("{} of {slots} workers heard it", listeners.len()).into())
}

async fn kill(stage: &Stage) -> Result<(), Trouble> {
    let report = status(&stage.bus).await?;
    let victim = report
        .workers
        .iter()
        .filter(|worker| worker.current && worker.pid.is_some())
        .max_by_key(|worker| worker.age_ms);
    let victim = victim.ok_or("there is no worker to kill")?;
    let number = i32::try_from(victim.pid.unwrap_or(0))?;
    let pid = Pid::from_raw(number).ok_or("the worker has no process")?;
    let mut ready = stage.bus.subscribe::<WorkerReady>().await?;
    let killed = Instant::now();
    kill_process(pid, Signal::KILL)?;
    let slot = victim.slot;
    stage
        .screen
        .say(format!("   kill -9 {number}, the worker of slot {slot}."))
        .await;
    let successor = tokio::time::timeout(SOON, successor(&mut ready, slot.0)).await?;
    let after = fine(killed.elapsed());
    let event = successor.ok_or("the bus is gone")?;
    stage
        .screen
        .say(format!(
            "   Its successor, pid {}, was ready {after} after the kill.",
            event.worker.pid.unwrap_or(0)
        ))
        .await;
    Ok(())
}

async fn successor(ready: &mut Subscription<WorkerReady>, slot: u32) -> Option<WorkerReady> {
    loop {
        let event = ready.next_event().await?.event;
        if event.worker.app == NAME && event.worker.slot.0 == slot {
            return Some(event);
        }
    }
}

async fn update(stage: &Stage) -> Result<(), Trouble> {
    let watch = Watch {
        progress: stage.bus.subscribe().await?,
        finished: stage.bus.subscribe().await?,
        aborted: stage.bus.subscribe().await?,
    };
    stage
        .screen
        .say("   Clients keep asking while `reload` replaces one worker after the other:")
        .await;
    let load = Load::start(stage.at);
    let reload = AppReload {
        app: Some(NAME.into()),
        reason: Some("the demo shows it".into()),
        now: false,
        env: None,
        inherit: None,
    };
    let accepted = match stage.bus.request(&reload).await {
        Ok(Answer::Accepted { .. }) => Ok(()),
        Ok(Answer::Refused { reason, .. }) => Err(Trouble::from(reason)),
        Err(error) => Err(error.into()),
    };
    let followed = match accepted {
        Ok(()) => tokio::time::timeout(UPDATE, watch.follow(stage))
            .await
            .unwrap_or_else(|late| Err(late.into())),
        Err(trouble) => Err(trouble),
    };
    let tally = load.stop().await;
    let finished = followed?;
    let style = stage.screen.style;
    let counts = format!(
        "{} requests answered, {} lost",
        tally.answered.len(),
        tally.lost.len()
    );
    let counts = match tally.lost.is_empty() {
        true => style.green(&counts),
        false => style.red(&counts),
    };
    stage
        .screen
        .say(format!(
            "   Generation {} serves after {}: {counts}.",
            finished.generation,
            fine(Duration::from_millis(finished.took_ms))
        ))
        .await;
    lost(stage, &tally).await;
    Ok(())
}

/// An update as it is told on the bus.
struct Watch {
    progress: Subscription<UpdateProgress>,
    finished: Subscription<UpdateFinished>,
    aborted: Subscription<UpdateAborted>,
}

impl Watch {
    /// Tells each step until the update has ended.
    async fn follow(mut self, stage: &Stage) -> Result<UpdateFinished, Trouble> {
        loop {
            tokio::select! {
                biased;
                Some(step) = self.progress.next_event() => tell(stage, &step.event).await,
                Some(aborted) = self.aborted.next_event() => return Err(aborted.event.reason.into()),
                Some(finished) = self.finished.next_event() => return Ok(finished.event),
                else => return Err("the bus is gone".into()),
            }
        }
    }
}

async fn tell(stage: &Stage, step: &UpdateProgress) {
    match step.step {
        UpdateStep::Replaced => {
            let (slot, worker) = (step.slot, step.worker);
            let line = format!(
                "   slot {slot:<2} worker {worker} has taken over; its predecessor finishes what it has"
            );
            stage.screen.say(line).await;
        }
        UpdateStep::Stopping
        | UpdateStep::Starting
        | UpdateStep::Watching
        | UpdateStep::Draining
        | UpdateStep::Drained => {}
    }
}

async fn lost(stage: &Stage, tally: &Tally) {
    if let Some(why) = tally.lost.first() {
        let words = format!("   {} were lost, the first one: {why}", tally.lost.len());
        stage.screen.say(stage.screen.style.red(&words)).await;
    }
}
