//! A trace over the bus, as OpenTelemetry exports it: real clients, a real hub, spans of `tracing`, and the SDK's exporter.

use std::{os::unix::net::UnixListener, time::Duration};

use futures::StreamExt;
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_sdk::trace::{InMemorySpanExporter, SdkTracerProvider, SpanData};
use ostler_bus::{
    Bus, ConnectOptions, Delivery, Event, Limits, Request, Schema,
    hub::{Admission, Hub, HubOptions, Rules},
    transport::UnixTransport,
};
use serde::{Deserialize, Serialize};
use tracing::{Instrument, info_span};
use tracing_subscriber::{Registry, layer::SubscriberExt};

#[derive(Clone, Debug, Serialize, Deserialize, Event)]
#[event(topic = "orders.created")]
struct OrderCreated {
    id: u64,
}

#[derive(Clone, Debug, Serialize, Deserialize, Request)]
#[request(topic = "orders.price", reply = Price)]
struct PriceOf {
    id: u64,
}

#[derive(Clone, Debug, Serialize, Deserialize, Schema)]
struct Price {
    cents: u32,
}

fn the<'a>(spans: &'a [SpanData], name: &str) -> &'a SpanData {
    let mut found = spans.iter().filter(|span| span.name == name);
    let one = found
        .next()
        .unwrap_or_else(|| panic!("no {name}: {spans:?}"));
    assert!(found.next().is_none(), "one {name}: {spans:?}");
    one
}

/// An order that is taken is an event; whoever hears it asks for its price: four spans, each the child of the one before.
#[tokio::test]
async fn one_trace_goes_from_span_to_span_through_the_hub() {
    let exporter = InMemorySpanExporter::default();
    let provider = SdkTracerProvider::builder()
        .with_simple_exporter(exporter.clone())
        .build();
    let layer = tracing_opentelemetry::layer().with_tracer(provider.tracer("orders"));
    let _exported = tracing::subscriber::set_default(Registry::default().with(layer));
    let told = tokio::time::timeout(Duration::from_secs(30), order()).await;
    told.expect("this should have happened long ago");

    provider.force_flush().expect("exported");
    let spans = exporter.get_finished_spans().expect("exported");
    let (taken, heard) = (the(&spans, "take order"), the(&spans, "event"));
    let (pricing, asked) = (the(&spans, "find price"), the(&spans, "call"));
    let trace = taken.span_context.trace_id();
    assert!(
        spans
            .iter()
            .all(|span| span.span_context.trace_id() == trace),
        "{spans:?}"
    );
    for (child, parent) in [(heard, taken), (pricing, heard), (asked, pricing)] {
        let is_child = child.parent_span_id == parent.span_context.span_id();
        assert!(is_child, "{} of {}: {spans:?}", child.name, parent.name);
    }
}

/// Takes an order, hears of it, asks for its price and answers, each in a span.
async fn order() {
    let home = tempfile::tempdir().expect("a directory");
    let (hub, _notices) = Hub::start(HubOptions {
        name: "shop".into(),
        limits: Limits::default(),
        rules: Rules::allow_all(),
        builtins: Vec::new(),
        history: Vec::new(),
    })
    .expect("a thread");
    let path = home.path().join("bus");
    hub.listen(
        UnixListener::bind(&path).expect("binds"),
        Admission::default(),
    )
    .expect("listens");
    let client = async |name: &str| {
        let connected = Bus::connect(
            UnixTransport::new(path.clone()),
            ConnectOptions::client(name),
        );
        connected.await.expect("welcome")
    };
    let (till, clerk, pricer) = (
        client("till").await,
        client("clerk").await,
        client("pricer").await,
    );
    let mut orders = clerk.subscribe::<OrderCreated>().await.expect("subscribed");
    let mut questions = pricer.serve::<PriceOf>().await.expect("serves");

    let take = async { till.emit(&OrderCreated { id: 7 }).await.expect("emitted") };
    take.instrument(info_span!("take order")).await;
    let Some(Delivery::Event(heard)) = orders.next().await else {
        panic!("an order");
    };
    let span = heard.span();
    let price = async { clerk.request(&PriceOf { id: 7 }).await.expect("answered") };
    let price = price.instrument(info_span!(parent: &span, "find price"));
    let answer = async {
        let question = questions.next().await.expect("a question");
        let span = question.span();
        async {
            question
                .reply(&Price { cents: 250 })
                .await
                .expect("replied");
        }
        .instrument(span)
        .await;
    };
    let (price, ()) = tokio::join!(price, answer);
    assert_eq!(price.cents, 250);
}
