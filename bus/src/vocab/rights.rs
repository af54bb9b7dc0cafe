//! What an app's workers may do on the bus, beyond what the fleet's own rules say: patterns they may use, and patterns they
//! may not. Both only take away. Nothing that is written here can give a worker what is the master's.

use crate::{
    Pattern,
    hub::{Action, Role, Rule, Topics, Verdict},
};

/// The patterns of one action.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Allowance {
    /// If there is such a list, whatever it doesn't match is denied. An empty list denies everything.
    pub allow: Option<Vec<Pattern>>,
    /// Denied, even where `allow` has it too.
    pub deny: Vec<Pattern>,
}

/// What was said of an app's workers, by action.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AppRights {
    /// The app.
    pub app: String,
    /// Where it was said, for refusals: "ostler.toml".
    pub source: String,
    /// Each action at most once.
    pub of: Vec<(Action, Allowance)>,
}

impl AppRights {
    /// The word that stands for `action` where rights are written down.
    #[must_use]
    pub fn word(action: Action) -> &'static str {
        match action {
            Action::Emit => "emit",
            Action::Retain => "retain",
            Action::Request => "request",
            Action::Serve => "serve",
            Action::Subscribe => "subscribe",
        }
    }

    /// A rule for each pattern that is denied, so that a refusal can name it.
    pub(super) fn denials(&self) -> impl Iterator<Item = Rule> {
        self.of.iter().flat_map(|(action, said)| {
            said.deny.iter().map(|pattern| {
                let line = format!("deny {:?}", pattern.as_str());
                self.rule(*action, &line, Topics::Matching(pattern.clone()))
            })
        })
    }

    /// A rule for each list of what is allowed: all else is not.
    pub(super) fn bounds(&self) -> impl Iterator<Item = Rule> {
        self.of.iter().filter_map(|(action, said)| {
            let allow = said.allow.clone()?;
            let line = format!("allow has only {allow:?}");
            Some(self.rule(*action, &line, Topics::Except(allow)))
        })
    }

    fn rule(&self, action: Action, line: &str, topics: Topics) -> Rule {
        let name = format!(
            "app {}: bus.{}.{line} ({})",
            self.app,
            Self::word(action),
            self.source
        );
        Rule {
            name: name.into(),
            roles: vec![Role::Worker],
            apps: Some(vec![self.app.clone()]),
            actions: vec![action],
            topics: vec![topics],
            verdict: Verdict::Deny,
        }
    }
}
