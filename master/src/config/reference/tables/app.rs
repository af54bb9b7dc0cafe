//! An app, by what its keys are about.

mod ends;
mod program;
mod rights;
mod updates;

use crate::config::reference::Key;

const PARTS: [&[Key]; 4] = [
    program::PROGRAM,
    updates::UPDATES,
    ends::ENDS,
    rights::RIGHTS,
];

/// In the order of reading.
pub(super) const APP: &[Key] = &joined::<{ count() }>();

const fn count() -> usize {
    let (mut keys, mut part) = (0, 0);
    while part < PARTS.len() {
        keys += PARTS[part].len();
        part += 1;
    }
    keys
}

const fn joined<const KEYS: usize>() -> [Key; KEYS] {
    let mut all = [PARTS[0][0]; KEYS];
    let (mut at, mut part) = (0, 0);
    while part < PARTS.len() {
        let mut key = 0;
        while key < PARTS[part].len() {
            all[at] = PARTS[part][key];
            at += 1;
            key += 1;
        }
        part += 1;
    }
    all
}
