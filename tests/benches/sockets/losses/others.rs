//! The same for Node's cluster, which starts another worker for each that dies.

use ostler_tests::bench::sockets::{Absent, Cluster, Policy};

use super::{HANG, WORKERS, cell, chance, dead, kill_after, killing, under_load};

/// Fewer than ours: a worker goes only when its clients have left, which those that keep connections do not.
const UPDATES: usize = 3;

pub(super) fn of_cluster(policy: Policy) -> Result<String, Absent> {
    let workers = WORKERS as usize;
    let cluster = Cluster::start(policy, workers, &[])?;
    let mut cells = Vec::new();
    for hang in [None, Some(HANG)] {
        let account = killing(cluster.address, |kill| {
            let pids = cluster.pids()?;
            let pid = pids[chance(kill, pids.len())];
            kill_after(pid, hang)?;
            cluster.until_replaced(&[pid])
        })?;
        cells.push(cell(&account));
    }
    let slow = Cluster::start(policy, workers, &["RESPAWN_MS=1000"])?;
    cells.push(cell(&dead(&slow.pids()?, slow.address)?));
    let accounts = under_load(cluster.address, UPDATES, || cluster.update())?;
    let few = |account| format!("{} ({UPDATES} updates)", cell(account));
    cells.extend(accounts.iter().map(few));
    Ok(cells.join(" | "))
}
