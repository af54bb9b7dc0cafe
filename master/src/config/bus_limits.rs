//! The `bus.limits` table: each bound of [`Limits`] under its own name, which tells its unit too.

use std::time::Duration;

use ostler_bus::Limits;

use toml::de::DeTable;

use super::{
    errors::Wrong,
    reference::Shape,
    walk::{Node, Walker},
    written::Value,
};

/// A bound, by how it is written.
enum Slot<'l> {
    /// `"64KiB"`, or a number.
    Bytes(&'l mut usize),
    /// A number.
    Count(&'l mut usize),
    /// `"10s"`.
    Time(&'l mut Duration),
}

/// Every key.
const KEYS: [&str; 29] = [
    "hello_bytes",
    "control_bytes",
    "payload_bytes",
    "hello_timeout",
    "connections",
    "connections_per_uid",
    "accepts_per_second",
    "greetings",
    "subscriptions",
    "types",
    "schema_bytes",
    "schema_nodes",
    "queue_messages",
    "queue_bytes",
    "overflow_grace",
    "longest_hold",
    "held_topics",
    "control_frames",
    "requests",
    "retained_topics",
    "retained_bytes",
    "history_bytes",
    "sessions",
    "session_timeout",
    "mailbox_messages",
    "mailbox_bytes",
    "mailbox_timeout",
    "memory_bytes",
    "denial_delay",
];

/// Where `key` is kept, and from what to what it may go: within it, a hub works.
fn slot<'l>(limits: &'l mut Limits, key: &str) -> Option<(Slot<'l>, [i64; 2])> {
    const COUNT: [i64; 2] = [1, 1 << 24];
    const BYTES: [i64; 2] = [1 << 10, 1 << 40];
    // A length field has 32 bits, and a HELLO some 300 bytes.
    const FRAME: [i64; 2] = [1 << 10, 1 << 30];
    Some(match key {
        "hello_bytes" => (Slot::Bytes(&mut limits.hello_bytes), [512, 64 << 10]),
        "control_bytes" => (Slot::Bytes(&mut limits.control_bytes), FRAME),
        "payload_bytes" => (Slot::Bytes(&mut limits.payload_bytes), FRAME),
        "hello_timeout" => (Slot::Time(&mut limits.hello_timeout), COUNT),
        "connections" => (Slot::Count(&mut limits.connections), COUNT),
        "connections_per_uid" => (Slot::Count(&mut limits.connections_per_uid), COUNT),
        "accepts_per_second" => (Slot::Count(&mut limits.accepts_per_second), COUNT),
        "greetings" => (Slot::Count(&mut limits.greetings), COUNT),
        "subscriptions" => (Slot::Count(&mut limits.subscriptions), COUNT),
        "types" => (Slot::Count(&mut limits.types), COUNT),
        "schema_bytes" => (Slot::Bytes(&mut limits.schema_bytes), [16, 16 << 10]),
        "schema_nodes" => (Slot::Count(&mut limits.schema_nodes), [1, 1024]),
        "queue_messages" => (Slot::Count(&mut limits.queue_messages), COUNT),
        "queue_bytes" => (Slot::Bytes(&mut limits.queue_bytes), BYTES),
        "overflow_grace" => (Slot::Time(&mut limits.overflow_grace), COUNT),
        "longest_hold" => (Slot::Time(&mut limits.longest_hold), COUNT),
        "held_topics" => (Slot::Count(&mut limits.held_topics), COUNT),
        "control_frames" => (Slot::Count(&mut limits.control_frames), COUNT),
        "requests" => (Slot::Count(&mut limits.requests), COUNT),
        "retained_topics" => (Slot::Count(&mut limits.retained_topics), COUNT),
        "retained_bytes" => (Slot::Bytes(&mut limits.retained_bytes), BYTES),
        "history_bytes" => (Slot::Bytes(&mut limits.history_bytes), BYTES),
        "sessions" => (Slot::Count(&mut limits.sessions), COUNT),
        "session_timeout" => (Slot::Time(&mut limits.session_timeout), COUNT),
        "mailbox_messages" => (Slot::Count(&mut limits.mailbox_messages), COUNT),
        "mailbox_bytes" => (Slot::Bytes(&mut limits.mailbox_bytes), BYTES),
        "mailbox_timeout" => (Slot::Time(&mut limits.mailbox_timeout), COUNT),
        "memory_bytes" => (Slot::Bytes(&mut limits.memory_bytes), BYTES),
        "denial_delay" => (Slot::Time(&mut limits.denial_delay), COUNT),
        _ => return None,
    })
}

/// What may stand at each key.
pub(super) fn shapes() -> impl Iterator<Item = (&'static str, Shape)> {
    let mut limits = Limits::default();
    let shapes = KEYS.map(|name| {
        let shape = slot(&mut limits, name).map(|(slot, [least, most])| match slot {
            Slot::Bytes(_) => Shape::Size,
            Slot::Count(_) => Shape::Whole(least, most),
            Slot::Time(_) => Shape::Duration,
        });
        (name, shape.unwrap_or(Shape::Any))
    });
    shapes.into_iter()
}

/// Reads the table; where it says nothing, the defaults hold.
pub(super) fn read(walker: &mut Walker<'_>, path: &str, node: &Node<'_>) -> Limits {
    let mut limits = Limits::default();
    let fix = "write a table: [bus.limits]";
    let Some(table) = walker.table(path, node, fix) else {
        return limits;
    };
    for (key, node) in table {
        let name = key.get_ref().as_ref();
        let path = format!("{path}.{name}");
        match slot(&mut limits, name) {
            Some((slot, range)) => take(walker, &path, node, slot, range),
            None => walker.unknown_key(key.span(), &path, name, &KEYS, None),
        }
    }
    check(walker, path, table, &limits);
    limits
}

/// What differs from the defaults, as the table would say it.
pub(super) fn written(limits: &Limits) -> Vec<(&'static str, Value)> {
    let value = |limits: &Limits, key| {
        let mut limits = limits.clone();
        slot(&mut limits, key).map(|(slot, _)| match slot {
            Slot::Bytes(bytes) => Value::size(*bytes as u64),
            Slot::Count(count) => Value::plain(count),
            Slot::Time(time) => Value::time(*time),
        })
    };
    let usual = Limits::default();
    let said = KEYS.map(|key| (key, value(limits, key)));
    let said = said
        .into_iter()
        .filter(|(key, said)| *said != value(&usual, key));
    said.filter_map(|(key, said)| Some((key, said?))).collect()
}

/// Whether they can be kept together; told at the first of them that was written.
fn check(walker: &mut Walker<'_>, path: &str, table: &DeTable<'_>, limits: &Limits) {
    const CONCERNED: [&str; 5] = [
        "memory_bytes",
        "retained_bytes",
        "history_bytes",
        "mailbox_bytes",
        "retained_topics",
    ];
    let Err(error) = limits.check() else { return };
    let written = CONCERNED
        .iter()
        .find_map(|key| Some((key, table.get(*key)?)));
    if let Some((key, node)) = written {
        let wrong = Wrong::new(error.to_string(), error.fix());
        walker.fault(node.span(), &format!("{path}.{key}"), wrong);
    }
}

fn take(
    walker: &mut Walker<'_>,
    path: &str,
    node: &Node<'_>,
    slot: Slot<'_>,
    [least, most]: [i64; 2],
) {
    let number = match slot {
        Slot::Time(time) => {
            if let Some(said) = walker.positive(path, node) {
                *time = said;
            }
            return;
        }
        Slot::Bytes(bytes) => walker.bytes(path, node, least, most).zip(Some(bytes)),
        Slot::Count(count) => walker.integer(path, node, least, most).zip(Some(count)),
    };
    if let Some((said, place)) = number
        && let Ok(said) = usize::try_from(said)
    {
        *place = said;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The fields, as the type itself names them.
    fn fields() -> Vec<String> {
        let debug = format!("{:#?}", Limits::default());
        let named = debug
            .lines()
            .filter_map(|line| line.trim().split_once(": "));
        named.map(|(name, _)| name.to_owned()).collect()
    }

    #[test]
    fn every_bound_has_a_key_and_stands_in_the_guide() {
        let guide = include_str!("../../../docs/guide.md");
        for field in fields() {
            assert!(KEYS.contains(&&*field), "{field} has no key");
            assert!(slot(&mut Limits::default(), &field).is_some(), "{field}");
            let row = format!("| `{field}` |");
            assert!(guide.contains(&row), "the guide's table lacks {row}");
        }
        for key in KEYS {
            assert!(fields().iter().any(|f| f == key), "{key} is no bound");
        }
    }
}
