//! Clients of `sticky` sockets over IPv6, each with an address of its own: those of one network (/64) are one client, and over
//! IPv4 each address is one, also where both come to one socket.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{Ipv4Addr, Ipv6Addr},
};

use super::{
    apart::{in_a_network_apart, ip},
    datagrams::asking::Client,
    *,
};

/// So many networks, and clients in each.
const NETWORKS: u16 = 40;
const HOSTS: u16 = 4;

/// A client of a network; neighbours differ in all of what is the host's own.
fn host(network: u16, host: u16) -> Ipv6Addr {
    let own = |part: u16| host.wrapping_mul(0x3b1d).wrapping_add(part).max(1);
    // Some networks differ in their last bits, others in the first ones.
    let (far, near) = (network % 8, network / 8);
    Ipv6Addr::new(0xfd00 + far, 0, 0, near, own(1), own(7), own(9), own(2))
}

fn hosts(network: u16) -> impl Iterator<Item = Ipv6Addr> {
    (0..HOSTS).map(move |number| host(network, number))
}

/// Where they connect to.
fn server() -> Ipv6Addr {
    host(NETWORKS, 0)
}

/// In a network with all these addresses: a fleet of four, and the port of its socket.
async fn serving(app: App, name: &str, address: &str) -> (Fleet, u16) {
    let all = (0..NETWORKS).flat_map(hosts).chain([server()]);
    let add = |address| format!("addr add {address}/128 dev lo nodad\n");
    ip(&all.map(add).collect::<String>());
    let socket = json!({"address": address, "mode": "sticky"});
    let app = app.set("listen", json!({ name: socket }));
    let app = app.set("backoff", json!({"first": "300ms", "max": "300ms"}));
    let fleet = Fleet::ready(master(&app).with("datagrams", ""), 4).await;
    let status = fleet.status().await;
    let port = sockets(&status)[0].address.rsplit(':').next();
    let port = port.and_then(|port| port.parse().ok());
    (fleet, port.expect("a port"))
}

/// Which slot serves each of the networks: all hosts the same one.
fn homes(by_host: impl IntoIterator<Item = (Ipv6Addr, u64)>) -> BTreeMap<u16, u64> {
    let by_host: BTreeMap<_, _> = by_host.into_iter().collect();
    let home = |network| {
        let mut slots = hosts(network).map(|host| by_host[&host]);
        let slot = slots.next().expect("a host");
        assert!(slots.all(|other| other == slot), "{network}: {by_host:?}");
        (network, slot)
    };
    (0..NETWORKS).map(home).collect()
}

/// All slots have some: of 40 networks 10 each, give or take 3.
fn spread<T>(homes: &BTreeMap<T, u64>, slots: u64) {
    for slot in 0..slots {
        let its = homes.values().filter(|home| **home == slot).count();
        let fair = homes.len() / slots as usize;
        assert!((fair / 3..fair * 2).contains(&its), "{its} of slot {slot}");
    }
}

async fn knock_all<T>(clients: Vec<T>, address: SocketAddr) -> Vec<(T, u64)>
where
    T: Into<IpAddr> + Copy,
{
    let mut answers = Vec::new();
    for client in &clients {
        answers.push(knock_from(*client, address).await);
    }
    clients.into_iter().zip(answered(answers).await).collect()
}

async fn over_connections() {
    let (fleet, port) = serving(web(4, "sticky"), "http", "[::]:0").await;
    let six = SocketAddr::from((server(), port));
    let four = SocketAddr::from(([127, 0, 0, 1], port));
    let networks = async || homes(knock_all((0..NETWORKS).flat_map(hosts).collect(), six).await);
    let addresses = async || -> BTreeMap<Ipv4Addr, u64> {
        let clients = (1..=64).map(|host| Ipv4Addr::new(127, 9, 9, host));
        let slots = knock_all(clients.collect(), four).await;
        slots.into_iter().collect()
    };
    let (by_network, by_address) = (networks().await, addresses().await);
    spread(&by_network, 4);
    spread(&by_address, 4);
    // What has crashed comes back to the same clients, and nobody else's move, neither before nor after that.
    signal(&fleet.worker("web", 1).await, Signal::KILL);
    assert_eq!(networks().await, by_network);
    assert_eq!(addresses().await, by_address);
    fleet.until_ready(4).await;
    assert_eq!(networks().await, by_network);
    assert_eq!(addresses().await, by_address);
}

#[test]
fn hosts_of_one_network_come_to_one_slot_and_over_ipv4_each_address_to_its_own() {
    in_a_network_apart(over_connections);
}

async fn over_datagrams() {
    // At this address alone: the kernel would choose another one to answer from.
    let at = format!("udp:[{}]:0", server());
    let (fleet, port) = serving(sdk(4, "sticky"), "dns", &at).await;
    let address = SocketAddr::from((server(), port));
    let ask_all = async || {
        let mut slots = Vec::new();
        for host in (0..NETWORKS).flat_map(hosts) {
            let mut client = Client::new(host.into(), address).await;
            slots.push((host, client.ask().await.slot));
        }
        homes(slots)
    };
    let before = ask_all().await;
    spread(&before, 4);
    signal(&fleet.worker("web", 2).await, Signal::KILL);
    assert_eq!(ask_all().await, before);
    let slots: BTreeSet<u64> = before.into_values().collect();
    assert_eq!(slots, BTreeSet::from([0, 1, 2, 3]));
}

#[test]
fn the_same_is_so_of_datagrams() {
    in_a_network_apart(over_datagrams);
}
