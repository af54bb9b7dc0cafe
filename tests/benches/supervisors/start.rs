//! The start of many workers: one after the other, and as many at once as can be.

use std::{cell::RefCell, path::Path, time::Duration};

use ostler_tests::{
    bench::{
        Contest, Results,
        fleet::Fleet,
        peers::goals::{Bound, Goals},
        serial,
        supervisors::{Rival, births::Births, nginx_start},
    },
    harness::PrivateDir,
};
use tokio::runtime::{Builder, Runtime};

use crate::{MANY, MISBEHAVE, RIVALS, ROUNDS, WORKERS, ostler, present};

/// How long any start may take.
const PATIENCE: Duration = Duration::from_secs(30);

const NGINX: &str = "nginx, which forks its own";
const ENV: &str = "`env`, nobody supervises";

pub(crate) fn measure(goals: &mut Goals) -> Result<(), String> {
    let runtime = Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|e| e.to_string())?;
    for count in [WORKERS, MANY] {
        let results = one_by_one(&runtime, count)?;
        println!("{results}");
        let what = format!("serial start of {count} workers, beside `env`");
        let ratio = results.ratio("Ostler", "env");
        goals.add(&what, Bound::AtMost(1.5), ratio);
    }
    let results = at_once()?;
    println!("{results}");
    let beside_nginx = |name| results.ratio(name, NGINX);
    let others = RIVALS.map(|(name, _)| name).into_iter().chain([ENV]);
    let others: Vec<_> = others
        .filter(|name| *name != "Ostler")
        .filter_map(|name| Some((name, beside_nginx(name)?)))
        .collect();
    let what = format!("start of {MANY} workers with `start_parallel`, beside nginx's");
    let ratio = beside_nginx("Ostler");
    goals.add_beside(&what, Bound::AtMost(1.5), ratio, &others);
    Ok(())
}

/// Trivial workers, each started when the one before is ready: by a master that runs, and through `env`.
fn one_by_one(runtime: &Runtime, count: usize) -> Result<Results, String> {
    // Says READY=1, then prints `ready`.
    let command = [MISBEHAVE, "notify", "0"];
    let fleet = runtime.block_on(Fleet::start(ostler(), &command, "ready = \"notify\""))?;
    let fleet = RefCell::new(fleet);
    Contest::new(&format!("Serial start of {count} trivial workers"), "ms")
        .with("env", || {
            serial::through_env(Path::new(MISBEHAVE), &["trivial"], "ready", count).map(ms)
        })
        .with("Ostler", || {
            let fleet = &mut *fleet.borrow_mut();
            runtime.block_on(async {
                let began = std::time::Instant::now();
                fleet.scale_up(count as u32).await?;
                let took = ms(began.elapsed());
                fleet.scale_down(count).await?;
                Ok(took)
            })
        })
        .run(ROUNDS)
}

/// From a supervisor's own start to its last worker's first word. What the workers themselves cost, `env` tells.
fn at_once() -> Result<Results, String> {
    let title = format!("{MANY} workers, as many at once as can be, from the master's own start");
    let mut contest = Contest::new(&title, "ms");
    if present("nginx", nginx_start(MANY))?.is_some() {
        contest = contest.with(NGINX, || nginx_start(MANY).map(ms));
    }
    for (name, kind) in RIVALS {
        if present(name, Rival::start(kind, MISBEHAVE, MANY, true))?.is_some() {
            contest = contest.with(name, move || {
                Rival::start(kind, MISBEHAVE, MANY, true).map(|rival| ms(rival.took))
            });
        }
    }
    let dir = PrivateDir::new();
    let births = Births::at(dir.at("births"), MISBEHAVE)?;
    contest
        .with(ENV, || births.through_env(MANY, PATIENCE).map(ms))
        .run(ROUNDS)
}

fn ms(took: Duration) -> f64 {
    took.as_secs_f64() * 1e3
}
