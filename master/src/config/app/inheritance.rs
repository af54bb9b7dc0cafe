//! Which of the master's own variables an app's workers see.

use std::ffi::OsStr;

use glob::Pattern;

/// What passes. Default: everything but what was meant for the master alone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Inheritance {
    /// Nothing passes but what `allow` names. Default false.
    pub clear: bool,
    /// If there are any, only names that match one of these pass.
    pub allow: Option<Vec<Pattern>>,
    /// Names that match one of these don't, whatever `allow` says.
    pub deny: Vec<Pattern>,
}

impl Inheritance {
    /// Whether a variable passes. A name that is no text matches no pattern.
    #[must_use]
    pub fn passes(&self, name: &OsStr) -> bool {
        let matches = |patterns: &[Pattern]| {
            let text = name.to_str();
            text.is_some_and(|name| patterns.iter().any(|pattern| pattern.matches(name)))
        };
        let allowed = match &self.allow {
            Some(patterns) => matches(patterns),
            None => !self.clear,
        };
        allowed && !matches(&self.deny)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn passing(inheritance: &Inheritance) -> Vec<&'static str> {
        let names = ["HOME", "PATH", "AWS_KEY", "AWS_REGION"];
        let passes = |name: &&str| inheritance.passes(OsStr::new(name));
        names.into_iter().filter(passes).collect()
    }

    fn patterns(texts: &[&str]) -> Vec<Pattern> {
        let pattern = |text: &&str| Pattern::new(text).unwrap();
        texts.iter().map(pattern).collect()
    }

    #[test]
    fn what_is_denied_never_passes_and_what_is_allowed_passes_alone() {
        let everything = Inheritance::default();
        assert_eq!(passing(&everything).len(), 4);
        let deny = patterns(&["AWS_*"]);
        let without = Inheritance { deny, ..everything };
        assert_eq!(passing(&without), ["HOME", "PATH"]);
        let deny = patterns(&["*"]);
        assert!(
            passing(&Inheritance {
                deny,
                ..Inheritance::default()
            })
            .is_empty()
        );
        let clear = true;
        assert!(
            passing(&Inheritance {
                clear,
                ..Inheritance::default()
            })
            .is_empty()
        );
        let some = Inheritance {
            clear,
            allow: Some(patterns(&["PATH", "AWS_*"])),
            deny: patterns(&["AWS_K?Y"]),
        };
        assert_eq!(passing(&some), ["PATH", "AWS_REGION"]);
    }
}
