//! Requests a second of the same worker program, and what the master does meanwhile.

use std::{cell::RefCell, collections::BTreeMap, time::Instant};

use ostler_tests::bench::{
    Contest, Results, Samples,
    peers::goals::{Bound, Goals},
    sockets::owned::Owned,
};
use tokio::runtime::Runtime;

use crate::sites::{Site, modes_for_one_address};

const ROUNDS: usize = 11;

const WORKERS: u32 = 4;

const OWNED: &str = "worker-owned reuseport";

/// Clients, and seconds of a turn.
pub(crate) const LOAD: [&str; 4] = ["-c", "16", "-d", "0.8"];

/// How connections are used: a name, and the generator's arguments.
pub(crate) const KINDS: [(&str, &[&str]); 2] = [("new connections", &[]), ("kept alive", &["-k"])];

/// What a mode's goal beside worker-owned sockets is.
const GOALS: [(&str, f64); 3] = [("shared", 0.95), ("slot", 0.95), ("balanced", 0.8)];

pub(crate) fn measure(runtime: &Runtime, goals: &mut Goals) -> Result<(), String> {
    let mut sites = vec![
        Site::owned(OWNED, Owned::reuseport(WORKERS as usize)?),
        Site::owned("one process of 4 threads", Owned::threads(4)?),
    ];
    sites.extend(modes_for_one_address(runtime, WORKERS)?);
    for (kind, args) in KINDS {
        let masters = Masters::default();
        let mut contest = Contest::new(&format!("4 workers, {kind}"), "requests/s");
        for site in &sites {
            let masters = &masters;
            contest = contest.with(&site.name, move || masters.watch(site, args));
        }
        let results = contest.run(ROUNDS)?;
        println!("{results}");
        masters.tell(kind, goals);
        rate_goals(kind, &results, goals);
    }
    Ok(())
}

fn rate_goals(kind: &str, results: &Results, goals: &mut Goals) {
    for (mode, bound) in GOALS {
        let what = format!("{mode}, {kind}: rate beside {OWNED}");
        goals.add(
            &what,
            Bound::AtLeast(bound),
            results.round_ratio(mode, OWNED),
        );
    }
}

/// What masters needed of a processor in each turn: percent of one, and microseconds for a request.
#[derive(Default)]
struct Masters(RefCell<BTreeMap<String, [Samples; 2]>>);

impl Masters {
    /// A turn of a site; gives its rate.
    fn watch(&self, site: &Site, args: &[&str]) -> Result<f64, String> {
        let spent = || site.master.map(|master| master.cpu_nanos()).transpose();
        let (before, began) = (spent()?, Instant::now());
        let account = site.load("/", &[&LOAD, args].concat())?.whole()?;
        if let (Some(before), Some(after)) = (before, spent()?) {
            let nanos = (after - before) as f64;
            let took = began.elapsed().as_nanos() as f64;
            let mut all = self.0.borrow_mut();
            let new = || Samples {
                name: site.name.clone(),
                figures: Vec::new(),
            };
            let [percent, each] = all
                .entry(site.name.clone())
                .or_insert_with(|| [new(), new()]);
            percent.figures.push(100.0 * nanos / took);
            each.figures.push(nanos / 1e3 / account.answered as f64);
        }
        Ok(account.rate)
    }

    fn tell(self, kind: &str, goals: &mut Goals) {
        println!("| the master meanwhile | of a core, % | µs for a request |");
        println!("|---|---:|---:|");
        for (mode, [percent, each]) in self.0.into_inner() {
            let percent = percent.median();
            println!("| {mode} | {percent:.2} | {:.2} |", each.median());
            let bound = match mode.as_str() {
                "shared" => 0.05,
                "slot" => 2.0,
                _ => continue,
            };
            let what = format!("{mode}, {kind}: master's time, % of a core");
            goals.add(&what, Bound::AtMost(bound), Some(percent));
        }
        println!();
    }
}
