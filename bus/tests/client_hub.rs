//! The real client and the real hub, end to end: in memory, over a Unix socket by path, and over an inherited one.

use std::{
    future::Future,
    os::unix::net::{UnixListener, UnixStream},
    path::PathBuf,
    time::Duration,
};

use futures::StreamExt;
use ostler_bus::{
    Bus, ConnectOptions, Delivery, Event, Generation, Limits, Origin, Request, Schema, Slot,
    WorkerId,
    client::{Disconnected, EmitError, Payload, Problem, Received, RequestError, SubscribeError},
    hub::{
        Action, Admission, Hub, HubOptions, Notices, Principal, Role, Rule, Rules, Topics, Verdict,
    },
    transport::{InheritedTransport, UnixTransport},
    wire::control::{CloseKind, RefusalKind},
};
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Event)]
#[event(topic = "orders.created")]
struct OrderCreated {
    id: u64,
    total: f64,
}

/// The same topic, a generation later.
mod later {
    use super::{Deserialize, Event, Serialize};

    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Event)]
    #[event(topic = "orders.created")]
    pub(super) struct OrderCreated {
        pub(super) id: String,
    }
}

/// The same topics in a generation that the first one gets along with: another order, a field more, and the answer's number
/// may be larger.
mod next {
    use super::{Deserialize, Event, Request, Schema, Serialize};

    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Event)]
    #[event(topic = "orders.created")]
    pub(super) struct Order {
        pub(super) clerk: Option<String>,
        pub(super) total: f64,
        pub(super) id: u64,
    }

    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Request)]
    #[request(topic = "orders.price", reply = Cost)]
    pub(super) struct CostOf {
        pub(super) currency: Option<String>,
        pub(super) id: u64,
    }

    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Schema)]
    pub(super) struct Cost {
        pub(super) cents: u64,
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Request)]
#[request(topic = "orders.price", reply = Price)]
struct PriceOf {
    id: u64,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Schema)]
struct Price {
    cents: u32,
}

async fn within<F: Future>(what: F) -> F::Output {
    tokio::time::timeout(Duration::from_secs(30), what)
        .await
        .expect("this should have happened long ago")
}

/// How clients get to the hub.
#[derive(Clone, Copy)]
enum Way {
    Memory,
    Unix,
}

/// A hub of one test.
struct Bench {
    hub: Hub,
    way: Way,
    home: tempfile::TempDir,
    _notices: Notices,
}

/// Clients may not publish on `master.>`, nor hear `secret.>`.
fn rules() -> Rules {
    let mut rules = Rules::allow_all();
    let deny = |name: &'static str, action, pattern| Rule {
        apps: None,
        name: name.into(),
        roles: vec![Role::Client],
        actions: vec![action],
        topics: vec![Topics::matching(pattern)],
        verdict: Verdict::Deny,
    };
    let denials = [
        deny("only the master speaks there", Action::Emit, "master.>"),
        deny("nobody asks there", Action::Request, "master.>"),
        deny("nobody listens there", Action::Subscribe, "secret.>"),
    ];
    rules.access.splice(0..0, denials);
    rules
}

impl Bench {
    fn new(way: Way) -> Self {
        let options = HubOptions {
            name: "bench".into(),
            limits: Limits::default(),
            rules: rules(),
            builtins: Vec::new(),
            history: Vec::new(),
        };
        let (hub, notices) = Hub::start(options).expect("a thread");
        let bench = Self {
            hub,
            way,
            home: tempfile::tempdir().expect("a directory"),
            _notices: notices,
        };
        let listener = UnixListener::bind(bench.path()).expect("binds");
        bench
            .hub
            .listen(listener, Admission::default())
            .expect("listens");
        bench
    }

    fn path(&self) -> PathBuf {
        self.home.path().join("bus")
    }

    async fn client(&self, name: &str) -> Bus {
        self.with(ConnectOptions::client(name)).await
    }

    async fn with(&self, options: ConnectOptions) -> Bus {
        let connected = match self.way {
            Way::Memory => {
                let name = options.name.clone();
                let transport = self
                    .hub
                    .attach_memory(Principal::Client { name })
                    .expect("attached");
                within(Bus::connect(transport, options)).await
            }
            Way::Unix => within(Bus::connect(UnixTransport::new(self.path()), options)).await,
        };
        connected.expect("welcome")
    }
}

macro_rules! either_way {
    ($($scenario:ident)*) => {
        mod in_memory {
            $(#[tokio::test]
            async fn $scenario() {
                super::$scenario(super::Bench::new(super::Way::Memory)).await;
            })*
        }
        mod over_a_socket {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $scenario() {
                super::$scenario(super::Bench::new(super::Way::Unix)).await;
            })*
        }
    };
}

either_way! {
    typed_and_raw
    counted_and_in_order
    a_flood_arrives_whole
    requests
    retained
    lagging_is_told_exactly
    denied
    another_type_is_spelled_out
    versions_get_along
    json_meets_types
    unsubscribed
    the_hub_stops
}

fn order(id: u64) -> OrderCreated {
    OrderCreated { id, total: 9.5 }
}

fn event<T: std::fmt::Debug>(delivery: Option<Delivery<T>>) -> Received<T> {
    match delivery {
        Some(Delivery::Event(event)) => event,
        other => panic!("expected an event, got {other:?}"),
    }
}

async fn typed_and_raw(bench: Bench) {
    let (shop, audit) = (bench.client("shop").await, bench.client("audit").await);
    let mut own = shop.subscribe::<OrderCreated>().await.expect("subscribed");
    let mut orders = audit
        .subscribe_to::<OrderCreated>("orders.*")
        .await
        .expect("subscribed");
    let mut all = audit.subscribe_raw("*").await.expect("subscribed");
    shop.emit(&order(1)).await.expect("emitted");
    shop.emit_to("orders.copied", &order(2))
        .await
        .expect("emitted");
    shop.emit_bytes("blob", &b"\x00\xff"[..])
        .await
        .expect("emitted");
    let origin = Origin::Client {
        name: "shop".into(),
        conn: shop.conn(),
    };
    let first = event(within(orders.next()).await);
    assert_eq!((&first.event, &*first.origin), (&order(1), &origin));
    assert_eq!(
        (first.topic.as_str(), first.is_retained()),
        ("orders.created", false)
    );
    let second = event(within(orders.next()).await);
    assert_eq!(
        (second.event, second.topic.as_str()),
        (order(2), "orders.copied")
    );
    assert_eq!(second.seq, first.seq + 1);
    assert_eq!(event(within(own.next()).await).event, order(1));
    let json = event(within(all.next()).await);
    assert_eq!(
        json.event.to_json().as_deref(),
        Ok(r#"{"id":1,"total":9.5}"#)
    );
    assert_eq!(
        event(within(all.next()).await).topic.as_str(),
        "orders.copied"
    );
    let blob = event(within(all.next()).await);
    assert_eq!(blob.event, Payload::Bytes((&b"\x00\xff"[..]).into()));
}

async fn counted_and_in_order(bench: Bench) {
    const EACH: u64 = 2_000;
    let audit = bench.client("audit").await;
    let mut orders = audit.subscribe::<OrderCreated>().await.expect("subscribed");
    let mut publishers = Vec::new();
    for name in ["a", "b", "c"] {
        let shop = bench.client(name).await;
        assert_eq!(shop.emit_acked(&order(0)).await, Ok(1));
        publishers.push(tokio::spawn(async move {
            for id in 1..EACH {
                shop.emit(&order(id)).await.expect("emitted");
            }
            within(shop.drain(Duration::from_secs(30)))
                .await
                .expect("drained");
        }));
    }
    let mut next = std::collections::HashMap::new();
    let mut last_seq = 0;
    for _ in 0..3 * EACH {
        let order = event(within(orders.next()).await);
        assert!(order.seq > last_seq, "one order for all");
        last_seq = order.seq;
        let expected = next.entry((*order.origin).clone()).or_insert(0);
        assert_eq!(order.event.id, *expected, "each publisher's own order");
        *expected += 1;
    }
    assert_eq!(next.len(), 3);
    for publisher in publishers {
        publisher.await.expect("no panic");
    }
}

/// More than fits any buffer, at full speed, to a reader that keeps up only by waiting its turn: all of it arrives.
async fn a_flood_arrives_whole(bench: Bench) {
    const EVENTS: u64 = 30_000;
    let (shop, audit) = (bench.client("shop").await, bench.client("audit").await);
    let mut orders = audit.subscribe::<OrderCreated>().await.expect("subscribed");
    let flood = tokio::spawn(async move {
        for id in 0..EVENTS {
            shop.emit(&order(id)).await.expect("emitted");
        }
        within(shop.drain(Duration::from_secs(30))).await
    });
    for id in 0..EVENTS {
        assert_eq!(event(within(orders.next()).await).event.id, id);
    }
    assert_eq!(flood.await.expect("no panic"), Ok(()));
}

async fn requests(bench: Bench) {
    let (shop, till) = (bench.client("shop").await, bench.client("till").await);
    let nobody = till.request(&PriceOf { id: 1 }).await;
    assert!(
        matches!(&nobody, Err(RequestError::NoResponders { .. })),
        "{nobody:?}"
    );
    let mut calls = shop.serve::<PriceOf>().await.expect("serving");
    let server = tokio::spawn(async move {
        while let Some(call) = calls.next().await {
            assert!(matches!(call.origin(), Origin::Client { name, .. } if name == "till"));
            match call.request().id {
                1 => call.decline("sold out"),
                2 => drop(call),
                // Kept until its asker has surely given up.
                3 => {
                    let given_up = call.deadline() + Duration::from_secs(1);
                    tokio::time::sleep_until(tokio::time::Instant::from_std(given_up)).await;
                }
                id => {
                    let cents = u32::try_from(id).expect("small") * 100;
                    call.reply(&Price { cents }).await.expect("replied");
                }
            }
        }
    });
    let asked = within(till.request(&PriceOf { id: 7 })).await;
    assert_eq!(asked, Ok(Price { cents: 700 }));
    let second = Duration::from_secs(1);
    let json = within(till.request_json("orders.price", r#"{"id":8}"#, second)).await;
    assert_eq!(json.as_deref(), Ok(r#"{"cents":800}"#));
    let wrong = within(till.request_json("orders.price", r#"{"id":"eight"}"#, second)).await;
    assert!(
        matches!(&wrong, Err(RequestError::Misfit { reason, .. }) if reason.contains("id")),
        "{wrong:?}"
    );
    let declined = within(till.request(&PriceOf { id: 1 })).await;
    assert!(
        matches!(&declined, Err(RequestError::Declined { reason, .. }) if reason.contains("sold out"))
    );
    let dropped = within(till.request(&PriceOf { id: 2 })).await;
    assert!(matches!(dropped, Err(RequestError::Declined { .. })));
    let late = within(till.request_within(&PriceOf { id: 3 }, Duration::from_millis(50))).await;
    assert!(
        matches!(late, Err(RequestError::TimedOut { .. })),
        "{late:?}"
    );
    let denied = within(till.request_json("master.stop", "{}", second)).await;
    assert!(
        matches!(&denied, Err(RequestError::Denied { reason, .. }) if reason.contains("nobody asks"))
    );
    drop(shop);
    server.abort();
    assert!(server.await.is_err_and(|e| e.is_cancelled()));
    let gone = within(till.request(&PriceOf { id: 7 })).await;
    assert!(
        matches!(
            gone,
            Err(RequestError::NoResponders { .. } | RequestError::Declined { .. })
        ),
        "{gone:?}"
    );
}

async fn retained(bench: Bench) {
    let (shop, audit) = (bench.client("shop").await, bench.client("audit").await);
    shop.event(&order(1))
        .retained()
        .acked()
        .await
        .expect("taken");
    shop.event(&order(2))
        .retained()
        .acked()
        .await
        .expect("taken");
    let mut orders = audit.subscribe::<OrderCreated>().await.expect("subscribed");
    shop.emit(&order(3)).await.expect("emitted");
    let kept = event(within(orders.next()).await);
    assert_eq!((kept.is_retained(), kept.event), (true, order(2)));
    let fresh = event(within(orders.next()).await);
    assert_eq!((fresh.is_retained(), fresh.event), (false, order(3)));
    // Its publisher has gone; its type and origin are still known.
    within(shop.drain(Duration::from_secs(10)))
        .await
        .expect("drained");
    let mut late = audit.subscribe_raw("orders.>").await.expect("subscribed");
    let kept = event(within(late.next()).await);
    assert_eq!(
        kept.event.to_json().as_deref(),
        Ok(r#"{"id":2,"total":9.5}"#)
    );
    assert!(matches!(&*kept.origin, Origin::Client { name, .. } if name == "shop"));
}

async fn lagging_is_told_exactly(bench: Bench) {
    let (shop, audit) = (bench.client("shop").await, bench.client("audit").await);
    let builder = audit.subscription("orders.created").max_messages(10);
    let mut slow = builder.typed::<OrderCreated>().await.expect("subscribed");
    for id in 0..1000 {
        assert_eq!(shop.emit_acked(&order(id)).await, Ok(1));
    }
    within(audit.drain(Duration::from_secs(10)))
        .await
        .expect("all of it has arrived");
    let mut next = 0;
    let mut missed = 0;
    loop {
        match within(slow.next()).await.expect("more") {
            Delivery::Event(order) => {
                assert_eq!(order.event.id, next);
                next += 1;
            }
            Delivery::Lagged { missed: n } => {
                next += n;
                missed += n;
            }
            Delivery::Misfit { reason, .. } => panic!("{reason}"),
            Delivery::Reconnected { .. } => panic!("it was never lost"),
            Delivery::Disconnected(why) => {
                assert_eq!(why, Disconnected::Drained);
                break;
            }
        }
    }
    assert_eq!(next, 1000);
    assert!(missed >= 980, "10 here and 10 there: {missed}");
}

async fn denied(bench: Bench) {
    let shop = bench.client("shop").await;
    let mut problems = shop.problems();
    shop.emit_json("master.status", &1)
        .await
        .expect("nothing is known yet");
    let problem = within(problems.next()).await;
    assert!(
        matches!(&problem, Some(Problem::Refused { topic: Some(topic), refusal })
            if topic == "master.status" && refusal.reason.contains("only the master speaks there")),
        "{problem:?}"
    );
    let at_once = shop.json("master.status", &1).try_send();
    assert!(matches!(at_once, Err(EmitError::Refused { .. })));
    let acked = within(shop.json("master.ready", &1).acked()).await;
    assert!(
        matches!(&acked, Err(EmitError::Refused { refusal, .. }) if refusal.kind == RefusalKind::Denied)
    );
    let typed = within(shop.event_to("master.typed", &order(1)).acked()).await;
    assert!(matches!(typed, Err(EmitError::Refused { .. })));
    let subscribed = within(shop.subscribe_raw("secret.*")).await;
    assert!(
        matches!(&subscribed, Err(SubscribeError::Refused { refusal, .. })
            if refusal.reason.contains("nobody listens there")),
        "{subscribed:?}"
    );
    shop.event(&order(1))
        .acked()
        .await
        .expect("the connection lives on");
}

async fn another_type_is_spelled_out(bench: Bench) {
    let (old, new) = (bench.client("old").await, bench.client("new").await);
    let mut orders = old.subscribe::<OrderCreated>().await.expect("subscribed");
    let mut later = new
        .subscribe::<later::OrderCreated>()
        .await
        .expect("subscribed");
    new.emit(&later::OrderCreated { id: "one".into() })
        .await
        .expect("emitted");
    let misfit = within(orders.next()).await;
    let Some(Delivery::Misfit {
        missed: 1,
        topic,
        reason,
    }) = &misfit
    else {
        panic!("expected a misfit, got {misfit:?}");
    };
    assert_eq!(topic, "orders.created");
    for spelled in ["id: String", "id: u64", "total: f64"] {
        assert!(reason.contains(spelled), "{spelled}: {reason}");
    }
    old.emit(&order(2)).await.expect("emitted");
    assert_eq!(event(within(orders.next()).await).event, order(2));
    assert_eq!(event(within(later.next()).await).event.id, "one");
    assert!(matches!(
        within(later.next()).await,
        Some(Delivery::Misfit { .. })
    ));
}

async fn versions_get_along(bench: Bench) {
    let (old, new) = (bench.client("old").await, bench.client("new").await);
    let mut first = old.subscribe::<OrderCreated>().await.expect("subscribed");
    let mut second = new.subscribe::<next::Order>().await.expect("subscribed");
    let newer = |id, clerk: Option<&str>| next::Order {
        clerk: clerk.map(Into::into),
        total: 9.5,
        id,
    };
    assert_eq!(old.emit_acked(&order(1)).await, Ok(2));
    assert_eq!(new.emit_acked(&newer(2, Some("Ada"))).await, Ok(2));
    let not_a_number = OrderCreated {
        id: 3,
        total: f64::NAN,
    };
    assert_eq!(old.emit_acked(&not_a_number).await, Ok(2));
    for id in [1, 2] {
        assert_eq!(event(within(first.next()).await).event, order(id));
    }
    assert_eq!(event(within(second.next()).await).event, newer(1, None));
    let own = event(within(second.next()).await);
    assert_eq!((own.event, own.seq), (newer(2, Some("Ada")), 2));
    assert!(event(within(second.next()).await).event.total.is_nan());
    // A question of the new one to the old one, and its answer.
    let mut calls = old.serve::<PriceOf>().await.expect("serving");
    let question = next::CostOf {
        currency: Some("EUR".into()),
        id: 7,
    };
    let asked = async { new.request(&question).await };
    let answered = async {
        let call = calls.next().await.expect("a call");
        assert_eq!(call.request(), &PriceOf { id: 7 });
        call.reply(&Price { cents: 700 }).await.expect("answered");
    };
    let (answer, ()) = within(async { tokio::join!(asked, answered) }).await;
    assert_eq!(answer.expect("an answer"), next::Cost { cents: 700 });
    // The other way round the answer is narrower: refused, whatever the number.
    drop(calls);
    let mut calls = new.serve::<next::CostOf>().await.expect("serving");
    let question = PriceOf { id: 8 };
    let asked = async { old.request(&question).await };
    let answered = async {
        let call = calls.next().await.expect("a call");
        assert_eq!(
            call.request(),
            &next::CostOf {
                currency: None,
                id: 8
            }
        );
        call.reply(&next::Cost { cents: 1 }).await.expect("sent");
    };
    let (answer, ()) = within(async { tokio::join!(asked, answered) }).await;
    let refused = answer.expect_err("narrower").to_string();
    for words in ["Cost", "Price", "$.cents", "`u64`", "`u32`"] {
        assert!(refused.contains(words), "{words}: {refused}");
    }
}

async fn json_meets_types(bench: Bench) {
    let (shop, script) = (bench.client("shop").await, bench.client("script").await);
    let mut orders = shop.subscribe::<OrderCreated>().await.expect("subscribed");
    script
        .json_text("orders.created", r#"{"id":1,"total":9.5}"#)
        .send()
        .await
        .expect("emitted");
    script
        .json_text("orders.created", r#"{"id":"x","total":9.5}"#)
        .send()
        .await
        .expect("emitted");
    script
        .emit_json("orders.created", &order(3))
        .await
        .expect("emitted");
    let first = event(within(orders.next()).await);
    assert_eq!(
        (first.event, first.topic.as_str()),
        (order(1), "orders.created")
    );
    let misfit = within(orders.next()).await;
    assert!(
        matches!(&misfit, Some(Delivery::Misfit { missed: 1, reason, .. }) if reason.contains("id")),
        "{misfit:?}"
    );
    assert_eq!(event(within(orders.next()).await).event, order(3));
}

async fn unsubscribed(bench: Bench) {
    let (shop, audit) = (bench.client("shop").await, bench.client("audit").await);
    let orders = audit.subscribe::<OrderCreated>().await.expect("subscribed");
    assert_eq!(shop.emit_acked(&order(1)).await, Ok(1));
    drop(orders);
    // An answer to something later says that the hub has heard it.
    let _other = audit.subscribe_raw("other").await.expect("subscribed");
    assert_eq!(shop.emit_acked(&order(2)).await, Ok(0));
}

async fn the_hub_stops(bench: Bench) {
    let shop = bench.with(ConnectOptions::client("shop").once()).await;
    let mut orders = shop.subscribe::<OrderCreated>().await.expect("subscribed");
    shop.emit_acked(&order(1)).await.expect("taken");
    let mut calls = shop.serve::<PriceOf>().await.expect("serving");
    let asking = tokio::spawn({
        let till = bench.with(ConnectOptions::client("till").once()).await;
        async move { till.request(&PriceOf { id: 1 }).await }
    });
    let call = within(calls.next()).await.expect("a call");
    within(bench.hub.shutdown()).await;
    // Whichever of the two connections the hub ended first.
    let answer = within(asking).await.expect("no panic");
    assert!(
        matches!(
            answer,
            Err(RequestError::Disconnected(_) | RequestError::Declined { .. })
        ),
        "{answer:?}"
    );
    event(within(orders.next()).await);
    let end = within(orders.next()).await;
    assert!(
        matches!(
            &end,
            Some(Delivery::Disconnected(Disconnected::Closed {
                kind: CloseKind::Stopping,
                ..
            }))
        ),
        "{end:?}"
    );
    assert!(matches!(
        call.reply(&Price { cents: 1 }).await,
        Err(EmitError::Disconnected(_))
    ));
    assert!(within(calls.next()).await.is_none());
    assert!(matches!(
        shop.emit(&order(2)).await,
        Err(EmitError::Disconnected(_))
    ));
}

#[tokio::test]
async fn an_inherited_socket_is_an_identity() {
    let bench = Bench::new(Way::Unix);
    let (ours, theirs) = UnixStream::pair().expect("a pair");
    theirs.set_nonblocking(true).expect("nonblocking");
    let worker = Principal::Worker {
        app: "web".into(),
        id: WorkerId(7),
        slot: Slot(1),
        generation: Generation(2),
        pid: 42,
    };
    bench.hub.attach(theirs, worker).expect("attached");
    // Whatever it says of itself.
    let options = ConnectOptions::operator("the master");
    let bus = within(Bus::connect(InheritedTransport::new(ours), options))
        .await
        .expect("welcome");
    let mut orders = bus.subscribe::<OrderCreated>().await.expect("subscribed");
    bus.emit(&order(1)).await.expect("emitted");
    let origin = Origin::Worker {
        app: "web".into(),
        id: WorkerId(7),
        slot: Slot(1),
        generation: Generation(2),
        pid: 42,
    };
    assert_eq!(*event(within(orders.next()).await).origin, origin);
}

#[tokio::test]
async fn nobody_becomes_a_worker_by_path() {
    let bench = Bench::new(Way::Unix);
    let options = ConnectOptions::worker("impostor");
    let refused = within(Bus::connect(UnixTransport::new(bench.path()), options)).await;
    assert!(
        matches!(
            refused,
            Err(ostler_bus::client::ConnectError::Denied { .. })
        ),
        "{refused:?}"
    );
}
