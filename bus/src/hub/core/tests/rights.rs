//! What is said of an app's workers: it takes away, it names itself, and it gives nothing that is the master's.

use super::support::*;
use crate::{
    Generation, Limits, Pattern, Slot, WorkerId,
    hub::{Action, HubOptions, Principal},
    vocab::{
        rights::{Allowance, AppRights},
        rules::{builtins, fleet_rules, fleet_rules_with},
    },
    wire::{
        control::RefusalKind,
        data::{Payload, READERS_TYPE},
    },
};

fn patterns(texts: &[&str]) -> Vec<Pattern> {
    texts.iter().map(|t| Pattern::new(t).unwrap()).collect()
}

fn allow(texts: &[&str]) -> Allowance {
    Allowance {
        allow: Some(patterns(texts)),
        deny: Vec::new(),
    }
}

fn deny(texts: &[&str]) -> Allowance {
    Allowance {
        allow: None,
        deny: patterns(texts),
    }
}

fn web(of: Vec<(Action, Allowance)>) -> AppRights {
    AppRights {
        app: "web".into(),
        source: "ostler.toml".into(),
        of,
    }
}

fn fleet(rights: &[AppRights]) -> World {
    World::with(HubOptions {
        builtins: builtins(),
        ..options(Limits::default(), fleet_rules_with(rights))
    })
}

fn worker(app: &str, id: u64) -> Principal {
    Principal::Worker {
        app: app.into(),
        id: WorkerId(id),
        slot: Slot(0),
        generation: Generation(1),
        pid: 1,
    }
}

fn emits(w: &mut World, id: u64, topic: &str) -> Result<u64, String> {
    w.emit_acked(id, Payload::Bytes, topic, b"")
        .map_err(|refusal| {
            assert_eq!(refusal.kind, RefusalKind::Denied, "{refusal:?}");
            refusal.reason
        })
}

fn asks(w: &mut World, id: u64, topic: &str) -> Result<(), String> {
    w.send(id, &request(1, Payload::Json, topic, READERS_TYPE, b"{}"));
    let refusal = refusal_of(&w.take(id), 1);
    match refusal.kind {
        RefusalKind::Denied => Err(refusal.reason),
        _ => Ok(()),
    }
}

fn names(refusal: Result<impl std::fmt::Debug, String>, words: &[&str]) {
    let reason = refusal.expect_err("it is denied");
    for word in words {
        assert!(reason.contains(word), "{word:?} in {reason:?}");
    }
}

#[test]
fn a_denied_topic_is_refused_with_the_line_that_denies_it() {
    let mut w = fleet(&[web(vec![
        (Action::Emit, deny(&["admin.>", "billing.*"])),
        (Action::Request, deny(&["admin.>"])),
        (Action::Serve, deny(&["admin.>"])),
        (Action::Subscribe, deny(&["secret.>"])),
    ])]);
    let (web, api) = (w.join(worker("web", 1)), w.join(worker("api", 2)));
    let line = [r#"app web: bus.emit.deny "admin.>" (ostler.toml)"#];
    names(emits(&mut w, web, "admin.x"), &line);
    names(emits(&mut w, web, "billing.x"), &["billing.*"]);
    assert_eq!(emits(&mut w, web, "orders.x"), Ok(0));
    assert_eq!(emits(&mut w, api, "admin.x"), Ok(0), "another app may");
    names(asks(&mut w, web, "admin.x"), &["bus.request.deny"]);
    assert_eq!(asks(&mut w, api, "admin.x"), Ok(()));
    refused(
        &w.must_not(web, serve(1, "admin.x")),
        RefusalKind::Denied,
        &["bus.serve.deny"],
    );
    refused(
        &w.must_not(web, subscribe(2, "secret.a.b")),
        RefusalKind::Denied,
        &["bus.subscribe.deny"],
    );
    w.must(api, serve(1, "admin.x"));
    // A pattern that is denied in part hears the rest.
    w.subscribe(web, 3, "*");
    assert_eq!(emits(&mut w, api, "secret.a"), Ok(0));
    assert_eq!(emits(&mut w, api, "open.a"), Ok(1));
}

#[test]
fn a_list_of_what_is_allowed_denies_the_rest() {
    let mut w = fleet(&[web(vec![
        (Action::Emit, allow(&["orders.>", "worker.*"])),
        (Action::Subscribe, allow(&["orders.*"])),
        (Action::Serve, allow(&[])),
    ])]);
    let web = w.join(worker("web", 1));
    assert_eq!(emits(&mut w, web, "orders.created"), Ok(0));
    names(
        emits(&mut w, web, "stock.low"),
        &[r#"bus.emit.allow has only ["orders.>", "worker.*"]"#],
    );
    names(emits(&mut w, web, "_log.web.0"), &["bus.emit.allow"]);
    // It grants nothing that is the master's.
    names(emits(&mut w, web, "worker.exited"), &["only the master"]);
    refused(
        &w.must_not(web, subscribe(1, "stock.>")),
        RefusalKind::Denied,
        &["bus.subscribe.allow"],
    );
    refused(
        &w.must_not(web, serve(2, "orders.price")),
        RefusalKind::Denied,
        &["bus.serve.allow has only []"],
    );
    w.subscribe(web, 3, "*");
    assert_eq!(emits(&mut w, web, "orders.created"), Ok(1));
    assert_eq!(emits(&mut w, web, "orders.a.b"), Ok(0));
}

#[test]
fn nobody_can_take_from_a_worker_what_the_master_needs_of_it() {
    let everything = || deny(&["*", "_sys.>", "to.>"]);
    let mut w = fleet(&[web(Action::ALL.map(|a| (a, everything())).to_vec())]);
    let web = w.join(worker("web", 7));
    assert_eq!(asks(&mut w, web, "_sys.worker.ready"), Ok(()));
    w.must(web, serve(1, "to.worker.7.drain"));
    let other = w.must_not(web, serve(2, "to.worker.8.drain"));
    assert_eq!(other.kind, RefusalKind::Denied);
    // With a list of what it may hear, a worker still hears what is sent to it.
    let mut w = fleet(&[web_hears_orders()]);
    let web = w.join(worker("web", 7));
    w.must(web, subscribe(1, "to.worker.7.>"));
    w.must(web, subscribe(2, "to.app.web.news"));
    let other = w.must_not(web, subscribe(3, "to.app.api.news"));
    assert_eq!(other.kind, RefusalKind::Denied);
}

fn web_hears_orders() -> AppRights {
    web(vec![(Action::Subscribe, allow(&["orders.*"]))])
}

#[test]
fn new_rules_hold_at_once_for_what_is_remembered_and_for_what_stands() {
    let mut w = fleet(&[]);
    let (web, other) = (w.join(worker("web", 1)), w.join(client("other")));
    w.subscribe(web, 1, "secret.a");
    w.subscribe(web, 2, "*");
    w.subscribe(other, 1, "secret.a");
    assert_eq!(emits(&mut w, web, "orders.x"), Ok(1));
    assert_eq!(emits(&mut w, other, "secret.a"), Ok(3));
    let now = w.now;
    w.core.set_rules(
        now,
        fleet_rules_with(&[
            web_hears_orders(),
            self::web(vec![(Action::Emit, deny(&["orders.x"]))]),
        ]),
    );
    let told = refusal_of(&w.take(web), 0);
    refused(
        &told,
        RefusalKind::Denied,
        &["secret.a", "bus.subscribe.allow"],
    );
    names(emits(&mut w, web, "orders.x"), &["bus.emit.deny"]);
    assert_eq!(emits(&mut w, other, "secret.a"), Ok(1));
    assert_eq!(w.events(web), []);
    w.core.set_rules(now, fleet_rules());
    assert_eq!(emits(&mut w, other, "secret.a"), Ok(3), "and back again");
    assert_eq!(emits(&mut w, web, "orders.x"), Ok(1));
}
