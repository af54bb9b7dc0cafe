//! One worker of four stands still for 20 ms at each request, and everything in it: what that costs the others' clients.

use ostler_tests::bench::{
    Contest,
    peers::goals::{Bound, Goals},
    sockets::owned::Owned,
};
use tokio::runtime::Runtime;

use crate::{
    sites::{Site, clusters, modes_for_one_address},
    throughput::LOAD,
};

const ROUNDS: usize = 3;

const WORKERS: u32 = 4;

/// What a mode keeps of its rate.
const GOALS: [(&str, f64); 3] = [("shared", 0.75), ("slot", 0.5), ("balanced", 0.75)];

pub(crate) fn measure(runtime: &Runtime, goals: &mut Goals) -> Result<(), String> {
    let mut sites = modes_for_one_address(runtime, WORKERS)?;
    let owned = Owned::reuseport(WORKERS as usize)?;
    sites.push(Site::owned("worker-owned reuseport", owned));
    sites.extend(clusters(WORKERS as usize));
    let title = "One worker of four stalled for 20 ms at each request, 16 clients";
    let mut contest = Contest::new(title, "requests/s");
    for site in &sites {
        contest = contest
            .with(&site.name, move || Ok(site.load("/", &LOAD)?.whole()?.rate))
            .with(&stalled(&site.name), move || {
                Ok(site.load("/stall", &LOAD)?.whole()?.rate)
            });
    }
    let results = contest.run(ROUNDS)?;
    println!("{results}");
    println!("| | kept of the rate |\n|---|---:|");
    let kept = |name: &str| results.round_ratio(&stalled(name), name);
    for site in &sites {
        println!(
            "| {} | {:.3} |",
            site.name,
            kept(&site.name).unwrap_or(f64::NAN)
        );
    }
    println!();
    for (mode, bound) in GOALS {
        let what = format!("{mode}: rate kept with one worker of four stalled");
        goals.add(&what, Bound::AtLeast(bound), kept(mode));
    }
    Ok(())
}

fn stalled(name: &str) -> String {
    format!("{name}, one stalled")
}
