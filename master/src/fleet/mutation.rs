//! Faults that tests put into the core on purpose, to prove that the simulation would notice them.
//!
//! Outside tests [`Turn::mutated`](super::turn::Turn::mutated) is the constant `false`, and nothing of this remains.

/// One deliberate fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mutation {
    /// A reload that joins the pending update is not answered.
    ForgetReply,
    /// One slot more than the app has instances is filled.
    OneTooMany,
    /// A request made during an update is taken to be served by the running one.
    MergeIntoRunning,
    /// A predecessor's exit is taken for the exit of whoever holds its slot now.
    TrustStaleExit,
    /// A worker that is silent for too long is left alone.
    OverlookHang,
    /// That the master stood still changes nothing for anybody.
    OverlookPause,
    /// A worker is told to go before its `before_stop` has ended.
    StopBeforeHook,
    /// The start of a worker that is not wanted any more goes on.
    StartOnRegardless,
    /// A slot that backs off is never tried again.
    NeverLeaveBackoff,
    /// A restart doesn't wait for those that were there.
    RestartAtOnce,
    /// Whoever is due to be recycled goes at once, and all together.
    IgnoreBudget,
    /// An update that fails leaves what it has replaced as it is, whatever was said.
    NeverGoBack,
    /// Successors are started while somebody is in their way.
    CrowdSlots,
    /// Workers may be missing without limit.
    SpendTooMuch,
    /// Begin at once, whoever should come first.
    IgnoreOrder,
}
