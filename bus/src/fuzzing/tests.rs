//! The fuzzers' corpora as ordinary tests: every file of them, and random changes to each.

use std::{
    collections::hash_map::RandomState,
    fs,
    hash::BuildHasher,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
};

use crate::schema::tests::invent::Dice;

/// Changed inputs tried in one run of the tests, for each target.
const CHANGED: usize = 4_000;

/// Changes are few, or nothing of the input's sense is left.
const CHANGES: u64 = 6;

fn corpus(target: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("fuzz/corpus")
        .join(target);
    let mut files: Vec<PathBuf> = fs::read_dir(&dir)
        .unwrap_or_else(|error| panic!("{}: {error}", dir.display()))
        .map(|entry| entry.expect("an entry").path())
        .collect();
    files.sort();
    let read = |path: PathBuf| {
        let bytes = fs::read(&path).expect("a file of the corpus");
        (path, bytes)
    };
    files.into_iter().map(read).collect()
}

/// Changes bytes as fuzzers do: flips, sets, cuts, repeats, and pieces of other inputs.
fn change(dice: &mut Dice, input: &[u8], other: &[u8]) -> Vec<u8> {
    let mut bytes = input.to_vec();
    for _ in 0..=dice.below(CHANGES) {
        let at = pick(dice, bytes.len());
        let length = pick(dice, 24).min(bytes.len() - at);
        match dice.below(7) {
            0 if !bytes.is_empty() => bytes[at] ^= 1 << dice.below(8),
            1 if !bytes.is_empty() => bytes[at] = [0, 1, 0x7f, 0x80, 0xff][pick(dice, 5)],
            2 if !bytes.is_empty() => bytes[at] = dice.below(256) as u8,
            3 => drop(bytes.drain(at..at + length)),
            4 => {
                let piece = bytes[at..at + length].to_vec();
                bytes.splice(at..at, piece);
            }
            5 => {
                let from = pick(dice, other.len());
                let to = (from + pick(dice, 64)).min(other.len());
                bytes.splice(at..at, other[from..to].iter().copied());
            }
            _ => bytes.truncate(at.max(1)),
        }
    }
    bytes
}

/// Below `n`; 0 if that is 0.
fn pick(dice: &mut Dice, n: usize) -> usize {
    dice.below(n.max(1) as u64) as usize
}

fn replay(target: &str, throw: fn(&[u8])) {
    let corpus = corpus(target);
    assert!(corpus.len() >= 5, "a corpus of {} files", corpus.len());
    for (path, bytes) in &corpus {
        let thrown = catch_unwind(|| throw(bytes));
        assert!(thrown.is_ok(), "{} of the corpus", path.display());
    }
    // Another seed each time: what breaks is printed whole.
    let mut dice = Dice::new(RandomState::new().hash_one(target));
    for _ in 0..CHANGED {
        let input = &corpus[pick(&mut dice, corpus.len())].1;
        let other = &corpus[pick(&mut dice, corpus.len())].1;
        let changed = change(&mut dice, input, other);
        let thrown = catch_unwind(AssertUnwindSafe(|| throw(&changed)));
        assert!(
            thrown.is_ok(),
            "{target}: put these bytes into a file of fuzz/corpus/{target}, and mend it: {changed:02x?}"
        );
    }
}

#[test]
fn frames() {
    replay("frames", super::frames);
}

#[test]
fn handshake() {
    replay("handshake", super::handshake);
}

#[test]
fn conversation() {
    replay("conversation", super::conversation);
}

#[test]
fn resolution() {
    replay("resolution", super::resolution);
}

#[test]
fn topics() {
    replay("topics", super::topics);
}

#[test]
fn transcoding() {
    replay("transcoding", super::transcoding);
}
