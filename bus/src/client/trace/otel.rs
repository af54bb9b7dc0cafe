//! The bridge to OpenTelemetry, through `tracing-opentelemetry`.

use opentelemetry::{
    Context, SpanId, TraceFlags, TraceId,
    trace::{SpanContext, TraceContextExt, TraceState},
};
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt;

use super::TraceContext;

/// What the current span is part of.
pub(super) fn current() -> Option<TraceContext> {
    let context = Span::current().context();
    let span = context.span();
    let current = span.span_context();
    current.is_valid().then(|| TraceContext {
        trace_id: u128::from_be_bytes(current.trace_id().to_bytes()),
        span_id: u64::from_be_bytes(current.span_id().to_bytes()),
        parent_id: 0,
        flags: current.trace_flags().to_u8(),
    })
}

/// Has `span` follow the step that `trace` follows.
pub(super) fn adopt(span: &Span, trace: &TraceContext) {
    let remote = SpanContext::new(
        TraceId::from_bytes(trace.trace_id.to_be_bytes()),
        SpanId::from_bytes(trace.parent_id.to_be_bytes()),
        TraceFlags::new(trace.flags),
        true,
        TraceState::default(),
    );
    // Without an OpenTelemetry layer there is nobody to be told.
    let _unheard = span.set_parent(Context::new().with_remote_span_context(remote));
}

#[cfg(test)]
mod tests {
    use tracing_subscriber::{Registry, layer::SubscriberExt};

    use super::*;
    use crate::client::trace::{TRACEPARENT, outgoing};

    #[test]
    fn a_span_goes_on_with_a_trace_and_what_is_sent_within_it_carries_it() {
        // Its tracer makes no steps of its own: what is current is what came.
        let registry = Registry::default().with(tracing_opentelemetry::layer());
        tracing::subscriber::with_default(registry, || {
            assert!(outgoing().is_empty(), "no span, no trace");
            let came = TraceContext::start();
            let mut block = bytes::BytesMut::new();
            let mut headers = crate::wire::headers::Headers::new();
            headers
                .insert(TRACEPARENT, &came.to_string())
                .expect("a header");
            headers.put(&mut block);
            let span = TraceContext::span(&block[2..], "event", "a.b");
            span.in_scope(|| {
                assert_eq!(outgoing().get(TRACEPARENT), Some(&*came.to_string()));
            });
            assert!(outgoing().is_empty(), "only within it");
        });
    }
}
