//! The tables themselves.

use super::{
    Key, Section,
    Shape::{
        self, Any, Duration, Either, Flag, List, Map, Number, Section as Of, Size, Text, Whole,
        Words,
    },
    life_tables,
};
use crate::config::settings::MOST_INSTANCES;

const TEXTS: Shape = List(&Text);
pub(super) const TEXT_OR_TEXTS: Shape = Either(&[Text, TEXTS]);
const COUNT: Shape = Whole(0, u32::MAX as i64);
const SHARE: Shape = Either(&[COUNT, Text]);
const NAME_OR_ID: Shape = Either(&[Text, Whole(0, u32::MAX as i64 - 1)]);
const LIMIT_VALUE: Shape = Either(&[Size, Words(&["unlimited", "infinity"])]);
const HOOK: Shape = Either(&[Flag, Text, TEXTS, Of("hook")]);
pub(super) const FROM_ONE: Shape = Whole(1, u32::MAX as i64);

pub(super) const fn key(
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
        keys: APP,
    },
    Section {
        name: "listen",
        header: "[app.NAME.listen.SOCKET]",
        doc: "A socket with options.",
        keys: LISTEN,
    },
    Section {
        name: "backoff",
        header: "[app.NAME.backoff]",
        doc: "How long to wait before a crashed slot is tried again.",
        keys: BACKOFF,
    },
    Section {
        name: "auto_reload",
        header: "[app.NAME.auto_reload]",
        doc: "What to watch.",
        keys: AUTO_RELOAD,
    },
    Section {
        name: "rights",
        header: "[app.NAME.bus]",
        doc: "What the app's workers may do on the bus. Both lists only take away.",
        keys: RIGHTS,
    },
    Section {
        name: "allowance",
        header: "[app.NAME.bus.ACTION]",
        doc: "For one action.",
        keys: ALLOWANCE,
    },
    Section {
        name: "probe",
        header: "[app.NAME.ready]",
        doc: "A question that a worker is ready once it has answered: by `http`, `tcp` or `command`.",
        keys: life_tables::PROBE,
    },
    Section {
        name: "health",
        header: "[app.NAME.health]",
        doc: "A question that ready workers must answer again and again: by `http`, `tcp` or `command`.",
        keys: life_tables::HEALTH,
    },
    Section {
        name: "memory",
        header: "[app.NAME.max_memory]",
        doc: "How much memory a worker's own process may have. It is looked at each second.",
        keys: life_tables::MEMORY,
    },
    Section {
        name: "canary",
        header: "[app.NAME.canary]",
        doc: "The first new workers of an update.",
        keys: life_tables::CANARY,
    },
    Section {
        name: "cron",
        header: "[app.NAME.cron]",
        doc: "A cron expression in a time zone of its own.",
        keys: life_tables::CRON,
    },
    Section {
        name: "hook",
        header: "[app.NAME.before_start]",
        doc: "A command beside a worker, and its time. So are `after_ready`, `before_stop` and `after_exit` written.",
        keys: life_tables::HOOK,
    },
    Section {
        name: "limit",
        header: "[app.NAME.limits.LIMIT]",
        doc: "A resource limit whose soft and hard values differ.",
        keys: LIMIT,
    },
    Section {
        name: "cgroup",
        header: "[app.NAME.cgroup]",
        doc: "Limits of each worker's control group (version 2), where the master has one delegated to it; each that can't be had is warned of.",
        keys: CGROUP,
    },
    Section {
        name: "fd",
        header: "[app.NAME.fds.FD]",
        doc: "A file that workers find open, by its name.",
        keys: FD,
    },
    Section {
        name: "stdin",
        header: "[app.NAME.stdin]",
        doc: "Standard input from a declared socket.",
        keys: STDIN,
    },
    Section {
        name: "log",
        header: "[app.NAME.log]",
        doc: "Where workers' lines go.",
        keys: LOG,
    },
    Section {
        name: "rotate",
        header: "[app.NAME.log.rotate]",
        doc: "When a log file is put aside, and how much is kept.",
        keys: ROTATE,
    },
    Section {
        name: "bus",
        header: "[bus]",
        doc: "The master's bus. What is said here takes effect when the master starts.",
        keys: BUS,
    },
    Section {
        name: "tls",
        header: "[bus.tls]",
        doc: "Files in PEM.",
        keys: TLS,
    },
    Section {
        name: "history",
        header: "[[bus.history]]",
        doc: "Which topics keep their last events. Of several that a topic matches the first holds.",
        keys: HISTORY,
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

const APP: &[Key] = &[
    key(
        "command",
        TEXT_OR_TEXTS,
        "",
        "[\"node\", \"server.js\"]",
        "Program and arguments. A string is split at blanks, or given to `/bin/sh -c` if only a shell understands it.",
    ),
    key(
        "extends",
        Text,
        "(nothing)",
        "\"node\"",
        "A template or another app, whose settings hold where this one says nothing. Not `listen`.",
    ),
    key(
        "cwd",
        Text,
        "(the file's directory)",
        "\"web\"",
        "Working directory, relative to the file's.",
    ),
    key(
        "env",
        Map(&Any),
        "{}",
        "{ NODE_ENV = \"production\" }",
        "Variables. Numbers and truth values are taken as text, tables and arrays as JSON.",
    ),
    key(
        "env_file",
        TEXT_OR_TEXTS,
        "[]",
        "[]",
        "Files of variables, in dotenv syntax; later ones win, `env` over all. One that is missing is an error.",
    ),
    key(
        "env_clear",
        Flag,
        "false",
        "true",
        "Inherit nothing of the master's environment but what `env_allow` names.",
    ),
    key(
        "env_allow",
        TEXTS,
        "(everything)",
        "[\"PATH\", \"LC_*\"]",
        "Inherit only variables that match.",
    ),
    key(
        "env_deny",
        TEXTS,
        "[]",
        "[\"AWS_*\"]",
        "Don't inherit variables that match, whatever `env_allow` says.",
    ),
    key(
        "environment",
        Map(&Of("app")),
        "{}",
        "",
        "What holds instead in a named environment, chosen with `--env NAME`.",
    ),
    key(
        "instances",
        Either(&[
            Whole(-(MOST_INSTANCES as i64), MOST_INSTANCES as i64),
            Words(&["auto", "max"]),
            Text,
        ]),
        "\"auto\"",
        "4",
        "How many workers. `auto`: one per core; -1: one fewer, at least one; 0: a parked app.",
    ),
    key(
        "namespace",
        Text,
        "(none)",
        "\"shop\"",
        "What the app belongs to: commands take this word for all of its apps (`ostler restart shop`).",
    ),
    key(
        "autostart",
        Flag,
        "true",
        "false",
        "Start with the master; else by `ostler start`.",
    ),
    key(
        "start_parallel",
        FROM_ONE,
        "1",
        "4",
        "How many workers may start at once. With 1 each is ready before the next.",
    ),
    key(
        "priority",
        Whole(-1_000_000, 1_000_000),
        "0",
        "10",
        "Apps of a higher priority have started, or failed to, before those of a lower one begin.",
    ),
    key(
        "depends_on",
        TEXT_OR_TEXTS,
        "[]",
        "[]",
        "Apps that must be ready before this one begins. One that is stopped or has no instances is not waited for.",
    ),
    key(
        "listen",
        Either(&[TEXT_OR_TEXTS, Map(&Either(&[Text, Of("listen")]))]),
        "[]",
        "{ http = \":8080\" }",
        "Sockets that the master binds and all workers inherit, from descriptor 3 on: an address, several, or a table of names.",
    ),
    key(
        "ready",
        Either(&[Text, Of("probe")]),
        "\"auto\"",
        "\"notify\"",
        "How a worker is found ready: `auto`, `notify`, `sdk`, `delay(2s)`, `http(ADDRESS PATH)`, `tcp(ADDRESS)`, or a table.",
    ),
    key(
        "start_timeout",
        Duration,
        "\"30s\"",
        "\"1m\"",
        "A worker that is not ready after this long has failed to start.",
    ),
    key(
        "min_healthy",
        Duration,
        "(1 s, or 5 s if readiness is assumed)",
        "\"2s\"",
        "How long a new worker must stay up before its predecessor drains.",
    ),
    key(
        "canary_healthy",
        Duration,
        "(twice `min_healthy`)",
        "\"10s\"",
        "The same for the first new worker of an update.",
    ),
    key(
        "min_uptime",
        Duration,
        "\"5s\"",
        "\"10s\"",
        "A worker that was up for this long has not crashed early.",
    ),
    key(
        "max_draining",
        FROM_ONE,
        "(2, or a quarter)",
        "1",
        "How many replaced workers may drain at once.",
    ),
    key(
        "strategy",
        Words(&["surge", "replace", "all_at_once"]),
        "\"surge\"",
        "\"replace\"",
        "How an update replaces workers. `surge`: the new one comes beside the old one. `replace`: a slot's old one is gone before its new one starts. \
         `all_at_once`: all old ones are gone before the first new one starts.",
    ),
    key(
        "max_surge",
        SHARE,
        "1",
        "\"25%\"",
        "With `surge`: how many workers there may be beyond `instances`, those that drain aside. A percentage is rounded up.",
    ),
    key(
        "max_unavailable",
        SHARE,
        "(0, or 1 with `replace`)",
        "\"25%\"",
        "How many instances may be missing during an update. A percentage is rounded down.",
    ),
    key(
        "canary",
        Either(&[COUNT, Text, Of("canary")]),
        "1",
        "\"10%\"",
        "How many new workers an update watches for `canary_healthy` before it goes on to the others; a table says what they must prove.",
    ),
    key(
        "on_failure",
        Words(&["keep_old", "rollback"]),
        "\"keep_old\"",
        "\"rollback\"",
        "What becomes of slots that were replaced before an update failed: they stay new, or go back to what they were.",
    ),
    key(
        "kill_ladder",
        TEXTS,
        "[\"TERM:30s\", \"KILL\"]",
        "[\"INT:3s\", \"TERM:2s\", \"KILL\"]",
        "What a worker that must go is told, and how long each time.",
    ),
    key(
        "backoff",
        Of("backoff"),
        "{ first = \"100ms\", max = \"30s\", factor = 1.5 }",
        "{ first = \"1s\" }",
        "How long to wait before a crashed slot is tried again.",
    ),
    key(
        "max_restarts",
        COUNT,
        "16",
        "5",
        "After so many failed starts or early crashes within `restart_window` a slot is failed; it is tried again every `retry_failed`.",
    ),
    key(
        "restart_window",
        Duration,
        "\"10m\"",
        "\"1h\"",
        "How long failures are counted.",
    ),
    key(
        "stop_exit_codes",
        List(&Whole(0, 255)),
        "[]",
        "[0]",
        "Exit codes that end a worker for good.",
    ),
    key(
        "listen_pid",
        Flag,
        "true",
        "false",
        "Set `LISTEN_PID`. A wrapper that starts the program as another process makes it wrong.",
    ),
    key(
        "auto_reload",
        Either(&[Flag, TEXTS, Of("auto_reload")]),
        "false",
        "[\"src\"]",
        "Replace the workers when files change: in the working directory, or these paths.",
    ),
    key(
        "watchdog",
        Duration,
        "(off)",
        "\"10s\"",
        "A ready worker that isn't heard of for so long (`WATCHDOG=1`, or the SDK) is hung. 0: off.",
    ),
    key(
        "health",
        Either(&[Flag, Of("health")]),
        "false",
        "{ http = \"/health\", port = 8100 }",
        "Ready workers are asked whether they are well; false: they are not.",
    ),
    key(
        "hang_signal",
        Text,
        "\"ABRT\"",
        "\"QUIT\"",
        "What a hung worker is sent first, so that it can leave a trace.",
    ),
    key(
        "hang_grace",
        Duration,
        "\"5s\"",
        "\"1s\"",
        "How long it has for that; then it is killed.",
    ),
    key(
        "restart",
        Words(&["always", "on_crash", "never"]),
        "(\"always\", or \"on_crash\" with `oneshot`)",
        "\"on_crash\"",
        "After which ends of its worker a slot gets another.",
    ),
    key(
        "fatal_exit_codes",
        List(&Whole(0, 255)),
        "[]",
        "[78]",
        "A worker that exits like this before it is ready can't boot: the master stops with that code.",
    ),
    key(
        "retry_failed",
        Either(&[Duration, Words(&["never"])]),
        "\"5m\"",
        "\"never\"",
        "How long a failed slot rests before it is tried once more.",
    ),
    key(
        "oneshot",
        Flag,
        "false",
        "true",
        "Its workers do something and end: one has started well when it has exited with 0.",
    ),
    key(
        "max_memory",
        Either(&[Size, Of("memory")]),
        "(any amount)",
        "\"300MiB\"",
        "A worker whose own process has more is replaced like in an update. 0: any amount.",
    ),
    key(
        "max_age",
        Duration,
        "(any age)",
        "\"1d\"",
        "A worker that is older is replaced like in an update; up to a fifth is added at random. 0: any age.",
    ),
    key(
        "max_requests",
        Whole(0, i64::MAX),
        "(any number)",
        "10000",
        "A worker that has served more is replaced like in an update; up to a fifth is added at random. It counts them itself, with the SDK: other programs can't. 0: any number.",
    ),
    key(
        "idle_timeout",
        Duration,
        "(for ever)",
        "\"10m\"",
        "A worker that has served something, but nothing for so long, is replaced like in an update. It counts itself, as for `max_requests`. 0: for ever.",
    ),
    key(
        "cron",
        Either(&[Flag, Text, Of("cron")]),
        "false",
        "\"0 4 * * *\"",
        "When all its workers are replaced like in an update, one after the other; when a `oneshot` app begins again. By the machine's clock; false: never.",
    ),
    key(
        "stop_signal",
        Text,
        "\"TERM\"",
        "\"INT\"",
        "The signal of the ladder's first rung; the short form of a `kill_ladder` that begins with it.",
    ),
    key(
        "stop_message",
        Text,
        "(none)",
        "\"shutdown\"",
        "A line for the worker's standard input instead of the first signal (then `stdin` is `\"lines\"`). One on the bus is asked there all the same. \"\": none.",
    ),
    key(
        "kill_group",
        Flag,
        "false",
        "true",
        "The ladder's signals go to the worker's whole process group, and not only KILL.",
    ),
    key(
        "before_start",
        HOOK,
        "(none)",
        "\"bin/migrate\"",
        "A command that is run before a worker is started; if it fails, so has the start. false: none.",
    ),
    key(
        "after_ready",
        HOOK,
        "(none)",
        "[\"bin/register\", \"{slot}\"]",
        "A command that is run when a worker has become ready. A failure is told, and changes nothing.",
    ),
    key(
        "before_stop",
        HOOK,
        "(none)",
        "{ command = \"bin/deregister\", timeout = \"5s\" }",
        "A command that is run when a ready worker is to go, before it hears of it. A failure is told, and the stop goes on.",
    ),
    key(
        "after_exit",
        HOOK,
        "(none)",
        "\"bin/clean-up\"",
        "A command that is run when a worker has ended or could not be started; its slot's next worker waits for it. A failure is told.",
    ),
    key(
        "bus",
        Of("rights"),
        "{}",
        "{ emit = { deny = [\"admin.>\"] } }",
        "What its workers may do on the bus.",
    ),
    key(
        "user",
        NAME_OR_ID,
        "(the master's)",
        "0",
        "Whose processes the workers are: a name or a number. Needs a master that is root.",
    ),
    key("group", NAME_OR_ID, "(the user's)", "0", "Their group."),
    key(
        "umask",
        Text,
        "(the master's)",
        "\"027\"",
        "Which rights new files don't get, in octal.",
    ),
    key(
        "nice",
        Whole(-20, 19),
        "(the master's)",
        "5",
        "How far they give way to others.",
    ),
    key(
        "limits",
        Map(&Either(&[LIMIT_VALUE, Of("limit")])),
        "{}",
        "{ nofile = 4096, core = 0, as = \"2GiB\" }",
        "Resource limits, by the names of `ulimit` and systemd: `as core cpu data fsize locks memlock msgqueue nice nofile nproc rss rtprio rttime sigpending stack`.",
    ),
    key(
        "cpu_affinity",
        Either(&[Words(&["per-slot"]), List(&Whole(0, 1023))]),
        "(the master's)",
        "[0]",
        "On which cores they run; \"per-slot\": each slot on one.",
    ),
    key(
        "cgroup",
        Of("cgroup"),
        "(none)",
        "{ memory_max = \"512MiB\" }",
        "Limits of each worker's control group.",
    ),
    key(
        "fds",
        Map(&Either(&[Text, Of("fd")])),
        "(none)",
        "{ data = { path = \"data.log\", mode = \"append\" } }",
        "Files that workers find open (`OSTLER_FD_NAME`, `{fd:NAME}`); a path alone is opened for reading.",
    ),
    key(
        "stdin",
        Either(&[Words(&["null", "lines"]), Of("stdin")]),
        "(\"null\")",
        "\"lines\"",
        "Standard input: nothing, what `ostler send` sends, or a socket.",
    ),
    key(
        "log",
        Either(&[Text, Of("log")]),
        "(\"master\")",
        "\"logs/{app}.log\"",
        "Where workers' lines go: a file for all, or a table.",
    ),
];

const LIMIT: &[Key] = &[
    key("soft", LIMIT_VALUE, "(the master's)", "1024", "What holds."),
    key(
        "hard",
        LIMIT_VALUE,
        "(the master's)",
        "\"unlimited\"",
        "How far the worker may raise it.",
    ),
];

const CGROUP: &[Key] = &[
    key(
        "memory_max",
        Size,
        "(none)",
        "\"512MiB\"",
        "Memory of a worker with all that it starts.",
    ),
    key(
        "cpu_max",
        Number(0.01, 1024.0),
        "(none)",
        "1.5",
        "Processor time, in cores.",
    ),
    key(
        "pids_max",
        FROM_ONE,
        "(none)",
        "200",
        "Processes and threads.",
    ),
];

const FD: &[Key] = &[
    key(
        "path",
        Text,
        "",
        "\"data.log\"",
        "The file, relative to the process file.",
    ),
    key(
        "mode",
        Words(&["read", "write", "append", "read-write"]),
        "\"read\"",
        "\"append\"",
        "How it is opened: to be read with the master's rights, otherwise with the worker's own, and made if there is none.",
    ),
];

const STDIN: &[Key] = &[key(
    "socket",
    Text,
    "",
    "\"x\"",
    "The name of a socket in `listen`.",
)];

const LOG: &[Key] = &[
    key(
        "out",
        Text,
        "(\"master\")",
        "\"logs/{app}-{slot}.out\"",
        "Standard output: a path, \"master\" (the master's log), \"journal\" (systemd's), \"bus\" (only `ostler logs` and listeners) or \"null\".",
    ),
    key(
        "err",
        Text,
        "(where `out` goes)",
        "\"logs/{app}-{slot}.err\"",
        "Standard error.",
    ),
    key(
        "format",
        Words(&["plain", "json"]),
        "(\"plain\")",
        "\"json\"",
        "Lines as they are, or one JSON object each with time, app, slot, pid and stream.",
    ),
    key(
        "prefix",
        List(&Words(&["time", "slot", "pid", "stream"])),
        "(none)",
        "[\"time\", \"slot\"]",
        "What stands before a plain line.",
    ),
    key(
        "rotate",
        Either(&[Flag, Of("rotate")]),
        "(by size)",
        "{ age = \"1d\" }",
        "When files are put aside; false: something else does it, and sends SIGUSR1.",
    ),
    key(
        "compress",
        Flag,
        "(false)",
        "true",
        "Compress what was put aside (gzip).",
    ),
];

const ROTATE: &[Key] = &[
    key("size", Size, "\"10MiB\"", "\"1MiB\"", "At this size."),
    key("age", Duration, "(never)", "\"1d\"", "At this age."),
    key(
        "keep_total",
        Size,
        "\"100MiB\"",
        "\"1GiB\"",
        "All files of the app together: the oldest go when there are more.",
    ),
];

const LISTEN: &[Key] = &[
    key(
        "address",
        Text,
        "",
        "\"127.0.0.1:8080\"",
        "`127.0.0.1:8080`, `[::1]:8080`, `:8080` (every IPv4 address), `[::]:8080` (every address), `8080` (127.0.0.1); `udp:` before one of \
         these; `unix:PATH`; `fd:NAME` or `fd:3`, a socket that the master's own starter passed on.",
    ),
    key(
        "backlog",
        FROM_ONE,
        "1024",
        "128",
        "Pending connections that the kernel keeps, at most `net.core.somaxconn`.",
    ),
    key(
        "nonblocking",
        Flag,
        "false",
        "true",
        "`O_NONBLOCK`. It belongs to the socket, not to a worker's descriptor: one worker's change is everyone's.",
    ),
    key(
        "type",
        Words(&["stream", "datagram", "seqpacket"]),
        "\"stream\"",
        "\"datagram\"",
        "What it carries; `datagram` at an IP address is UDP, `seqpacket` is for Unix sockets.",
    ),
    key(
        "per_slot",
        Flag,
        "false",
        "true",
        "A socket for each slot alone, at this port plus the slot's number; with port 0, any free one.",
    ),
    key(
        "v6_only",
        Flag,
        "false",
        "true",
        "Of an IPv6 address: IPv4 stays out of `[::]`.",
    ),
    key(
        "defer_accept",
        Duration,
        "(off)",
        "\"5s\"",
        "TCP: workers see a connection when its first bytes are there, or after this time; whole seconds, at most 120 (`TCP_DEFER_ACCEPT`).",
    ),
    key(
        "fast_open",
        FROM_ONE,
        "(off)",
        "256",
        "TCP Fast Open, for so many connections that are not established yet; `net.ipv4.tcp_fastopen` must allow it to servers.",
    ),
    key(
        "interface",
        Text,
        "(any)",
        "\"eth0\"",
        "Only what comes in on this network interface (`SO_BINDTODEVICE`).",
    ),
    key(
        "transparent",
        Flag,
        "false",
        "true",
        "Addresses that aren't the machine's own (`IP_TRANSPARENT`); needs the right `CAP_NET_ADMIN`.",
    ),
    key(
        "permissions",
        Text,
        "(what the master's umask leaves)",
        "\"0660\"",
        "Of a Unix socket's file, in octal; who may not write to it can't connect.",
    ),
    key(
        "owner",
        NAME_OR_ID,
        "(the master's user)",
        "\"root\"",
        "Whose a Unix socket's file is.",
    ),
    key(
        "group",
        NAME_OR_ID,
        "(the master's group)",
        "\"root\"",
        "The group of a Unix socket's file.",
    ),
    key(
        "mode",
        Words(&["auto", "shared", "balanced", "slot", "sticky"]),
        "\"auto\"",
        "\"balanced\"",
        "How workers share its connections: `shared`, each accepts for itself; `balanced`, the master accepts, and hands each to the ready worker \
         with the fewest open ones (workers with the Rust SDK; others go on accepting for themselves); `slot`, the kernel spreads them over a queue for each slot; \
         `sticky`, the same, by the client's address; `auto`, `balanced` for workers that can, `shared` for the rest.",
    ),
    key(
        "max_connections",
        FROM_ONE,
        "(any number)",
        "1000",
        "With `mode = \"balanced\"`: how many connections a worker has open at most. Others wait in the kernel's queue.",
    ),
];

const BACKOFF: &[Key] = &[
    key("first", Duration, "\"100ms\"", "\"1s\"", "The first delay."),
    key("max", Duration, "\"30s\"", "\"5m\"", "The longest."),
    key(
        "factor",
        Number(1.0, 10.0),
        "1.5",
        "2",
        "Each is this many times the one before, with jitter.",
    ),
];

const AUTO_RELOAD: &[Key] = &[
    key(
        "paths",
        TEXTS,
        "[]",
        "[\"src\"]",
        "Files and directories; none: the working directory.",
    ),
    key(
        "include",
        TEXTS,
        "(everything)",
        "[\"*.py\"]",
        "Patterns as in `.gitignore`: only what matches one of them counts.",
    ),
    key(
        "ignore",
        TEXTS,
        "[]",
        "[\"*.log\"]",
        "Patterns as in `.gitignore`, beside those of `.gitignore` files.",
    ),
    key(
        "poll",
        Duration,
        "(the kernel tells)",
        "\"2s\"",
        "Look so often instead: for NFS, and overlays that others write to.",
    ),
];

const RIGHTS: &[Key] = &[
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

const ALLOWANCE: &[Key] = &[
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

const BUS: &[Key] = &[
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

const TLS: &[Key] = &[
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

const HISTORY: &[Key] = &[
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
