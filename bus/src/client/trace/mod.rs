//! Traces across programs: W3C `traceparent`, carried in a header from whoever emits or asks to whoever handles it.
//!
//! A [`TraceContext`] holds for a future and all it awaits; what is emitted, asked or answered within carries it. With the
//! feature `opentelemetry` the current `tracing` span's context is carried where there is none of our own, and the spans that
//! events and calls give belong to the trace for OpenTelemetry too.

#[cfg(feature = "opentelemetry")]
mod otel;

use std::{cell::Cell, fmt, future::Future};

use crate::wire::headers::{BadHeaders, Headers};

/// The header's name.
const TRACEPARENT: &str = "traceparent";

tokio::task_local! {
    static CURRENT: TraceContext;
}

/// A step of a trace: which trace, and which step of it.
///
/// ```
/// # use ostler_bus::client::TraceContext;
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let trace = TraceContext::start();
/// trace.scope(async {
///     // Events emitted here carry it.
///     assert_eq!(TraceContext::current(), Some(trace));
/// }).await;
/// assert_eq!(TraceContext::parse(&trace.to_string()), Some(trace));
/// # });
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TraceContext {
    trace_id: u128,
    span_id: u64,
    /// The step this one follows; 0 for the first, and where it isn't known.
    parent_id: u64,
    flags: u8,
}

impl TraceContext {
    /// A new trace, to be recorded.
    #[must_use]
    pub fn start() -> Self {
        let half = || u128::from(random_id());
        Self {
            trace_id: (half() << 64) | half(),
            span_id: random_id(),
            parent_id: 0,
            flags: 1,
        }
    }

    /// Reads a `traceparent` value; `None` if it is none.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split('-');
        let version = hex(parts.next()?, 2)?;
        let trace_id = hex(parts.next()?, 32)?;
        let span_id = u64::try_from(hex(parts.next()?, 16)?).ok()?;
        let flags = u8::try_from(hex(parts.next()?, 2)?).ok()?;
        // Later versions may say more; this one must not.
        let ends = version > 0 || parts.next().is_none();
        let is_one = ends && version != 0xff && trace_id != 0 && span_id != 0;
        is_one.then_some(Self {
            trace_id,
            span_id,
            parent_id: 0,
            flags,
        })
    }

    /// The next step.
    #[must_use]
    pub fn child(&self) -> Self {
        Self {
            span_id: random_id(),
            parent_id: self.span_id,
            ..*self
        }
    }

    /// The one that holds here, if one does.
    #[must_use]
    pub fn current() -> Option<Self> {
        let own = CURRENT.try_with(|current| *current).ok();
        #[cfg(feature = "opentelemetry")]
        let own = own.or_else(otel::current);
        own
    }

    /// Has it hold for a future and all it awaits, though not for the tasks it spawns.
    pub async fn scope<F: Future>(self, future: F) -> F::Output {
        CURRENT.scope(self, future).await
    }

    /// The trace, as 32 hexadecimal digits.
    #[must_use]
    pub fn trace_id(&self) -> String {
        format!("{:032x}", self.trace_id)
    }

    /// This step, as 16 hexadecimal digits.
    #[must_use]
    pub fn span_id(&self) -> String {
        format!("{:016x}", self.span_id)
    }

    /// Whether its publisher records it.
    #[must_use]
    pub fn is_sampled(&self) -> bool {
        self.flags & 1 != 0
    }

    /// A step that follows the one in a block of headers, as they travel.
    pub(super) fn continued(headers: &[u8]) -> Option<Self> {
        if headers.is_empty() {
            return None;
        }
        Self::next_of(&Headers::parse(headers).ok()?)
    }

    /// A step that follows the one in headers.
    pub(super) fn next_of(headers: &Headers) -> Option<Self> {
        Some(Self::parse(headers.get(TRACEPARENT)?)?.child())
    }

    /// A span of `name` that goes on with what is in a block of headers, as they travel.
    pub(super) fn span(headers: &[u8], name: &'static str, topic: &str) -> tracing::Span {
        let span = tracing::info_span!(
            "bus",
            otel.name = name,
            topic,
            trace_id = tracing::field::Empty,
            span_id = tracing::field::Empty,
            parent_id = tracing::field::Empty,
        );
        if let Some(trace) = Self::continued(headers) {
            trace.record_in(&span);
        }
        span
    }

    /// Fills in the fields `trace_id`, `span_id` and `parent_id`.
    fn record_in(&self, span: &tracing::Span) {
        span.record("trace_id", self.trace_id());
        span.record("span_id", self.span_id());
        span.record("parent_id", format!("{:016x}", self.parent_id));
        #[cfg(feature = "opentelemetry")]
        otel::adopt(span, self);
    }
}

/// As `traceparent` says it.
impl fmt::Display for TraceContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            trace_id,
            span_id,
            flags,
            ..
        } = self;
        write!(f, "00-{trace_id:032x}-{span_id:016x}-{flags:02x}")
    }
}

/// The headers of what is sent here: none, or the trace.
pub(super) fn outgoing() -> Headers {
    let mut headers = Headers::new();
    if let Some(trace) = TraceContext::current() {
        let set = headers.insert(TRACEPARENT, &trace.to_string());
        set.expect("a header of some 70 bytes fits");
    }
    headers
}

/// Adds the trace to headers that say nothing of one.
pub(super) fn add(headers: &mut Headers) -> Result<(), BadHeaders> {
    match TraceContext::current() {
        Some(trace) if headers.get(TRACEPARENT).is_none() => {
            headers.insert(TRACEPARENT, &trace.to_string())
        }
        Some(_) | None => Ok(()),
    }
}

/// Lower-case hexadecimal of exactly so many digits.
fn hex(text: &str, digits: usize) -> Option<u128> {
    let is_hex = |b: u8| matches!(b, b'0'..=b'9' | b'a'..=b'f');
    if text.len() != digits || !text.bytes().all(is_hex) {
        return None;
    }
    u128::from_str_radix(text, 16).ok()
}

/// 64 bits, not all 0, that are most likely nobody else's: a counter scrambled by each thread's own secret.
fn random_id() -> u64 {
    use std::hash::{BuildHasher, RandomState};
    thread_local! {
        static SECRET: RandomState = RandomState::new();
        static COUNT: Cell<u64> = const { Cell::new(0) };
    }
    let count = COUNT.with(|count| {
        count.set(count.get().wrapping_add(1));
        count.get()
    });
    SECRET.with(|secret| secret.hash_one(count)).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_traceparent_is_read_as_one() {
        let trace = TraceContext::start();
        assert!(trace.is_sampled());
        assert_eq!(TraceContext::parse(&trace.to_string()), Some(trace));
        let good = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        let read = TraceContext::parse(good).expect("the one of the standard");
        assert_eq!(read.to_string(), good);
        assert_eq!(read.trace_id(), "4bf92f3577b34da6a3ce929d0e0e4736");
        assert_eq!(read.span_id(), "00f067aa0ba902b7");
        assert!(TraceContext::parse(&format!("{good}-more")).is_none());
        assert!(TraceContext::parse(&good.replacen("00", "01", 1)).is_some());
        assert!(TraceContext::parse(&format!("01{}-more", &good[2..])).is_some());
        for bad in [
            "",
            "00",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e473-00f067aa0ba902b7-01",
            "00-+bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        ] {
            assert!(TraceContext::parse(bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn a_child_is_another_step_of_the_same_trace() {
        let trace = TraceContext::start();
        let child = trace.child();
        assert_eq!(child.trace_id, trace.trace_id);
        assert_eq!(child.parent_id, trace.span_id);
        assert_ne!(child.span_id, trace.span_id);
    }
}
