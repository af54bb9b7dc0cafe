//! How evenly eight workers are served: the largest share over the mean one. What counts is how idle workers are served: of busy
//! ones the slower should get less.

use ostler_tests::bench::{
    Contest, Results,
    peers::goals::{Bound, Goals},
    sockets::Spread,
};
use tokio::runtime::Runtime;

use crate::sites::{STICKY, Site, clusters, modes};

const ROUNDS: usize = 3;

const WORKERS: usize = 8;

/// Addresses that ask a sticky socket.
const SOURCES: u32 = 2_000;

const IDLE: &str = "workers idle: 1,000 requests a second";

/// A kind of load: its name, and the generator's arguments.
const KINDS: [(&str, &[&str]); 2] = [
    (
        IDLE,
        &["-c", "16", "-d", "1.5", "-r", "1000", "--by", "pid"],
    ),
    ("as much as goes", &["-c", "16", "-d", "0.7", "--by", "pid"]),
];

const GOALS: [(&str, f64); 2] = [("balanced", 1.02), ("slot", 1.2)];

pub(crate) fn measure(runtime: &Runtime, goals: &mut Goals) -> Result<(), String> {
    let mut sites = modes(runtime, WORKERS as u32)?;
    let sticky = sites.iter().position(|site| site.name == STICKY);
    let sticky = sticky.map(|at| sites.remove(at));
    sites.extend(clusters(WORKERS));
    for (kind, args) in KINDS {
        let title = format!("8 workers, new connections, {kind}");
        let mut contest = Contest::new(&title, "max/mean");
        for site in &sites {
            contest = contest.with(&site.name, move || {
                Ok(site.load("/", args)?.whole()?.unevenness(WORKERS))
            });
        }
        let results = contest.run(ROUNDS)?;
        println!("{results}");
        if kind == IDLE {
            add(&results, goals);
        }
    }
    let spread = sticky.map(|site| spread(&site)).transpose()?;
    let bound = Bound::AtMost(1.2);
    goals.add(
        "sticky: max/mean of addresses over 8 workers",
        bound,
        spread,
    );
    Ok(())
}

fn add(results: &Results, goals: &mut Goals) {
    for (mode, bound) in GOALS {
        let samples = results.samples.iter().find(|samples| samples.name == mode);
        let figure = samples.map(|samples| samples.median());
        let what = format!("{mode}: max/mean over 8 idle workers");
        goals.add(&what, Bound::AtMost(bound), figure);
    }
}

fn spread(site: &Site) -> Result<f64, String> {
    let spread = Spread::of(site.address(), SOURCES)?;
    let uneven = spread.unevenness(WORKERS);
    let moved = spread.moved;
    println!(
        "`sticky`, {SOURCES} addresses: max/mean {uneven:.2}, {moved} came to another worker when they came again\n"
    );
    match moved {
        0 => Ok(uneven),
        _ => Err(format!("{moved} addresses didn't stay with their worker")),
    }
}
