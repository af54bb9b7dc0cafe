//! What the kernel is told to choose by, as a program of its packet filter.
//!
//! ```text
//!  at random:   a random number, modulo n ───────────────────────────┐
//!  by address:  the client's address ─► its hash ─► its bucket ──────┼─► a tree of comparisons ─► the listener's position
//!  by flow:     its port, its address ─► their hash ─► their bucket ─┘                             in its group
//! ```
//! The filter has no loops, no tables and 4,096 instructions: a tree of 1,024 leaves takes half of them. A packet that is too
//! short for an address ends the program with 0, which is the first listener.
//!
//! A packet begins behind its transport header for the program, of TCP and of UDP; what is before that is found from the network
//! header on. If an IPv6 packet has further headers between these two, the port is not looked for: the address is its flow.

use std::net::{IpAddr, SocketAddr};

use crate::sys::Instruction;

/// How listeners of a group are chosen from; they are named by their positions in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Choice {
    /// Any of these, each as likely.
    AtRandom(Vec<usize>),
    /// That of the bucket of the client. There are 256 or 1,024.
    ByClient(Client, Vec<usize>),
}

/// What is taken for one client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::sockets) enum Client {
    /// An address; of IPv6 the network (/64), as its hosts change theirs at will.
    Address,
    /// An address and port of UDP: one socket, as a rule.
    Flow,
}

/// Where the network header begins, and what isn't in the packet (`SKF_NET_OFF`, `SKF_AD_OFF`).
const NET: u32 = 0xfff0_0000;
const BESIDE: u32 = 0xffff_f000;

/// A random number (`SKF_AD_RANDOM`).
const RANDOM: u32 = BESIDE + 56;

/// Where a client's address is in the headers of IPv4 and IPv6.
const V4_SOURCE: u32 = NET + 12;
const V6_SOURCE: u32 = NET + 8;

/// The length of an IPv6 header, and where it says that the next one is UDP's.
const V6_LENGTH: u32 = 40;
const V6_NEXT: u32 = NET + 6;
const UDP: u32 = 17;

/// The odd multipliers of MurmurHash3's last step, which lets each bit of a number change every bit of the hash; and one
/// that puts the words together by which a client is told.
const FIRST: u32 = 0x85eb_ca6b;
const SECOND: u32 = 0xc2b2_ae35;
const TOGETHER: u32 = 0x9e37_79b1;

// The filter's instructions: `A` is what it computes with, `X` another number beside it.
const LOAD: u16 = 0x00;
const LOAD_WORD: u16 = 0x20;
const LOAD_SHORT: u16 = 0x28;
const LOAD_BYTE: u16 = 0x30;
const LOAD_SHORT_FROM_X: u16 = 0x48;
/// Four times the low half of a byte, to `X`: the length of an IPv4 header.
const LENGTH_TO_X: u16 = 0xb1;
const ADD: u16 = 0x04;
const MULTIPLY: u16 = 0x24;
const SHIFT_RIGHT: u16 = 0x74;
const MODULO: u16 = 0x94;
const XOR_X: u16 = 0xac;
const A_TO_X: u16 = 0x07;
const JUMP: u16 = 0x05;
const IF_EQUAL: u16 = 0x15;
const IF_AT_LEAST: u16 = 0x35;
const RETURN: u16 = 0x06;
const RETURN_A: u16 = 0x16;

fn plain(code: u16, operand: u32) -> Instruction {
    Instruction {
        code,
        if_true: 0,
        if_false: 0,
        operand,
    }
}

/// The program for this choice.
pub(super) fn compile(choice: &Choice) -> Vec<Instruction> {
    match choice {
        Choice::AtRandom(positions) => {
            // Of none it would be modulo 0, which is no program.
            let mut program = vec![
                plain(LOAD_WORD, RANDOM),
                plain(MODULO, number(positions.len()).max(1)),
            ];
            program.extend(tree(&runs(positions, Leaf::moved)));
            program
        }
        Choice::ByClient(kind, positions) => {
            let mut program = bucket(*kind, positions.len());
            program.extend(tree(&runs(positions, Leaf::fixed)));
            program
        }
    }
}

/// Computes the bucket of the client.
fn bucket(kind: Client, buckets: usize) -> Vec<Instruction> {
    let (v4, v6) = (v4_words(kind), v6_words(kind));
    let is_v6 = Instruction {
        // Over the first of these and the jump behind it.
        if_true: u8::try_from(v4.len() + 1).unwrap_or(u8::MAX),
        ..plain(IF_EQUAL, 6)
    };
    let mut program = vec![plain(LOAD_BYTE, NET), plain(SHIFT_RIGHT, 4), is_v6];
    program.extend(v4);
    program.push(plain(JUMP, number(v6.len())));
    program.extend(v6);
    for (shift, multiplier) in [(16, Some(FIRST)), (13, Some(SECOND)), (16, None)] {
        program.extend([plain(A_TO_X, 0), plain(SHIFT_RIGHT, shift), plain(XOR_X, 0)]);
        program.extend(multiplier.map(|by| plain(MULTIPLY, by)));
    }
    program.push(plain(SHIFT_RIGHT, 32 - buckets.ilog2()));
    program
}

/// Puts together the words by which a client is told, of a packet of IPv4.
fn v4_words(kind: Client) -> Vec<Instruction> {
    match kind {
        Client::Address => vec![plain(LOAD_WORD, V4_SOURCE)],
        Client::Flow => {
            let mut words = vec![plain(LENGTH_TO_X, NET), plain(LOAD_SHORT_FROM_X, NET)];
            words.extend(and_word(V4_SOURCE));
            words
        }
    }
}

/// The same, of IPv6.
fn v6_words(kind: Client) -> Vec<Instruction> {
    match kind {
        Client::Address => {
            let mut words = vec![plain(LOAD_WORD, V6_SOURCE)];
            words.extend(and_word(V6_SOURCE + 4));
            words
        }
        Client::Flow => {
            let is_udp = Instruction {
                if_false: 2,
                ..plain(IF_EQUAL, UDP)
            };
            let mut words = vec![
                plain(LOAD_BYTE, V6_NEXT),
                is_udp,
                plain(LOAD_SHORT, NET + V6_LENGTH),
                plain(JUMP, 1),
                plain(LOAD, 0),
            ];
            words.extend((0..4).flat_map(|word| and_word(V6_SOURCE + 4 * word)));
            words
        }
    }
}

/// Puts one more word to what there is.
fn and_word(from: u32) -> [Instruction; 4] {
    [
        plain(MULTIPLY, TOGETHER),
        plain(A_TO_X, 0),
        plain(LOAD_WORD, from),
        plain(XOR_X, 0),
    ]
}

/// The bucket of a client, as the program computes it.
pub(in crate::sockets) fn bucket_of(client: SocketAddr, kind: Client, buckets: usize) -> usize {
    let words = match (client.ip(), kind) {
        (IpAddr::V4(v4), _) => vec![v4.to_bits()],
        (IpAddr::V6(v6), kind) => {
            let word = |at: u32| (v6.to_bits() >> (96 - 32 * at)) as u32;
            let words = match kind {
                Client::Address => 2,
                Client::Flow => 4,
            };
            (0..words).map(word).collect()
        }
    };
    let port = match kind {
        Client::Address => 0,
        Client::Flow => u32::from(client.port()),
    };
    let together = |hash: u32, word: &u32| hash.wrapping_mul(TOGETHER) ^ word;
    let mut hash = words.iter().fold(port, together);
    hash = (hash ^ hash >> 16).wrapping_mul(FIRST);
    hash = (hash ^ hash >> 13).wrapping_mul(SECOND);
    hash ^= hash >> 16;
    (hash >> (32 - buckets.ilog2())) as usize
}

/// What a number comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Leaf {
    /// This position.
    Fixed(u32),
    /// The number itself and this.
    Moved(u32),
}

impl Leaf {
    fn fixed(_number: u32, position: u32) -> Self {
        Self::Fixed(position)
    }

    fn moved(number: u32, position: u32) -> Self {
        Self::Moved(position.wrapping_sub(number))
    }
}

/// Numbers beside each other that come to the same, by the first of them.
fn runs(positions: &[usize], leaf: fn(u32, u32) -> Leaf) -> Vec<(u32, Leaf)> {
    let mut runs: Vec<(u32, Leaf)> = Vec::new();
    for (at, position) in positions.iter().enumerate() {
        let leaf = leaf(number(at), number(*position));
        if runs.last().is_none_or(|(_, last)| *last != leaf) {
            runs.push((number(at), leaf));
        }
    }
    runs
}

/// Finds the run that `A` is in by halves.
fn tree(runs: &[(u32, Leaf)]) -> Vec<Instruction> {
    match runs {
        [] => vec![plain(RETURN, u32::MAX)],
        [(_, Leaf::Fixed(position))] => vec![plain(RETURN, *position)],
        [(_, Leaf::Moved(by))] => vec![plain(ADD, *by), plain(RETURN_A, 0)],
        _ => {
            let (low, high) = runs.split_at(runs.len() / 2);
            let (below, above) = (tree(low), tree(high));
            let least = high[0].0;
            // What a comparison passes over has eight bits, what a jump does thirty-two.
            let mut tree = match u8::try_from(below.len()) {
                Ok(over) => vec![Instruction {
                    if_true: over,
                    ..plain(IF_AT_LEAST, least)
                }],
                Err(_) => vec![
                    Instruction {
                        if_false: 1,
                        ..plain(IF_AT_LEAST, least)
                    },
                    plain(JUMP, number(below.len())),
                ],
            };
            tree.extend(below);
            tree.extend(above);
            tree
        }
    }
}

fn number(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests;
