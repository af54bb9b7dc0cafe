//! Programs run on a machine of our own, on packets and random numbers of our choice.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::*;
use crate::sockets::slots::table::buckets;

/// What a program returns for a client at this address, with this random number.
fn run(program: &[Instruction], client: IpAddr, random: u32) -> u32 {
    let mut header = [0; 40];
    match client {
        IpAddr::V4(v4) => {
            header[0] = 0x45;
            header[12..16].copy_from_slice(&v4.octets());
        }
        IpAddr::V6(v6) => {
            header[0] = 0x60;
            header[8..24].copy_from_slice(&v6.octets());
        }
    }
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
            LOAD_WORD => a = u32::from_be_bytes(header[from..from + 4].try_into().expect("four")),
            LOAD_BYTE => a = header[from].into(),
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

const SOMEBODY: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

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
        let program = compile(&Choice::ByAddress(table.clone()));
        assert!(program.len() <= 4096, "{slots}: {}", program.len());
        for number in 0..2_000_u32 {
            let spread = number.wrapping_mul(2_654_435_769);
            let v4 = IpAddr::V4(Ipv4Addr::from_bits(spread));
            let bits = u128::from(spread) << 80 | u128::from(number) << 64 | u128::from(spread);
            let v6 = IpAddr::V6(Ipv6Addr::from_bits(bits));
            for client in [v4, v6] {
                let expected = table[bucket_of(client, table.len())];
                assert_eq!(run(&program, client, 0) as usize, expected, "{client}");
            }
        }
    }
}

#[test]
fn a_network_of_ipv6_is_one_client() {
    let client = |text: &str| bucket_of(text.parse().expect("an address"), 256);
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
            counts[table[bucket_of(client, 256)]] += 1;
        }
        let most = *counts.iter().max().expect("some");
        assert!(most <= 600, "{kind}: {counts:?}");
    }
}

#[test]
fn nobody_to_choose_from_is_left_to_the_kernel() {
    let program = compile(&Choice::AtRandom(Vec::new()));
    assert_eq!(run(&program, SOMEBODY, 7), u32::MAX);
}
