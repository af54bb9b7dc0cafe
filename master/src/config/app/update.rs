//! How an app's workers are replaced by an update: how many at once, who goes first, and what happens if that goes badly.
//!
//! The words and their meaning are those of a Kubernetes Deployment, as far as they fit workers that hold slots.

use std::fmt;

/// How an app's workers are replaced.
#[derive(Clone, Debug, PartialEq)]
pub struct UpdateRules {
    /// Who goes first.
    pub strategy: Strategy,
    /// How many workers there may be beyond the app's instances; those that drain are not counted. A percentage is rounded
    /// up. Default 1.
    pub max_surge: Share,
    /// How many instances may be missing meanwhile. A percentage is rounded down. Default 0; with `replace` 1.
    pub max_unavailable: Option<Share>,
    /// The first new workers.
    pub canary: Canary,
    /// What becomes of slots that were replaced before an update failed.
    pub on_failure: OnFailure,
}

/// Who goes first: the new worker or the old one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Strategy {
    /// The new one comes beside the old one. With `max_unavailable` so many old ones go as soon as new ones start.
    #[default]
    Surge,
    /// The old one of a slot is gone before its new one starts: for slots that own something exclusive.
    Replace,
    /// All old ones are gone before the first new one starts: for versions that can't run together.
    AllAtOnce,
}

/// A number of workers, or a part of an app's instances.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Share {
    /// So many.
    Count(u32),
    /// So many of a hundred.
    Percent(u32),
}

/// What the first new workers of an update have to prove, beyond staying up for `canary_healthy`.
#[derive(Clone, Debug, PartialEq)]
pub struct Canary {
    /// How many are the first, one at least; a percentage is rounded up. Default 1.
    pub instances: Share,
    /// The most of its requests that a new worker may fail, in percent, by what it tells in `app.errors`. Default: any.
    pub max_errors: Option<f64>,
    /// That counts from so many requests on. Default 20.
    pub min_requests: u64,
}

/// What becomes of slots that were replaced before an update failed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnFailure {
    /// They stay new, the others old.
    #[default]
    KeepOld,
    /// They go back to what they were, by the same rules.
    Rollback,
}

impl Default for UpdateRules {
    fn default() -> Self {
        UpdateSettings::default().define()
    }
}

impl Default for Canary {
    fn default() -> Self {
        Self {
            instances: Share::Count(1),
            max_errors: None,
            min_requests: 20,
        }
    }
}

impl Share {
    /// How many that is of so many instances, rounded up.
    #[must_use]
    pub fn up(self, instances: u32) -> u32 {
        match self {
            Self::Count(count) => count,
            Self::Percent(percent) => percent.saturating_mul(instances).div_ceil(100),
        }
    }

    /// The same, rounded down.
    #[must_use]
    pub fn down(self, instances: u32) -> u32 {
        match self {
            Self::Count(count) => count,
            Self::Percent(percent) => percent.saturating_mul(instances) / 100,
        }
    }

    fn is_none(self) -> bool {
        matches!(self, Self::Count(0) | Self::Percent(0))
    }
}

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Count(count) => count.fmt(f),
            Self::Percent(percent) => write!(f, "{percent}%"),
        }
    }
}

impl Strategy {
    /// Every strategy, by its word in the process file.
    pub const WORDS: [(&str, Self); 3] = [
        ("surge", Self::Surge),
        ("replace", Self::Replace),
        ("all_at_once", Self::AllAtOnce),
    ];
}

impl OnFailure {
    /// Both, by their words in the process file.
    pub const WORDS: [(&str, Self); 2] =
        [("keep_old", Self::KeepOld), ("rollback", Self::Rollback)];
}

/// How many workers of an app may come beside others, and how many may be missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    /// Beyond its instances.
    pub surge: u32,
    /// Of its instances.
    pub unavailable: u32,
}

impl UpdateRules {
    /// What these rules allow an app of so many instances. One of the two is always at least 1, or nothing would ever be
    /// replaced.
    #[must_use]
    pub fn budget(&self, instances: u32) -> Budget {
        let surge = self.max_surge.up(instances);
        let missing = self.max_unavailable.map(|share| share.down(instances));
        match self.strategy {
            Strategy::Surge => {
                let missing = missing.unwrap_or(0);
                Budget {
                    surge,
                    unavailable: missing.max(u32::from(surge == 0)),
                }
            }
            Strategy::Replace => Budget {
                surge: 0,
                unavailable: missing.unwrap_or(1).max(1),
            },
            Strategy::AllAtOnce => Budget {
                surge: 0,
                unavailable: instances.max(1),
            },
        }
    }

    /// How many of so many are canaries.
    #[must_use]
    pub fn canaries(&self, instances: u32) -> u32 {
        self.canary.instances.up(instances).max(1)
    }

    /// What makes no sense about them together, and what to do about it.
    #[must_use]
    pub fn contradiction(&self) -> Option<(&'static str, &'static str)> {
        let no_surge = self.max_surge.is_none();
        let all_there = self.max_unavailable.is_none_or(Share::is_none);
        match self.strategy {
            Strategy::Surge if no_surge && all_there => Some((
                "with `max_surge` and `max_unavailable` both 0 no worker could ever be replaced",
                "give one of them at least 1",
            )),
            Strategy::Replace if self.max_unavailable.is_some() && all_there => Some((
                "`strategy = \"replace\"` stops a worker before it starts the next, so `max_unavailable` can't be 0",
                "leave `max_unavailable` out for 1 at a time, or use `strategy = \"surge\"`",
            )),
            Strategy::Surge | Strategy::Replace | Strategy::AllAtOnce => None,
        }
    }
}

/// What was said about it; `None` where nothing was.
#[derive(Clone, Debug, Default, PartialEq)]
#[expect(
    missing_docs,
    reason = "each is the field of UpdateRules of the same name"
)]
pub struct UpdateSettings {
    pub strategy: Option<Strategy>,
    pub max_surge: Option<Share>,
    pub max_unavailable: Option<Share>,
    pub canary: Option<Canary>,
    pub on_failure: Option<OnFailure>,
}

impl UpdateSettings {
    /// These, and `base` where they say nothing.
    #[must_use]
    pub fn or(self, base: Self) -> Self {
        Self {
            strategy: self.strategy.or(base.strategy),
            max_surge: self.max_surge.or(base.max_surge),
            max_unavailable: self.max_unavailable.or(base.max_unavailable),
            canary: self.canary.or(base.canary),
            on_failure: self.on_failure.or(base.on_failure),
        }
    }

    /// With defaults.
    #[must_use]
    pub fn define(self) -> UpdateRules {
        UpdateRules {
            strategy: self.strategy.unwrap_or_default(),
            max_surge: self.max_surge.unwrap_or(Share::Count(1)),
            max_unavailable: self.max_unavailable,
            canary: self.canary.unwrap_or_default(),
            on_failure: self.on_failure.unwrap_or_default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(strategy: Strategy, surge: Option<Share>, missing: Option<Share>) -> UpdateRules {
        UpdateRules {
            strategy,
            max_surge: surge.unwrap_or(Share::Count(1)),
            max_unavailable: missing,
            ..UpdateRules::default()
        }
    }

    #[test]
    fn shares_are_rounded_as_kubernetes_does() {
        use Share::{Count, Percent};
        use Strategy::{AllAtOnce, Replace, Surge};
        let quarter = Some(Percent(25));
        let cases = [
            (Surge, None, None, 4, (1, 0)),
            (Surge, quarter, quarter, 4, (1, 1)),
            (Surge, quarter, quarter, 10, (3, 2)),
            (Surge, quarter, quarter, 1, (1, 0)),
            // Rounded down to nothing, and no surge: one may be missing all the same.
            (Surge, Some(Count(0)), quarter, 2, (0, 1)),
            (Surge, Some(Count(0)), Some(Count(2)), 4, (0, 2)),
            (Replace, None, None, 4, (0, 1)),
            (Replace, Some(Count(3)), quarter, 2, (0, 1)),
            (Replace, None, Some(Percent(50)), 5, (0, 2)),
            (AllAtOnce, None, None, 7, (0, 7)),
        ];
        for (strategy, surge, missing, instances, (over, under)) in cases {
            let budget = rules(strategy, surge, missing).budget(instances);
            let expected = Budget {
                surge: over,
                unavailable: under,
            };
            assert_eq!(
                budget, expected,
                "{strategy:?} {surge:?} {missing:?} {instances}"
            );
        }
    }

    #[test]
    fn some_canary_there_always_is() {
        let canaries = |instances| UpdateRules {
            canary: Canary {
                instances,
                ..Canary::default()
            },
            ..UpdateRules::default()
        };
        assert_eq!(canaries(Share::Count(0)).canaries(8), 1);
        assert_eq!(canaries(Share::Percent(30)).canaries(8), 3);
        assert_eq!(UpdateRules::default().canaries(8), 1);
    }

    #[test]
    fn what_could_never_begin_is_told() {
        let none = Some(Share::Percent(0));
        let told = |strategy, surge, missing| {
            rules(strategy, surge, missing)
                .contradiction()
                .map(|(problem, _)| problem)
        };
        assert!(told(Strategy::Surge, none, none).is_some());
        assert!(told(Strategy::Surge, none, None).is_some());
        assert!(told(Strategy::Surge, None, none).is_none());
        assert!(told(Strategy::Surge, none, Some(Share::Count(1))).is_none());
        assert!(told(Strategy::Replace, None, none).is_some());
        assert!(told(Strategy::Replace, none, None).is_none());
        assert!(told(Strategy::AllAtOnce, none, none).is_none());
    }
}
