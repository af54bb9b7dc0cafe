//! Who takes part: everybody who serves, with a name and an address.

use std::{fmt::Debug, net::SocketAddr};

use ostler_tests::bench::{
    fleet::Process,
    sockets::{Absent, Account, Client, Cluster, MODES, Ours, Pm2, Policy, app, owned::Owned},
    supervisors::servers,
};
use tokio::runtime::Runtime;

use crate::{LOAD, OSTLER};

/// The mode that goes by the client's address.
pub(crate) const STICKY: &str = "sticky";

const PM2: &str = "PM2, cluster mode";

/// A running service. Ended on drop.
#[derive(Debug)]
pub(crate) struct Site {
    pub(crate) name: String,
    address: SocketAddr,
    /// Of those who have one.
    pub(crate) master: Option<Process>,
    _held: Box<dyn Debug>,
}

impl Site {
    pub(crate) fn ours(name: &str, ours: Ours) -> Self {
        let (address, master) = (ours.address, Some(ours.master()));
        Self::new(name, address, master, ours)
    }

    pub(crate) fn owned(name: &str, owned: Owned) -> Self {
        Self::new(name, owned.address, None, owned)
    }

    fn new(
        name: &str,
        address: SocketAddr,
        master: Option<Process>,
        held: impl Debug + 'static,
    ) -> Self {
        Self {
            name: name.into(),
            address,
            master,
            _held: Box::new(held),
        }
    }

    /// What the load generator finds there.
    pub(crate) fn load(&self, path: &str, args: &[&str]) -> Result<Account, String> {
        Client::start(LOAD, self.address, path, args)?.finish()
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }
}

/// This build in every mode that it has; those without are named.
pub(crate) fn modes(runtime: &Runtime, workers: u32) -> Result<Vec<Site>, String> {
    let mut sites = Vec::new();
    for mode in MODES {
        match Ours::start(runtime, OSTLER, &app(mode, workers)?, workers) {
            Ok(ours) => sites.push(Site::ours(mode, ours)),
            Err(why) => left_out(mode, &why),
        }
    }
    Ok(sites)
}

/// The same but `sticky`: clients that have one address come to one worker there.
pub(crate) fn modes_for_one_address(runtime: &Runtime, workers: u32) -> Result<Vec<Site>, String> {
    let mut sites = modes(runtime, workers)?;
    sites.retain(|site| site.name != STICKY);
    Ok(sites)
}

/// Node's cluster in both its ways, where Node is installed.
pub(crate) fn clusters(workers: usize) -> Vec<Site> {
    let mut sites = Vec::new();
    for policy in [Policy::RoundRobin, Policy::None] {
        let name = policy.to_string();
        match Cluster::start(policy, workers, &[]) {
            Ok(cluster) => {
                let primary = Some(Process(cluster.primary()));
                sites.push(Site::new(&name, cluster.address, primary, cluster));
            }
            Err(why) => left_out(&name, &why),
        }
    }
    sites
}

/// Others with four workers, where they are installed.
pub(crate) fn bystanders() -> Vec<Site> {
    let others = [
        ("nginx", servers::Kind::Nginx),
        ("Gunicorn", servers::Kind::Gunicorn),
    ];
    let mut sites = Vec::new();
    match Pm2::start(4, &[]) {
        Ok(pm2) => sites.push(Site::new(PM2, pm2.address, None, pm2)),
        Err(why) => left_out(PM2, &why),
    }
    for (name, kind) in others {
        match servers::Fleet::start(kind, 4) {
            Ok(fleet) => sites.push(Site::new(name, fleet.address, None, fleet)),
            Err(why) => left_out(name, &why),
        }
    }
    sites
}

pub(crate) fn left_out(name: &str, why: &Absent) {
    eprintln!("left out: {name}: {why}");
}
