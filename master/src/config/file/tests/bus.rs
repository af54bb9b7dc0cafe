//! What a file says of the bus: rights, limits, the network door.

use std::{path::Path, time::Duration};

use ostler_bus::{
    Pattern,
    hub::{Action, HistoryRule},
    vocab::rights::Allowance,
};

use super::{faults, good};
use crate::config::bus_table::{TcpSettings, TlsFiles};

/// A sound file with this added.
fn with_bus(text: &str) -> String {
    format!("[app.web]\ncommand = \"x\"\n{text}")
}

#[test]
fn rights_are_read_and_those_of_an_app_stand_instead_of_the_defaults() {
    let file = good(
        r#"
[defaults.bus]
emit = { deny = ["admin.>"] }
serve = { allow = [] }

[app.web]
command = "x"
bus = { subscribe = { allow = ["orders.*"], deny = ["orders.x"] }, emit = { allow = ["*"] } }

[app.jobs]
command = "x"
"#,
    );
    let pattern = |text| Pattern::new(text).unwrap();
    let of = |name: &str| {
        let app = file.apps.iter().find(|app| app.name.as_str() == name);
        app.unwrap().bus.clone()
    };
    let said = |allow: Option<&[&'static str]>, deny: &[&'static str]| Allowance {
        allow: allow.map(|texts| texts.iter().map(|t| pattern(t)).collect()),
        deny: deny.iter().map(|t| pattern(t)).collect(),
    };
    let serve = (Action::Serve, said(Some(&[]), &[]));
    assert_eq!(
        of("jobs"),
        [(Action::Emit, said(None, &["admin.>"])), serve.clone()]
    );
    assert_eq!(
        of("web"),
        [
            (Action::Emit, said(Some(&["*"]), &[])),
            (Action::Subscribe, said(Some(&["orders.*"]), &["orders.x"])),
            serve,
        ]
    );
}

#[test]
fn every_fault_of_the_rights_has_its_place() {
    let told = faults(&with_bus(
        "[app.web.bus]\npublish = {}\nemit = { alow = [\"x\"], deny = [\"a..b\", 7, \"ok\"] }\nserve = [\"x\"]\n",
    ));
    assert_eq!(
        told,
        [
            "4:1: app.web.bus.publish: unknown key",
            "did you mean `emit`?",
            "5:10: app.web.bus.emit.alow: unknown key",
            "did you mean `allow`?",
            "5:32: app.web.bus.emit.deny[0]: topic \"a..b\" has an empty token: one dot between tokens, none at the ends",
            "use tokens of A-Z a-z 0-9 _ -, separated by dots; * stands for one, a last > for the rest",
            "5:40: app.web.bus.emit.deny[1]: the number 7 can't stand here",
            "write an array of patterns: [\"orders.>\"]",
            "6:9: app.web.bus.serve: an array can't stand here",
            "write a table: { allow = [\"orders.>\"], deny = [\"orders.internal.>\"] }",
        ]
    );
}

#[test]
fn limits_are_read_in_their_units() {
    let file = good(&with_bus(
        "[bus.limits]\npayload_bytes = \"4MiB\"\nqueue_bytes = 4096\nconnections = 7\nhello_timeout = \"3s\"\n",
    ));
    let expected = ostler_bus::Limits {
        payload_bytes: 4 << 20,
        queue_bytes: 4096,
        connections: 7,
        hello_timeout: Duration::from_secs(3),
        ..ostler_bus::Limits::default()
    };
    assert_eq!(file.bus.limits, expected);
    assert_eq!(file.bus.tcp, None);
    let told = faults(&with_bus(
        "[bus.limits]\npayload = 1\npayload_bytes = \"1 meg\"\nconnections = 0\nschema_bytes = \"32KiB\"\nhello_timeout = 3\n",
    ));
    let problems: Vec<&String> = told.iter().step_by(2).collect();
    assert_eq!(
        problems,
        [
            "4:1: bus.limits.payload: unknown key",
            "5:17: bus.limits.payload_bytes: \"1 meg\" is not a number of bytes",
            "6:15: bus.limits.connections: 0 is out of range",
            "7:16: bus.limits.schema_bytes: \"32KiB\" is out of range",
            "8:17: bus.limits.hello_timeout: 3 has no unit",
        ]
    );
}

#[test]
fn limits_that_can_not_be_kept_together_are_told_where_they_are_written() {
    let kept = ostler_bus::Limits::default().kept_bytes();
    let told = faults(&with_bus(
        "[bus.limits]\nsubscriptions = 3\nmemory_bytes = \"64MiB\"\n",
    ));
    let problem = format!(
        "5:16: bus.limits.memory_bytes: retained values, histories and mail may take {kept} bytes, which is more than half of memory_bytes, 67108864"
    );
    assert!(told[0].starts_with(&problem), "{told:?}");
    let fix = format!("make memory_bytes {} at least", kept * 2);
    assert!(told[1].contains(&fix), "{told:?}");
    // Whatever was written first of those that matter.
    let told = faults(&with_bus(
        "[bus.limits]\nmailbox_bytes = \"1GiB\"\nhistory_bytes = \"1GiB\"\n",
    ));
    assert!(
        told[0].starts_with("5:17: bus.limits.history_bytes: "),
        "{told:?}"
    );
    assert_eq!(told.len(), 2);
    good(&with_bus(
        "[bus.limits]\nmemory_bytes = \"64MiB\"\nretained_bytes = \"8MiB\"\nhistory_bytes = \"8MiB\"\nmailbox_bytes = \"8MiB\"\n",
    ));
}

#[test]
fn histories_are_kept_in_their_order() {
    let file = good(&with_bus(
        "[[bus.history]]\npattern = \"orders.>\"\nmessages = 1000\nbytes = \"2MiB\"\nmax_age = \"1h\"\n\
         [[bus.history]]\npattern = \"*\"\nmessages = 1\n",
    ));
    let first = HistoryRule {
        bytes: 2 << 20,
        max_age: Some(Duration::from_secs(3600)),
        ..HistoryRule::last("orders.>", 1000)
    };
    assert_eq!(file.bus.history, [first, HistoryRule::last("*", 1)]);
    for (text, problem) in [
        ("history = 3", "bus.history"),
        ("[[bus.history]]\nmessages = 3", "pattern is missing"),
        ("[[bus.history]]\npattern = \"a\"", "messages is missing"),
        (
            "[[bus.history]]\npattern = \"a..b\"\nmessages = 0",
            "bus.history[0].messages",
        ),
    ] {
        let header = if text.starts_with('[') { "" } else { "[bus]\n" };
        let found = faults(&with_bus(&format!("{header}{text}\n")));
        assert!(
            found.iter().any(|fault| fault.contains(problem)),
            "{text}: {found:?}"
        );
    }
}

#[test]
fn a_network_door_is_safe_or_refused() {
    let file = good(&with_bus(
        "[bus]\nlisten = \":7400\"\ntokens = \"t\"\ntls = { cert = \"c\", key = \"/k\", client_ca = \"ca\" }\n",
    ));
    let at = |path: &str| Path::new("/srv/shop").join(path);
    let tcp = TcpSettings {
        address: "0.0.0.0:7400".parse().unwrap(),
        tls: Some(TlsFiles {
            cert: at("c"),
            key: at("/k"),
            client_ca: Some(at("ca")),
        }),
        tokens: at("t"),
    };
    assert_eq!(file.bus.tcp, Some(tcp));
    let local = good(&with_bus("[bus]\nlisten = \"7400\"\ntokens = \"t\"\n"));
    assert!(local.bus.tcp.unwrap().address.ip().is_loopback());
    for (text, problem) in [
        (
            "listen = \":7400\"\ntokens = \"t\"",
            "4:10: bus.listen: 0.0.0.0:7400 can be reached from other machines, and without TLS everybody on the way reads the tokens",
        ),
        (
            "listen = \"7400\"",
            "3:2: bus: nobody could come in at bus.listen: there are no tokens",
        ),
        (
            "listen = \"unix:x\"\ntokens = \"t\"",
            "4:10: bus.listen: the bus has a Unix socket already, in the master's own directory",
        ),
        (
            "tokens = \"t\"",
            "4:1: bus.tokens: it says nothing where the bus has no listener",
        ),
        (
            "listen = \"7400\"\ntokens = \"t\"\ntls = { cert = \"c\" }",
            "6:7: bus.tls: key is missing",
        ),
        ("emit = {}", "4:1: bus.emit: the key belongs to an app"),
        ("retain = {}", "4:1: bus.retain: the key belongs to an app"),
        ("lisen = \"7400\"", "4:1: bus.lisen: unknown key"),
    ] {
        assert_eq!(faults(&with_bus(&format!("[bus]\n{text}\n")))[0], problem);
    }
}
