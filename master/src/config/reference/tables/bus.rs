//! The bus: what workers may do there, who comes in over a network, and what is kept.

use super::{FROM_ONE, TEXTS, key};
use crate::config::reference::{
    Key,
    Shape::{Duration, List, Section as Of, Size, Text},
};

pub(super) const RIGHTS: &[Key] = &[
    key(
        "emit",
        Of("allowance"),
        "{}",
        "{ deny = [\"admin.>\"] }",
        "Events they publish.",
    ),
    key(
        "retain",
        Of("allowance"),
        "{}",
        "{ allow = [\"state.*\"] }",
        "Retained values they set.",
    ),
    key(
        "request",
        Of("allowance"),
        "{}",
        "{ deny = [\"billing.>\"] }",
        "Questions they ask.",
    ),
    key(
        "serve",
        Of("allowance"),
        "{}",
        "{ allow = [\"orders.>\"] }",
        "Questions they answer.",
    ),
    key(
        "subscribe",
        Of("allowance"),
        "{}",
        "{ deny = [\"billing.>\"] }",
        "Events they hear.",
    ),
];

pub(super) const ALLOWANCE: &[Key] = &[
    key(
        "allow",
        TEXTS,
        "(everything)",
        "[\"orders.>\"]",
        "Whatever matches none of these is denied.",
    ),
    key(
        "deny",
        TEXTS,
        "[]",
        "[\"admin.>\"]",
        "Denied, even where `allow` has it too.",
    ),
];

pub(super) const BUS: &[Key] = &[
    key(
        "listen",
        Text,
        "(off)",
        "\"127.0.0.1:7400\"",
        "A TCP address for clients of other machines or users.",
    ),
    key(
        "tls",
        Of("tls"),
        "(none)",
        "{ cert = \"bus.pem\", key = \"bus.key\" }",
        "Needed beyond this machine.",
    ),
    key(
        "tokens",
        Text,
        "",
        "\"bus.tokens\"",
        "With `listen`: the file of who may come in, a line `role name token` for each.",
    ),
    key(
        "history",
        List(&Of("history")),
        "[]",
        "[{ pattern = \"orders.>\", messages = 100 }]",
        "Topics that keep their last events.",
    ),
    key(
        "limits",
        Of("limits"),
        "{}",
        "{ payload_bytes = \"4MiB\" }",
        "Bounds of the bus; the [guide](guide.md) has the table.",
    ),
];

pub(super) const TLS: &[Key] = &[
    key(
        "cert",
        Text,
        "",
        "\"bus.pem\"",
        "The certificate, and those between it and its authority.",
    ),
    key("key", Text, "", "\"bus.key\"", "Its private key."),
    key(
        "client_ca",
        Text,
        "(none)",
        "\"clients.pem\"",
        "Clients must show a certificate of one of these authorities.",
    ),
];

pub(super) const HISTORY: &[Key] = &[
    key("pattern", Text, "", "\"orders.>\"", "Which topics."),
    key("messages", FROM_ONE, "", "1000", "Events of each topic."),
    key(
        "bytes",
        Size,
        "\"1MiB\"",
        "\"64KiB\"",
        "Bytes of each topic.",
    ),
    key(
        "max_age",
        Duration,
        "(as long as there is room)",
        "\"1h\"",
        "How long.",
    ),
];
