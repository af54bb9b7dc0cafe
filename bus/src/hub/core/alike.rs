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

    /// How many frames from `at` on begin alike, have at most so many bytes of payload, and end within the first `within` bytes; and where
    /// the last one ends.
    pub(super) fn follow(
        self,
        input: &[u8],
        at: usize,
        within: usize,
        payload_bytes: usize,
    ) -> (u32, usize) {
        let (mut count, mut end) = (0, at);
        let Some(mine) = input.get(self.at..self.at + self.len) else {
            return (count, end);
        };
        let words = Words::of(mine);
        let mut rest = input.get(at..within.min(input.len())).unwrap_or_default();
        while let Some((length, after)) = rest.split_first_chunk::<LENGTH_BYTES>() {
            let length = u32::from_be_bytes(*length) as usize;
            let Some((frame, next)) = after.split_at_checked(length) else {
                break;
            };
            let is_alike = frame
                .get(..self.len)
                .is_some_and(|head| words.is_same(mine, head));
            if !is_alike || length - self.len > payload_bytes {
                break;
            }
            (count, end) = (count + 1, end + LENGTH_BYTES + length);
            rest = next;
        }
        (count, end)
    }
}

/// Up to this length a head is compared as two overlapping words, loaded once: without an own topic, or with a short one.
const TWO_WORDS: usize = 16;

/// The first and the last word of a head.
#[derive(Clone, Copy)]
struct Words(Option<[u64; 2]>);

impl Words {
    fn of(head: &[u8]) -> Self {
        Self(Self::both(head).filter(|_| head.len() <= TWO_WORDS))
    }

    fn both(head: &[u8]) -> Option<[u64; 2]> {
        let (first, last) = (head.first_chunk()?, head.last_chunk()?);
        Some([u64::from_ne_bytes(*first), u64::from_ne_bytes(*last)])
    }

    /// Whether `other`, as long as `head`, is equal to it.
    fn is_same(self, head: &[u8], other: &[u8]) -> bool {
        match (self.0, Self::both(other)) {
            (Some(mine), Some(others)) => mine == others,
            (None, Some(others)) => Self::both(head) == Some(others) && head == other,
            (_, None) => head == other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_of_the_head_counts_and_none_of_the_rest() {
        for payload_at in 0..40 {
            let head = HEADER_BYTES - LENGTH_BYTES + payload_at;
            let mut frame: Vec<u8> = (0..LENGTH_BYTES + head + 3).map(|n| n as u8).collect();
            let length = (head + 3) as u32;
            frame[..LENGTH_BYTES].copy_from_slice(&length.to_be_bytes());
            for changed in LENGTH_BYTES..frame.len() {
                let mut other = frame.clone();
                other[changed] ^= 0x80;
                let input = [&frame[..], &other].concat();
                let last = Head::of(0, payload_at);
                let alike = last.follow(&input, frame.len(), input.len(), 3).0;
                let is_head = changed < LENGTH_BYTES + head;
                assert_eq!(alike, u32::from(!is_head), "{payload_at}, {changed}");
            }
        }
    }

    #[test]
    fn only_whole_frames_within_the_bounds_follow() {
        let frame = [0, 0, 0, 6, 1, 0, 2, 3, 4, 5];
        let input = frame.repeat(5);
        let head = Head::of(0, 1);
        let follow =
            |within: usize, payload| head.follow(&input[..49.min(within)], 10, within, payload);
        assert_eq!(follow(50, 3), (3, 40), "the last one is cut short");
        assert_eq!(follow(30, 3), (2, 30));
        assert_eq!(follow(29, 3), (1, 20));
        assert_eq!(follow(50, 2), (0, 10), "the payload is too large");
        assert_eq!(head.follow(&input, 60, 70, 3), (0, 60));
        let short = [&frame[..], &[0, 0, 0, 2, 1, 0]].concat();
        assert_eq!(
            head.follow(&short, 10, 16, 3),
            (0, 10),
            "it ends within the head"
        );
    }
}
