//! Node's program under a master, beside Node's own cluster module; and others, who answer what they answer.

use ostler_tests::bench::{
    Contest,
    peers::goals::{Bound, Goals},
    sockets::{Ours, Policy},
};
use tokio::runtime::Runtime;

use crate::{
    OSTLER,
    sites::{Site, bystanders, clusters, left_out},
    throughput::{KINDS, LOAD},
};

const ROUNDS: usize = 11;

/// The modes that Node's own listener can serve, and what they are called here.
const OURS: [(&str, &str); 2] = [("shared", "Ostler, shared"), ("slot", "Ostler, slot")];

pub(crate) fn measure(runtime: &Runtime, goals: &mut Goals) -> Result<(), String> {
    let mut sites = Vec::new();
    for (mode, name) in OURS {
        match Ours::start_node(runtime, OSTLER, mode, 4, |app| app) {
            Ok(ours) => sites.push(Site::ours(name, ours)),
            Err(why) => {
                left_out("Node", &why);
                return Ok(());
            }
        }
    }
    sites.extend(clusters(4));
    sites.extend(bystanders());
    for (kind, args) in KINDS {
        let mut contest = Contest::new(&format!("Node, 4 workers, {kind}"), "requests/s");
        for site in &sites {
            contest = contest.with(&site.name, move || {
                Ok(site.load("/", &[&LOAD, args].concat())?.whole()?.rate)
            });
        }
        let results = contest.run(ROUNDS)?;
        println!("{results}");
        for (mode, name) in OURS {
            let beside = |policy: Policy| results.round_ratio(name, &policy.to_string());
            if args.is_empty() {
                let what = format!("Node in `{mode}`, {kind}: beside SCHED_RR");
                goals.add(&what, Bound::AtLeast(2.3), beside(Policy::RoundRobin));
            }
            let what = format!("Node in `{mode}`, {kind}: beside SCHED_NONE");
            goals.add(&what, Bound::AtLeast(0.95), beside(Policy::None));
        }
    }
    Ok(())
}
