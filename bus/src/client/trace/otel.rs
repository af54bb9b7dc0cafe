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
