//! Commands that are run beside a worker at turns of its life.

use std::time::Duration;

/// How long a hook may take where nothing else is said.
pub const HOOK_TIMEOUT: Duration = Duration::from_secs(30);

/// At which turn of a worker's life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum HookKind {
    /// Before its process is started. If it fails, so has the start.
    BeforeStart,
    /// When it has become ready for the first time.
    AfterReady,
    /// When a worker that is ready is to go, before it hears of it.
    BeforeStop,
    /// When it has ended, or could not be started.
    AfterExit,
}

impl HookKind {
    /// All, in the order of a life.
    pub const ALL: [Self; 4] = [
        Self::BeforeStart,
        Self::AfterReady,
        Self::BeforeStop,
        Self::AfterExit,
    ];

    /// Its key in the process file.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::BeforeStart => "before_start",
            Self::AfterReady => "after_ready",
            Self::BeforeStop => "before_stop",
            Self::AfterExit => "after_exit",
        }
    }
}

/// A command, and its time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hook {
    /// Program and arguments.
    pub command: Vec<String>,
    /// After so long it is killed, with its process group, and has failed. Default 30 s.
    pub timeout: Duration,
}

/// The commands of an app.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is the kind of the same name")]
pub struct Hooks {
    pub before_start: Option<Hook>,
    pub after_ready: Option<Hook>,
    pub before_stop: Option<Hook>,
    pub after_exit: Option<Hook>,
}

impl Hooks {
    /// The one of this kind, if there is one.
    #[must_use]
    pub fn of(&self, kind: HookKind) -> Option<&Hook> {
        match kind {
            HookKind::BeforeStart => self.before_start.as_ref(),
            HookKind::AfterReady => self.after_ready.as_ref(),
            HookKind::BeforeStop => self.before_stop.as_ref(),
            HookKind::AfterExit => self.after_exit.as_ref(),
        }
    }

    /// The words of all their commands.
    pub fn words_mut(&mut self) -> impl Iterator<Item = &mut String> {
        let Self {
            before_start,
            after_ready,
            before_stop,
            after_exit,
        } = self;
        let hooks = [before_start, after_ready, before_stop, after_exit];
        let hooks = hooks.into_iter().flatten();
        hooks.flat_map(|hook| &mut hook.command)
    }
}

/// Whether there is one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Told {
    /// There is none, even where the defaults have one.
    Off,
    /// This one.
    Run(Hook),
}

/// What was said about them; `None` where nothing was.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is the kind of the same name")]
pub struct HookSettings {
    pub before_start: Option<Told>,
    pub after_ready: Option<Told>,
    pub before_stop: Option<Told>,
    pub after_exit: Option<Told>,
}

impl HookSettings {
    /// These, and `base` where they say nothing.
    #[must_use]
    pub fn or(self, base: Self) -> Self {
        Self {
            before_start: self.before_start.or(base.before_start),
            after_ready: self.after_ready.or(base.after_ready),
            before_stop: self.before_stop.or(base.before_stop),
            after_exit: self.after_exit.or(base.after_exit),
        }
    }

    /// Those that are to be run.
    #[must_use]
    pub fn define(self) -> Hooks {
        let run = |told| match told {
            Some(Told::Run(hook)) => Some(hook),
            Some(Told::Off) | None => None,
        };
        Hooks {
            before_start: run(self.before_start),
            after_ready: run(self.after_ready),
            before_stop: run(self.before_stop),
            after_exit: run(self.after_exit),
        }
    }
}
