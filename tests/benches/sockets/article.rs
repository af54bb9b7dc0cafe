//! Other people's clients, on Node's program with one worker and with four, with workers that crash every 1 to 4 seconds, and
//! with a replacement of all workers meanwhile.

use std::{net::SocketAddr, time::Duration};

use ostler_tests::bench::{
    peers::goals::{Bound, Goals},
    sockets::{Absent, Cluster, Ours, Pm2, Policy, Stranger},
};
use serde_json::json;
use tokio::runtime::Runtime;

use crate::{OSTLER, sites::left_out};

const WORKERS: u32 = 4;

/// When all workers are replaced, after the client's start.
const MEANWHILE: Duration = Duration::from_secs(2);

/// Siege doesn't always come to its end (<https://github.com/JoeDog/siege/issues/4>): it is tried so often.
const TRIES: usize = 3;

/// Who keeps the workers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Keeper {
    Ostler,
    Cluster,
    Pm2,
}

const KEEPERS: [(&str, Keeper); 3] = [
    ("Ostler", Keeper::Ostler),
    ("Node's cluster", Keeper::Cluster),
    ("PM2, cluster mode", Keeper::Pm2),
];

/// What happens to the workers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Quiet,
    Crashes,
    Replaced,
}

const SIEGES: [(&str, u32, Fate); 4] = [
    ("one worker", 1, Fate::Quiet),
    ("four workers", WORKERS, Fate::Quiet),
    (
        "four workers that crash every 1–4 s",
        WORKERS,
        Fate::Crashes,
    ),
    (
        "four workers, all replaced meanwhile",
        WORKERS,
        Fate::Replaced,
    ),
];

/// Workers that somebody keeps. Ended on drop.
#[derive(Debug)]
enum Kept {
    Ostler(Box<Ours>),
    Cluster(Cluster),
    Pm2(Pm2),
}

impl Kept {
    fn start(runtime: &Runtime, keeper: Keeper, workers: u32, fate: Fate) -> Result<Self, Absent> {
        let crash = fate == Fate::Crashes;
        Ok(match keeper {
            Keeper::Ostler => {
                let env = if crash {
                    json!({"CRASH": "1"})
                } else {
                    json!({})
                };
                let set = |app: ostler_tests::harness::App| app.set("env", env.clone());
                Self::Ostler(Box::new(Ours::start_node(
                    runtime, OSTLER, "shared", workers, set,
                )?))
            }
            Keeper::Cluster => {
                let variables: &[&str] = if crash { &["CRASH=1"] } else { &[] };
                Self::Cluster(Cluster::start(
                    Policy::RoundRobin,
                    workers as usize,
                    variables,
                )?)
            }
            Keeper::Pm2 => {
                let variables: &[(&str, &str)] = if crash { &[("CRASH", "1")] } else { &[] };
                Self::Pm2(Pm2::start(workers, variables)?)
            }
        })
    }

    fn address(&self) -> SocketAddr {
        match self {
            Self::Ostler(ours) => ours.address,
            Self::Cluster(cluster) => cluster.address,
            Self::Pm2(pm2) => pm2.address,
        }
    }

    fn update(&self, runtime: &Runtime) -> Result<(), String> {
        match self {
            Self::Ostler(ours) => {
                ours.update(runtime);
                Ok(())
            }
            Self::Cluster(cluster) => cluster.update(),
            Self::Pm2(pm2) => pm2.update(),
        }
    }
}

pub(crate) fn measure(runtime: &Runtime, goals: &mut Goals) -> Result<(), String> {
    for (what, workers, fate) in SIEGES {
        visit(runtime, Stranger::Siege, what, workers, fate, goals)?;
    }
    for stranger in [Stranger::Loadtest, Stranger::Artillery] {
        visit(
            runtime,
            stranger,
            "four workers",
            WORKERS,
            Fate::Quiet,
            goals,
        )?;
    }
    Ok(())
}

/// One client at everybody's, one after the other.
fn visit(
    runtime: &Runtime,
    stranger: Stranger,
    what: &str,
    workers: u32,
    fate: Fate,
    goals: &mut Goals,
) -> Result<(), String> {
    let lines = stranger.lines();
    println!("**`{}`, {what}**\n", stranger.words().join(" "));
    println!(
        "| | {} |\n|---|{}",
        lines.join(" | "),
        "---:|".repeat(lines.len())
    );
    for (name, keeper) in KEEPERS {
        let mut said = summary(runtime, stranger, keeper, workers, fate);
        for _ in 1..TRIES {
            match &said {
                Err(why) if stranger == Stranger::Siege => eprintln!("once more: {name}: {why}"),
                Ok(_) | Err(_) => break,
            }
            said = summary(runtime, stranger, keeper, workers, fate);
        }
        match said {
            Ok(said) => {
                println!("| {name} | {} |", said.join(" | "));
                let failed = lines.iter().position(|line| *line == "failed_transactions");
                if let (Some(at), Keeper::Ostler, Fate::Quiet | Fate::Replaced) =
                    (failed, keeper, fate)
                {
                    let goal = format!("siege, {what}: failed under Ostler");
                    goals.add(&goal, Bound::AtMost(0.0), said[at].parse().ok());
                }
            }
            Err(why) if keeper == Keeper::Ostler => return Err(why),
            Err(why) => left_out(name, &why),
        }
    }
    println!();
    Ok(())
}

fn summary(
    runtime: &Runtime,
    stranger: Stranger,
    keeper: Keeper,
    workers: u32,
    fate: Fate,
) -> Result<Vec<String>, String> {
    let kept = Kept::start(runtime, keeper, workers, fate)?;
    let visit = stranger.visit(kept.address())?;
    if fate == Fate::Replaced {
        std::thread::park_timeout(MEANWHILE);
        kept.update(runtime)?;
    }
    visit.summary()
}
