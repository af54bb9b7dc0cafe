//! Programs run on a machine of our own, on packets and random numbers of our choice.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::*;
use crate::sockets::slots::table::buckets;

/// The network header of a packet of a client, and what UDP has behind it.
fn packet(client: SocketAddr) -> Vec<u8> {
    let mut packet = vec![0; 40];
    match client.ip() {
        IpAddr::V4(v4) => {
            packet.truncate(20);
            packet[0] = 0x45;
            packet[12..16].copy_from_slice(&v4.octets());
        }
        IpAddr::V6(v6) => {
            packet[0] = 0x60;
            packet[6] = 17;
            packet[8..24].copy_from_slice(&v6.octets());
        }
    }
    packet.extend(client.port().to_be_bytes());
    packet.extend([0, 53]);
    packet
}

/// What a program returns for a client, with this random number.
fn run(program: &[Instruction], client: SocketAddr, random: u32) -> u32 {
    run_on(program, &packet(client), random)
}

fn run_on(program: &[Instruction], packet: &[u8], random: u32) -> u32 {
    let short = |at: usize| u16::from_be_bytes(packet[at..at + 2].try_into().expect("two"));
    let (mut a, mut x, mut at) = (0_u32, 0_u32, 0);
    loop {
        let Instruction {
            code,
            if_true,
            if_false,
            operand,
        } = program[at];
        at += 1;
        let from = operand.wrapping_sub(NET) as usize;
        match code {
            LOAD_WORD if operand == RANDOM => a = random,
            LOAD_WORD => a = u32::from_be_bytes(packet[from..from + 4].try_into().expect("four")),
            LOAD_SHORT => a = short(from).into(),
            LOAD_SHORT_FROM_X => a = short(from + x as usize).into(),
            LOAD_BYTE => a = packet[from].into(),
            LOAD => a = operand,
            LENGTH_TO_X => x = 4 * u32::from(packet[from] & 15),
            ADD => a = a.wrapping_add(operand),
            MULTIPLY => a = a.wrapping_mul(operand),
            SHIFT_RIGHT => a >>= operand,
            MODULO => a %= operand,
            XOR_X => a ^= x,
            A_TO_X => x = a,
            JUMP => at += operand as usize,
            IF_EQUAL => at += usize::from(if a == operand { if_true } else { if_false }),
            IF_AT_LEAST => at += usize::from(if a >= operand { if_true } else { if_false }),
            RETURN => return operand,
            RETURN_A => return a,
            other => panic!("no such instruction: {other:#x}"),
        }
    }
}

const SOMEBODY: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 9);

#[test]
fn each_of_those_to_choose_from_is_as_likely() {
    for positions in [
        vec![0],
        vec![5],
        vec![0, 1, 2, 3],
        vec![1, 0],
        vec![0, 1, 3],
        (0..300).rev().collect(),
        (0..1000).filter(|at| at % 7 != 3).collect(),
    ] {
        let program = compile(&Choice::AtRandom(positions.clone()));
        assert!(program.len() <= 4096, "{}", program.len());
        for (random, position) in positions.iter().enumerate() {
            let drawn = random + 3 * positions.len();
            let drawn = u32::try_from(drawn).expect("small");
            assert_eq!(run(&program, SOMEBODY, drawn) as usize, *position);
        }
    }
}

#[test]
fn clients_come_to_the_position_of_their_bucket() {
    for slots in [1, 2, 3, 8, 64, 65, 200, 1024] {
        let table = buckets(slots);
        for kind in [Client::Address, Client::Flow] {
            let program = compile(&Choice::ByClient(kind, table.clone()));
            assert!(program.len() <= 4096, "{slots}: {}", program.len());
            for number in 0..2_000_u32 {
                let spread = number.wrapping_mul(2_654_435_769);
                let v4 = IpAddr::V4(Ipv4Addr::from_bits(spread));
                let bits = u128::from(spread) << 80 | u128::from(number) << 64 | u128::from(spread);
                let v6 = IpAddr::V6(Ipv6Addr::from_bits(bits));
                for client in [v4, v6] {
                    let client = SocketAddr::new(client, (spread >> 7) as u16);
                    let expected = table[bucket_of(client, kind, table.len())];
                    assert_eq!(run(&program, client, 0) as usize, expected, "{client}");
                }
            }
        }
    }
}

/// However long the header before the port is; and where it can't be found, all of the packets of a flow come to one place.
#[test]
fn the_port_is_found_behind_the_network_header_or_is_none() {
    let table: Vec<usize> = (0..256).collect();
    let program = compile(&Choice::ByClient(Client::Flow, table));
    let client = SocketAddr::from(([10, 1, 2, 3], 40_000));
    let mut options = packet(client);
    options[0] = 0x47;
    options.splice(20..20, [1; 8]);
    let expected = bucket_of(client, Client::Flow, 256);
    assert_eq!(run_on(&program, &options, 0) as usize, expected);
    let client: SocketAddr = "[2001:db8::1]:40000".parse().expect("an address");
    let mut more = packet(client);
    more[6] = 60;
    let without = SocketAddr::new(client.ip(), 0);
    assert_eq!(run_on(&program, &more, 0), run(&program, without, 0));
    assert_ne!(run(&program, client, 0), run(&program, without, 0));
}

#[test]
fn a_network_of_ipv6_is_one_client() {
    let client = |text: &str| {
        let client = SocketAddr::new(text.parse().expect("an address"), 9);
        bucket_of(client, Client::Address, 256)
    };
    assert_eq!(client("2001:db8:1:2::1"), client("2001:db8:1:2:ffff::9"));
    let networks = (0..64).map(|n| client(&format!("2001:db8:1:{n:x}::1")));
    let different: std::collections::BTreeSet<usize> = networks.collect();
    assert!(different.len() > 40, "{different:?}");
}

/// However clients' addresses lie beside each other.
#[test]
fn clients_are_spread_evenly() {
    let hosts: [fn(u32) -> u32; 4] = [|n| n, |n| n << 8, |n| n << 16, |n| n * 77];
    for (kind, host) in hosts.into_iter().enumerate() {
        let mut counts = [0_u32; 8];
        let table = buckets(8);
        for n in 0..4_000 {
            let client = IpAddr::V4(Ipv4Addr::from_bits(0x0a00_0000 ^ host(n)));
            let client = SocketAddr::new(client, 9);
            counts[table[bucket_of(client, Client::Address, 256)]] += 1;
        }
        let most = *counts.iter().max().expect("some");
        assert!(most <= 600, "{kind}: {counts:?}");
    }
}

/// Whether they are one machine's, from ports beside each other, or of many.
#[test]
fn flows_are_spread_evenly() {
    let clients: [fn(u32) -> (u32, u32); 4] = [
        |n| (1, 32_768 + n),
        |n| (1, 32_768 + 2 * n),
        |n| (n, 5_353),
        |n| (n, 32_768 + n),
    ];
    for (kind, client) in clients.into_iter().enumerate() {
        for v6 in [false, true] {
            let mut counts = [0_u32; 8];
            let table = buckets(8);
            for n in 0..4_000 {
                let (host, port) = client(n);
                let ip = match v6 {
                    false => IpAddr::V4(Ipv4Addr::from_bits(0x0a00_0000 ^ host)),
                    true => IpAddr::V6(Ipv6Addr::from_bits(0x2001 << 112 | u128::from(host))),
                };
                let client = SocketAddr::new(ip, u16::try_from(port).expect("a port"));
                counts[table[bucket_of(client, Client::Flow, 256)]] += 1;
            }
            let most = *counts.iter().max().expect("some");
            assert!(most <= 600, "{kind}, {v6}: {counts:?}");
        }
    }
}

#[test]
fn nobody_to_choose_from_is_left_to_the_kernel() {
    let program = compile(&Choice::AtRandom(Vec::new()));
    assert_eq!(run(&program, SOMEBODY, 7), u32::MAX);
}
