//! Strings of peers and workers, made safe for terminals and for logs of one line per message.
//!
//! What a worker prints or a client puts into an event is not ours: an ESC could repaint the operator's terminal, a newline
//! forge a log line, a bidi override show a command backwards. All such characters are shown as what they are.

use std::{borrow::Cow, fmt::Write as _};

/// Whether a character acts on the terminal, or on its neighbours, instead of showing itself.
fn is_active(c: char) -> bool {
    matches!(c,
        // C0, DEL and C1 controls: ESC, CSI, newlines, backspace …
        '\0'..='\x1f' | '\x7f'..='\u{9f}'
        // Arabic letter mark, directional marks, embeddings, overrides and isolates.
        | '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
        // Line and paragraph separators; zero-width space, word joiner and byte-order mark; tags.
        | '\u{2028}' | '\u{2029}' | '\u{200b}' | '\u{2060}' | '\u{feff}' | '\u{e0000}'..='\u{e007f}')
}

/// A text for one line of a terminal or a log. Text without active characters is not copied.
///
/// ```
/// assert_eq!(ostler::escape::line("a\x1b[2Jb\nc"), r"a\x1b[2Jb\nc");
/// ```
#[must_use]
pub fn line(text: &str) -> Cow<'_, str> {
    if !text.chars().any(is_active) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        push(&mut out, c);
    }
    Cow::Owned(out)
}

/// The same for bytes that should be UTF-8; those that aren't are shown as `\xff`.
#[must_use]
pub fn bytes(bytes: &[u8]) -> Cow<'_, str> {
    if let Ok(text) = std::str::from_utf8(bytes) {
        return line(text);
    }
    let mut out = String::with_capacity(bytes.len() + 16);
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            push(&mut out, c);
        }
        for byte in chunk.invalid() {
            hex(&mut out, *byte);
        }
    }
    Cow::Owned(out)
}

/// JSON text for one line of a terminal: active characters become `\u` escapes, so that it is still the same JSON.
/// Serializers escape the C0 controls only.
#[must_use]
pub fn json(text: &str) -> Cow<'_, str> {
    if !text.chars().any(is_active) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        match c {
            // Between tokens these are blanks, and within strings they can't occur.
            '\n' | '\r' | '\t' => out.push(' '),
            c if is_active(c) => {
                for unit in c.encode_utf16(&mut [0; 2]) {
                    write!(out, "\\u{unit:04x}").expect("a String takes all");
                }
            }
            c => out.push(c),
        }
    }
    Cow::Owned(out)
}

fn push(out: &mut String, c: char) {
    match c {
        '\n' => out.push_str("\\n"),
        '\r' => out.push_str("\\r"),
        '\t' => out.push_str("\\t"),
        c if !is_active(c) => out.push(c),
        c => match u8::try_from(c) {
            Ok(byte) if byte.is_ascii() => hex(out, byte),
            _ => write!(out, "\\u{{{:x}}}", u32::from(c)).expect("a String takes all"),
        },
    }
}

fn hex(out: &mut String, byte: u8) {
    write!(out, "\\x{byte:02x}").expect("a String takes all");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn active_characters_are_shown() {
        let cases = [
            ("plain text, Grüße, 日本, 👩‍👩‍👧", "plain text, Grüße, 日本, 👩‍👩‍👧"),
            ("two\nlines\r\t", r"two\nlines\r\t"),
            ("\x1b]0;title\x07", r"\x1b]0;title\x07"),
            ("\u{9b}31m", r"\u{9b}31m"),
            ("safe\u{202e}gpj.exe", r"safe\u{202e}gpj.exe"),
            ("\u{2028}\u{feff}\x7f\0", r"\u{2028}\u{feff}\x7f\x00"),
        ];
        for (text, shown) in cases {
            assert_eq!(line(text), shown);
        }
    }

    #[test]
    fn plain_text_is_not_copied() {
        assert!(matches!(line("plain"), Cow::Borrowed("plain")));
        assert!(matches!(bytes(b"plain"), Cow::Borrowed("plain")));
    }

    #[test]
    fn bytes_that_are_no_text_are_shown() {
        assert_eq!(bytes(b"ok \xff\xc3\x1b end"), r"ok \xff\xc3\x1b end");
    }

    #[test]
    fn escaped_json_is_the_same_json() {
        let value = serde_json::json!({ "k\u{202e}": "\u{9b}2J \u{e0041} \x1b \n ü" });
        let pretty = serde_json::to_string_pretty(&value).unwrap();
        let shown = json(&pretty);
        assert!(!shown.chars().any(is_active), "{shown}");
        assert_eq!(
            serde_json::from_str::<serde_json::Value>(&shown).unwrap(),
            value
        );
    }
}
