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
    /// A worker is told to go before its `before_stop` has ended.
    StopBeforeHook,
    /// A slot that backs off is never tried again.
    NeverLeaveBackoff,
    /// Begin at once, whoever should come first.
    IgnoreOrder,
}
