//! The tables themselves: the list of all, and the file's own, here; the others by what they are about.

mod app;
mod bus;
mod life;
mod listen;
mod log;
mod process;
mod watch;

use super::{
    Key, Section,
    Shape::{self, Either, Flag, List, Map, Section as Of, Size, Text, Whole, Words},
};

const TEXTS: Shape = List(&Text);
const TEXT_OR_TEXTS: Shape = Either(&[Text, TEXTS]);
const COUNT: Shape = Whole(0, u32::MAX as i64);
const SHARE: Shape = Either(&[COUNT, Text]);
const NAME_OR_ID: Shape = Either(&[Text, Whole(0, u32::MAX as i64 - 1)]);
const LIMIT_VALUE: Shape = Either(&[Size, Words(&["unlimited", "infinity"])]);
const HOOK: Shape = Either(&[Flag, Text, TEXTS, Of("hook")]);
const FROM_ONE: Shape = Whole(1, u32::MAX as i64);

const fn key(
    name: &'static str,
    shape: Shape,
    default: &'static str,
    example: &'static str,
    doc: &'static str,
) -> Key {
    Key {
        name,
        shape,
        default,
        doc,
        example,
    }
}

/// Every table of the file.
pub const SECTIONS: &[Section] = &[
    Section {
        name: "file",
        header: "",
        doc: "At the top of the file.",
        keys: FILE,
    },
    Section {
        name: "app",
        header: "[app.NAME]",
        doc: "An app. `[defaults]` takes the same keys for all apps of the file and of those that it includes (but `command`, `listen` and `extends`), \
              `[template.NAME]` for the apps that extend it (but `listen`), `[app.NAME.environment.ENV]` for one environment (but `environment` and `extends`).",
        keys: app::APP,
    },
    Section {
        name: "listen",
        header: "[app.NAME.listen.SOCKET]",
        doc: "A socket with options.",
        keys: listen::LISTEN,
    },
    Section {
        name: "backoff",
        header: "[app.NAME.backoff]",
        doc: "How long to wait before a crashed slot is tried again.",
        keys: life::BACKOFF,
    },
    Section {
        name: "auto_reload",
        header: "[app.NAME.auto_reload]",
        doc: "What to watch.",
        keys: watch::AUTO_RELOAD,
    },
    Section {
        name: "rights",
        header: "[app.NAME.bus]",
        doc: "What the app's workers may do on the bus. Both lists only take away.",
        keys: bus::RIGHTS,
    },
    Section {
        name: "allowance",
        header: "[app.NAME.bus.ACTION]",
        doc: "For one action.",
        keys: bus::ALLOWANCE,
    },
    Section {
        name: "probe",
        header: "[app.NAME.ready]",
        doc: "A question that a worker is ready once it has answered: by `http`, `tcp` or `command`.",
        keys: life::PROBE,
    },
    Section {
        name: "health",
        header: "[app.NAME.health]",
        doc: "A question that ready workers must answer again and again: by `http`, `tcp` or `command`.",
        keys: life::HEALTH,
    },
    Section {
        name: "memory",
        header: "[app.NAME.max_memory]",
        doc: "How much memory a worker's own process may have. It is looked at each second.",
        keys: life::MEMORY,
    },
    Section {
        name: "canary",
        header: "[app.NAME.canary]",
        doc: "The first new workers of an update.",
        keys: life::CANARY,
    },
    Section {
        name: "cron",
        header: "[app.NAME.cron]",
        doc: "A cron expression in a time zone of its own.",
        keys: life::CRON,
    },
    Section {
        name: "hook",
        header: "[app.NAME.before_start]",
        doc: "A command beside a worker, and its time. So are `after_ready`, `before_stop` and `after_exit` written.",
        keys: life::HOOK,
    },
    Section {
        name: "limit",
        header: "[app.NAME.limits.LIMIT]",
        doc: "A resource limit whose soft and hard values differ.",
        keys: process::LIMIT,
    },
    Section {
        name: "cgroup",
        header: "[app.NAME.cgroup]",
        doc: "Limits of each worker's control group (version 2), where the master has one delegated to it; each that can't be had is warned of.",
        keys: process::CGROUP,
    },
    Section {
        name: "fd",
        header: "[app.NAME.fds.FD]",
        doc: "A file that workers find open, by its name.",
        keys: process::FD,
    },
    Section {
        name: "stdin",
        header: "[app.NAME.stdin]",
        doc: "Standard input from a declared socket.",
        keys: process::STDIN,
    },
    Section {
        name: "log",
        header: "[app.NAME.log]",
        doc: "Where workers' lines go.",
        keys: log::LOG,
    },
    Section {
        name: "rotate",
        header: "[app.NAME.log.rotate]",
        doc: "When a log file is put aside, and how much is kept.",
        keys: log::ROTATE,
    },
    Section {
        name: "bus",
        header: "[bus]",
        doc: "The master's bus. What is said here takes effect when the master starts.",
        keys: bus::BUS,
    },
    Section {
        name: "tls",
        header: "[bus.tls]",
        doc: "Files in PEM.",
        keys: bus::TLS,
    },
    Section {
        name: "history",
        header: "[[bus.history]]",
        doc: "Which topics keep their last events. Of several that a topic matches the first holds.",
        keys: bus::HISTORY,
    },
];

const FILE: &[Key] = &[
    key(
        "name",
        Text,
        "(the only app's name, else the file's or its directory's)",
        "\"shop\"",
        "The master's name.",
    ),
    key(
        "signals",
        Flag,
        "true",
        "false",
        "Heed signals (HUP, USR1, TTIN, TTOU, WINCH); if not, the master ignores all but those that end it (TERM, INT, QUIT).",
    ),
    key(
        "include",
        TEXT_OR_TEXTS,
        "[]",
        "[\"conf.d/*.toml\"]",
        "Files with more apps: paths or patterns, relative to this file.",
    ),
    key(
        "defaults",
        Of("app"),
        "(none)",
        "",
        "What holds for all apps that say nothing else.",
    ),
    key(
        "template",
        Map(&Of("app")),
        "(none)",
        "",
        "Settings for apps that extend them.",
    ),
    key("app", Map(&Of("app")), "", "", "The apps, by name."),
    key("bus", Of("bus"), "(none)", "", "The master's bus."),
];
