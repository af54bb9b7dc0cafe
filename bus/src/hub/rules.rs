//! Who may do what, and which topics travel in the control lane: as data, given to the hub by whoever starts it, so that
//! the hub names no topic itself.

use std::{borrow::Cow, fmt};

use super::principal::{Principal, Role};
use crate::{Origin, Pattern, Topic, wire::data::Payload};

/// What one may do with a topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    /// Publish an event.
    Emit,
    /// Set or delete the topic's retained value. Who does must be allowed to publish, too.
    Retain,
    /// Ask.
    Request,
    /// Answer requests.
    Serve,
    /// Hear events.
    Subscribe,
}

impl Action {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::Emit,
        Self::Retain,
        Self::Request,
        Self::Serve,
        Self::Subscribe,
    ];
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Emit => "publish on",
            Self::Retain => "retain values on",
            Self::Request => "send requests to",
            Self::Serve => "answer requests on",
            Self::Subscribe => "subscribe to",
        })
    }
}

/// Which topics a rule is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Topics {
    /// Every topic, reserved ones too.
    Every,
    /// Topics whose first token begins with `_`.
    Reserved,
    /// Topics that this pattern matches.
    Matching(Pattern),
    /// Topics that none of these patterns matches, reserved ones too.
    Except(Vec<Pattern>),
    /// Topics that this text matches as a pattern, once `{id}`, `{app}` and `{slot}` are the worker's own. Nothing, for
    /// whoever is no worker.
    OfSelf(String),
}

impl Topics {
    /// Topics that `pattern` matches; for rules written down in a program.
    ///
    /// # Panics
    /// If it is not a pattern.
    #[must_use]
    pub fn matching(pattern: &str) -> Self {
        Self::Matching(Pattern::new(pattern).expect("a pattern written in the source"))
    }

    fn pattern_for(&self, who: &Principal) -> Option<Cow<'_, Pattern>> {
        match self {
            Self::Matching(pattern) => Some(Cow::Borrowed(pattern)),
            Self::OfSelf(template) => match who {
                Principal::Worker { app, id, slot, .. } => {
                    let text = template
                        .replace("{id}", &id.to_string())
                        .replace("{slot}", &slot.to_string())
                        .replace("{app}", app);
                    Pattern::new(&text).ok().map(Cow::Owned)
                }
                Principal::Master
                | Principal::Client { .. }
                | Principal::Observer { .. }
                | Principal::Operator { .. } => None,
            },
            Self::Every | Self::Reserved | Self::Except(_) => None,
        }
    }

    /// Whether this is about all of what `subject` means, for `who`.
    fn cover(&self, who: &Principal, subject: Subject<'_>) -> bool {
        match self {
            Self::Every => true,
            // A pattern's wildcard never stands for a reserved first token, so its own first character decides.
            Self::Reserved => subject.text().starts_with('_'),
            Self::Except(patterns) => !patterns.iter().any(|pattern| match subject {
                Subject::Topic(topic) => pattern.matches(topic),
                Subject::Pattern(wanted) => pattern.overlaps(wanted),
            }),
            Self::Matching(_) | Self::OfSelf(_) => {
                self.pattern_for(who).is_some_and(|pattern| match subject {
                    Subject::Topic(topic) => pattern.matches(topic),
                    Subject::Pattern(wanted) => pattern.covers(wanted),
                })
            }
        }
    }
}

/// What an action is about: a topic, or all topics of a pattern.
#[derive(Clone, Copy, Debug)]
pub enum Subject<'a> {
    /// One topic.
    Topic(&'a str),
    /// Every topic it matches. A pattern that a rule covers only in part is allowed, and the topics it may not have are
    /// left out at delivery.
    Pattern(&'a Pattern),
}

impl<'a> Subject<'a> {
    fn text(&self) -> &'a str {
        match self {
            Self::Topic(topic) => topic,
            Self::Pattern(pattern) => pattern.as_str(),
        }
    }
}

/// What a rule says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// They may.
    Allow,
    /// They may not.
    Deny,
}

/// One rule. Of a list, the first that is about role, action and topic decides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// What it says, in words; a refusal shows it.
    pub name: Cow<'static, str>,
    /// Whom it is about.
    pub roles: Vec<Role>,
    /// Of the workers, those of these apps alone; `None`: of all apps.
    pub apps: Option<Vec<String>>,
    /// What they would do.
    pub actions: Vec<Action>,
    /// With which topics.
    pub topics: Vec<Topics>,
    /// Whether they may.
    pub verdict: Verdict,
}

impl Rule {
    fn is_about_app(&self, who: &Principal) -> bool {
        let Some(apps) = &self.apps else { return true };
        who.app()
            .is_some_and(|app| apps.iter().any(|named| named == app))
    }
}

/// Topics that travel in the control lane, as events or as requests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ControlTopics {
    /// [`Action::Emit`] or [`Action::Request`] (the answers travel with them).
    pub action: Action,
    /// Which topics.
    pub topics: Vec<Topics>,
}

/// Names what an event of the control lane stands for: of those with the same name on the same topic only the last waits
/// for a subscriber. `None`: it stands for itself.
pub type Conflate = fn(&Topic, &Origin, Payload, &[u8]) -> Option<Vec<u8>>;

/// Everything a hub is told about topics.
#[derive(Clone, Debug, Default)]
pub struct Rules {
    /// Who may do what; what no rule is about is denied.
    pub access: Vec<Rule>,
    /// What travels in the control lane.
    pub control_lane: Vec<ControlTopics>,
    /// Which events of the control lane replace each other.
    pub conflate: Option<Conflate>,
    /// Addresses of whoever is attached: events on them wait until it subscribes. [`Topics::OfSelf`] for the most part;
    /// [`Topics::Every`] and [`Topics::Reserved`] are no addresses.
    pub mailboxes: Vec<Topics>,
}

impl Rules {
    /// Everybody may do everything, all in the data lane: a hub of one program's own.
    #[must_use]
    pub fn allow_all() -> Self {
        Self {
            access: vec![Rule {
                name: "everybody may do everything".into(),
                roles: vec![
                    Role::Observer,
                    Role::Client,
                    Role::Worker,
                    Role::Operator,
                    Role::Master,
                ],
                apps: None,
                actions: Action::ALL.to_vec(),
                topics: vec![Topics::Every],
                verdict: Verdict::Allow,
            }],
            control_lane: Vec::new(),
            conflate: None,
            mailboxes: Vec::new(),
        }
    }

    /// The addresses of `who`.
    pub(super) fn addresses(&self, who: &Principal) -> Vec<Pattern> {
        let own = self.mailboxes.iter().filter_map(|t| t.pattern_for(who));
        own.map(Cow::into_owned).collect()
    }

    /// Whether `topic` travels in the control lane when it is emitted or requested.
    #[must_use]
    pub fn is_control(&self, action: Action, topic: &str) -> bool {
        self.control_lane.iter().any(|lane| {
            lane.action == action
                && lane
                    .topics
                    .iter()
                    .any(|t| t.cover(&Principal::Master, Subject::Topic(topic)))
        })
    }
}

/// Whether `who` may do `action` with `subject`: the one place that decides it.
///
/// # Errors
/// A sentence for whoever was refused, with the rule's name.
pub fn authorize(
    rules: &Rules,
    who: &Principal,
    action: Action,
    subject: Subject<'_>,
) -> Result<(), String> {
    let role = who.role();
    let decides = rules.access.iter().find(|rule| {
        rule.roles.contains(&role)
            && rule.is_about_app(who)
            && rule.actions.contains(&action)
            && rule.topics.iter().any(|t| t.cover(who, subject))
    });
    let reason = match decides {
        Some(rule) => match rule.verdict {
            Verdict::Allow => return Ok(()),
            Verdict::Deny => &rule.name,
        },
        None => "no rule allows it",
    };
    Err(format!(
        "{} {role} may not {action} {:?}: {reason}",
        if role == Role::Observer || role == Role::Operator {
            "an"
        } else {
            "a"
        },
        subject.text()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Generation, Slot, WorkerId};

    fn worker(id: u64) -> Principal {
        Principal::Worker {
            app: "web".into(),
            id: WorkerId(id),
            slot: Slot(2),
            generation: Generation(1),
            pid: 9,
        }
    }

    fn rule(topics: Topics, verdict: Verdict) -> Rule {
        Rule {
            name: "the rule".into(),
            roles: vec![Role::Worker, Role::Client],
            apps: None,
            actions: vec![Action::Subscribe],
            topics: vec![topics],
            verdict,
        }
    }

    #[test]
    fn the_first_rule_that_fits_decides_and_names_itself() {
        let rules = Rules {
            access: vec![
                rule(Topics::OfSelf("to.{id}.>".into()), Verdict::Allow),
                rule(Topics::matching("to.>"), Verdict::Deny),
                rule(Topics::Every, Verdict::Allow),
            ],
            ..Rules::default()
        };
        let ask = |who: &Principal, subject| authorize(&rules, who, Action::Subscribe, subject);
        assert_eq!(ask(&worker(7), Subject::Topic("to.7.x")), Ok(()));
        let refusal = ask(&worker(7), Subject::Topic("to.8.x")).unwrap_err();
        assert!(
            refusal.contains("the rule") && refusal.contains("to.8.x"),
            "{refusal}"
        );
        let client = Principal::Client { name: "c".into() };
        assert!(ask(&client, Subject::Topic("to.7.x")).is_err());
        assert_eq!(ask(&client, Subject::Topic("other")), Ok(()));
        assert!(authorize(&rules, &client, Action::Emit, Subject::Topic("other")).is_err());
        assert!(ask(&Principal::Master, Subject::Topic("other")).is_err());
    }

    #[test]
    fn a_pattern_is_denied_only_if_all_of_it_is() {
        let rules = Rules {
            access: vec![
                rule(Topics::matching("to.>"), Verdict::Deny),
                rule(Topics::Every, Verdict::Allow),
            ],
            ..Rules::default()
        };
        let ask = |text: &str| {
            let pattern = Pattern::new(text).unwrap();
            authorize(
                &rules,
                &worker(1),
                Action::Subscribe,
                Subject::Pattern(&pattern),
            )
        };
        assert!(ask("to.>").is_err());
        assert!(ask("to.*.x").is_err());
        assert_eq!(ask("*"), Ok(()));
        assert_eq!(ask("*.x"), Ok(()));
    }
}
