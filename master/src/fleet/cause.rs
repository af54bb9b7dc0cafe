//! Why a worker goes: who or what has sent it away, and what follows from that.

/// Why a worker goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cause {
    /// Its successor has taken over.
    Update,
    /// The update it was brought up for was given up.
    UpdateGivenUp,
    /// What was there before the update that brought it has taken over again.
    Rollback,
    /// Its app is stopped.
    Stop,
    /// It is to be started anew once it has gone.
    Restart,
    /// Its slot is no longer wanted.
    Scale,
    /// The master ends.
    Kill,
    /// It said so itself.
    Own,
    /// It was not ready in time.
    StartTimeout,
    /// It lives, but nothing is heard of it.
    Hung,
    /// Its successor has taken over, as it had grown too large or too old.
    Recycle,
    /// It has far too much memory.
    Memory,
}

impl Cause {
    /// Whether its exit was asked for, by us or by itself: then it is no crash.
    pub(super) fn voluntary(self) -> bool {
        match self {
            Self::Update
            | Self::UpdateGivenUp
            | Self::Rollback
            | Self::Stop
            | Self::Restart
            | Self::Scale
            | Self::Kill
            | Self::Own
            | Self::Recycle => true,
            Self::StartTimeout | Self::Hung | Self::Memory => false,
        }
    }

    /// Whether it is asked to go although it serves well: then `before_stop` comes first.
    pub(super) fn waits_for_hook(self) -> bool {
        match self {
            Self::Update
            | Self::UpdateGivenUp
            | Self::Rollback
            | Self::Stop
            | Self::Restart
            | Self::Scale
            | Self::Kill
            | Self::Recycle => true,
            Self::Own | Self::StartTimeout | Self::Hung | Self::Memory => false,
        }
    }

    pub(super) fn in_words(self) -> &'static str {
        match self {
            Self::Update => "update",
            Self::UpdateGivenUp => "update given up",
            Self::Rollback => "rollback",
            Self::Stop => "stop",
            Self::Restart => "restart",
            Self::Scale => "scale",
            Self::Kill => "kill",
            Self::Own => "its own wish",
            Self::StartTimeout => "not ready in time",
            Self::Hung => "hung",
            Self::Recycle => "recycle",
            Self::Memory => "too much memory",
        }
    }
}
