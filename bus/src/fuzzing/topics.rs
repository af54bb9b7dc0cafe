//! Topics and patterns: a matcher that can be seen to be right is the judge.

use crate::{Pattern, Topic};

/// Two texts, separated by a space: a pattern and a topic, or two patterns.
pub fn topics(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    let (first, second) = text.split_once(' ').unwrap_or((text, text));
    let Ok(pattern) = Pattern::new(first) else {
        assert!(Topic::new(first).is_err(), "every topic is a pattern");
        return;
    };
    assert_eq!(Pattern::new(pattern.as_str()).as_ref(), Ok(&pattern));
    if let Ok(topic) = Topic::new(second) {
        let matches = pattern.matches(topic.as_str());
        assert_eq!(matches, naive(pattern.as_str(), topic.as_str()));
        assert!(!matches || pattern.exact().is_none_or(|exact| exact == topic.as_str()));
        if let Ok(exact) = Pattern::new(topic.as_str()) {
            assert_eq!(pattern.covers(&exact), matches);
        }
    }
    if let Ok(other) = Pattern::new(second)
        && pattern.covers(&other)
    {
        for topic in ["a", "a.b", "a.b.c", "b", "_a", "_a.b", "a._b"] {
            assert!(
                !other.matches(topic) || pattern.matches(topic),
                "{pattern} {other} {topic}"
            );
        }
    }
}

/// By the definition, token for token.
fn naive(pattern: &str, topic: &str) -> bool {
    fn tokens(want: &[&str], have: &[&str], is_first: bool) -> bool {
        let reserved = is_first && have.first().is_some_and(|token| token.starts_with('_'));
        match (want, have) {
            ([], []) => true,
            ([">"], [_, ..]) => !reserved,
            (["*", want @ ..], [_, have @ ..]) => !reserved && tokens(want, have, false),
            ([w, want @ ..], [h, have @ ..]) => w == h && tokens(want, have, false),
            ([], _) | (_, []) => false,
        }
    }
    let want: Vec<&str> = pattern.split('.').collect();
    let have: Vec<&str> = topic.split('.').collect();
    tokens(&want, &have, true)
}
