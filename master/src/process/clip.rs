//! Text cut to a length without cutting a character in two.

/// The beginning of a text, at most this many bytes of it.
pub(super) fn clip(text: &str, bytes: usize) -> &str {
    let mut end = bytes.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}
