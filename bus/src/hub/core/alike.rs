//! Recognizing an event that is published exactly as the one before it.
//!
//! Most events follow one of the same publisher with the same topic, type and flags. Then all bytes of the two frames agree
//! from the type to the payload, and what was found out about the first holds for the second: a few words are compared, nothing
//! is parsed, and no path is looked for. That comparison is most of what the hub itself does for such an event.

use crate::wire::HEADER_BYTES;

/// Bytes of a frame's length, in which two that are alike may differ.
const LENGTH_BYTES: usize = 4;

/// Where the last frame's head lies within the input: from its type to its payload.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Head {
    at: usize,
    len: usize,
}

impl Head {
    /// Of the frame at `at`, whose payload begins so many bytes into its body.
    pub(super) fn of(at: usize, payload_at: usize) -> Self {
        Self {
            at: at + LENGTH_BYTES,
            len: HEADER_BYTES - LENGTH_BYTES + payload_at,
        }
    }

    /// Whether the frame from `at` to `end` begins alike; then the size of its payload.
    pub(super) fn payload_of_alike(self, input: &[u8], at: usize, end: usize) -> Option<usize> {
        let frame = input.get(at + LENGTH_BYTES..end)?;
        let mine = input.get(self.at..self.at + self.len)?;
        let head = frame.get(..self.len)?;
        is_same(mine, head).then(|| frame.len() - self.len)
    }
}

/// Whether two slices of the same length are equal, word by word: they are too short for a call to be worth it.
fn is_same(a: &[u8], b: &[u8]) -> bool {
    let ((words, _), (others, _)) = (a.as_chunks::<8>(), b.as_chunks::<8>());
    let (Some(last), Some(other)) = (a.last_chunk::<8>(), b.last_chunk::<8>()) else {
        return a == b;
    };
    let same = |(a, b): (&[u8; 8], &[u8; 8])| u64::from_ne_bytes(*a) == u64::from_ne_bytes(*b);
    // The last word overlaps the one before, unless the length is a multiple of eight.
    words.iter().zip(others).all(same) && same((last, other))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_of_the_head_counts_and_none_of_the_rest() {
        for payload_at in 0..40 {
            let head = HEADER_BYTES - LENGTH_BYTES + payload_at;
            let frame: Vec<u8> = (0..LENGTH_BYTES + head + 3).map(|n| n as u8).collect();
            for changed in 0..frame.len() {
                let mut other = frame.clone();
                other[changed] ^= 0x80;
                let input = [&frame[..], &other].concat();
                let last = Head::of(0, payload_at);
                let alike = last.payload_of_alike(&input, frame.len(), input.len());
                let is_head = (LENGTH_BYTES..LENGTH_BYTES + head).contains(&changed);
                assert_eq!(alike, (!is_head).then_some(3), "{payload_at}, {changed}");
            }
        }
    }

    #[test]
    fn a_frame_that_ends_within_the_head_is_not_alike() {
        let frame = [0, 0, 0, 4, 1, 0, 2, 3];
        let input = [&frame[..], &frame[..7]].concat();
        assert_eq!(Head::of(0, 2).payload_of_alike(&input, 8, input.len()), None);
        assert_eq!(Head::of(0, 1).payload_of_alike(&input, 8, input.len()), Some(0));
    }
}
