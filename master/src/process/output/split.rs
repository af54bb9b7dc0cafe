//! Bytes into lines.

/// A longer line is split: 16 KiB.
pub const LINE_BYTES: usize = 16 << 10;

/// Holds the line that is not complete yet: at most [`LINE_BYTES`].
#[derive(Debug, Default)]
pub(super) struct Splitter(Vec<u8>);

impl Splitter {
    /// Takes bytes and gives complete lines, without their line endings. A line that is too long is given in parts, all
    /// but the last marked with `true`.
    pub(super) fn push(&mut self, mut bytes: &[u8], mut give: impl FnMut(&[u8], bool)) {
        while let Some(end) = bytes.iter().position(|&byte| byte == b'\n') {
            let (line, rest) = bytes.split_at(end);
            bytes = &rest[1..];
            self.extend(line, &mut give);
            // Not kept: an idle worker should hold no buffer.
            let line = std::mem::take(&mut self.0);
            give(line.strip_suffix(b"\r").unwrap_or(&line), false);
        }
        self.extend(bytes, &mut give);
    }

    /// What came after the last line ending.
    pub(super) fn rest(&mut self) -> Option<Vec<u8>> {
        let rest = std::mem::take(&mut self.0);
        (!rest.is_empty()).then_some(rest)
    }

    fn extend(&mut self, mut bytes: &[u8], give: &mut impl FnMut(&[u8], bool)) {
        while self.0.len() + bytes.len() > LINE_BYTES {
            let (fits, rest) = bytes.split_at(LINE_BYTES - self.0.len());
            bytes = rest;
            self.0.extend_from_slice(fits);
            let whole = whole_characters(&self.0);
            let next = self.0.split_off(whole);
            give(&self.0, true);
            self.0 = next;
        }
        self.0.extend_from_slice(bytes);
    }
}

/// How many of the bytes can be cut off without cutting a UTF-8 character in two; all of them if they are no UTF-8.
fn whole_characters(bytes: &[u8]) -> usize {
    let from = bytes.len().saturating_sub(3);
    let start = bytes[from..]
        .iter()
        .rposition(|byte| byte & 0xc0 != 0x80)
        .map(|at| from + at);
    match start {
        Some(at) if at > 0 && bytes[at] >= 0xc0 && at + width(bytes[at]) > bytes.len() => at,
        Some(_) | None => bytes.len(),
    }
}

fn width(first: u8) -> usize {
    match first {
        0xf0.. => 4,
        0xe0.. => 3,
        0xc0.. => 2,
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn split(chunks: &[&[u8]]) -> Vec<(Vec<u8>, bool)> {
        let mut splitter = Splitter::default();
        let mut lines = Vec::new();
        for chunk in chunks {
            splitter.push(chunk, |line, cut| lines.push((line.to_vec(), cut)));
        }
        lines.extend(splitter.rest().map(|line| (line, false)));
        lines
    }

    #[test]
    fn lines_end_where_they_end_however_the_bytes_come() {
        let lines = split(&[b"on", b"e\r\ntw", b"o\n\nthree"]);
        let texts: Vec<_> = lines.iter().map(|(line, _)| line.as_slice()).collect();
        assert_eq!(texts, [b"one".as_slice(), b"two", b"", b"three"]);
    }

    #[test]
    fn a_line_of_the_exact_bound_is_not_split_and_one_more_byte_is() {
        let exact = [vec![b'x'; LINE_BYTES], vec![b'\n']].concat();
        assert_eq!(split(&[&exact]), [(vec![b'x'; LINE_BYTES], false)]);
        let more = [vec![b'x'; LINE_BYTES + 1], vec![b'\n']].concat();
        assert_eq!(
            split(&[&more]),
            [(vec![b'x'; LINE_BYTES], true), (vec![b'x'], false)]
        );
    }

    #[test]
    fn a_split_spares_characters() {
        let text = "€".repeat(LINE_BYTES); // 3 bytes each
        let lines = split(&[text.as_bytes()]);
        assert!(lines.len() > 3);
        for (line, _) in &lines {
            assert!(std::str::from_utf8(line).is_ok());
        }
    }

    fn chunk() -> impl Strategy<Value = Vec<u8>> {
        prop_oneof![
            prop::collection::vec(
                any::<u8>().prop_filter("no ending", |&b| b != b'\r'),
                0..300
            ),
            (1..3 * LINE_BYTES).prop_map(|length| vec![b'x'; length]),
        ]
    }

    proptest! {
        #[test]
        fn nothing_is_lost_and_no_line_is_too_long(chunks in prop::collection::vec(chunk(), 0..6)) {
            let all = chunks.concat();
            let chunks: Vec<&[u8]> = chunks.iter().map(Vec::as_slice).collect();
            let mut joined = Vec::new();
            for (line, cut) in split(&chunks) {
                prop_assert!(line.len() <= LINE_BYTES);
                joined.extend(line);
                joined.extend((!cut).then_some(b'\n'));
            }
            if !all.is_empty() && !all.ends_with(b"\n") {
                prop_assert_eq!(joined.pop(), Some(b'\n'));
            }
            prop_assert!(joined == all);
        }
    }
}
