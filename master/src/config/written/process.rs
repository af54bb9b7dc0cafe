//! What a worker's process is and finds open, and where its lines go.

use super::{Keys, Value, word};
use crate::config::{
    app::{
        given::{FileMode, Given, GivenFile, Stdin},
        log::{LogFormat, LogSettings, LogTarget, Rotate, Rotation},
        process::{Affinity, CgroupLimits, Limit, LimitKind, LimitUnit, ProcessAttributes},
    },
    log_table,
};

pub(super) fn attributes(k: &mut Keys, attributes: &ProcessAttributes) {
    let ProcessAttributes {
        user,
        group,
        umask,
        nice,
        limits,
        cpu_affinity,
        cgroup,
    } = attributes;
    k.said("user", user.as_ref().map(|user| Value::text(&user.name)));
    k.said("group", group.as_ref().map(|group| Value::plain(group.gid)));
    k.said(
        "umask",
        umask.map(|mask| Value::Text(format!("{mask:03o}"))),
    );
    k.said("nice", nice.map(Value::plain));
    if !limits.is_empty() {
        let limits = limits.iter();
        let limits = limits.map(|(kind, value)| (kind.name().to_owned(), limit(*kind, *value)));
        k.put("limits", Value::Table(limits.collect()), false);
    }
    let affinity = cpu_affinity.as_ref().map(|affinity| match affinity {
        Affinity::Cores(cores) => Value::plains(cores),
        Affinity::PerSlot => Value::text("per-slot"),
    });
    k.said("cpu_affinity", affinity);
    let cgroup = cgroup.as_ref().map(|limits| {
        let CgroupLimits {
            memory_max,
            cpu_max,
            pids_max,
        } = limits;
        Value::table([
            ("memory_max", memory_max.map(Value::size)),
            ("cpu_max", cpu_max.map(Value::float)),
            ("pids_max", pids_max.map(Value::plain)),
        ])
    });
    k.said("cgroup", cgroup);
}

fn limit(kind: LimitKind, Limit { soft, hard }: Limit) -> Value {
    let value = |number: Option<u64>| match (number, kind.unit()) {
        (None, _) => Value::text("unlimited"),
        (Some(bytes), LimitUnit::Bytes) => Value::size(bytes),
        (Some(count), LimitUnit::Count) => Value::plain(count),
        (Some(seconds), LimitUnit::Seconds) => Value::Text(format!("{seconds}s")),
        (Some(micros), LimitUnit::Micros) => Value::time(std::time::Duration::from_micros(micros)),
    };
    match soft == hard {
        true => value(soft),
        false => Value::table([("soft", Some(value(soft))), ("hard", Some(value(hard)))]),
    }
}

pub(super) fn given(k: &mut Keys, Given { files, stdin }: &Given) {
    let files = files.as_ref().map(|files| {
        let files = files.iter().map(|GivenFile { name, path, mode }| {
            let file = Value::table([
                ("path", Some(Value::path(path))),
                ("mode", Some(word(&FileMode::WORDS, mode))),
            ]);
            (name.clone(), file)
        });
        Value::Table(files.collect())
    });
    k.said("fds", files);
    let stdin = stdin.as_ref().map(|stdin| match stdin {
        Stdin::Null => Value::text("null"),
        Stdin::Lines => Value::text("lines"),
        Stdin::Socket(name) => Value::table([("socket", Some(Value::text(name)))]),
    });
    k.said("stdin", stdin);
}

pub(super) fn log(k: &mut Keys, log: &LogSettings) {
    let LogSettings {
        out,
        err,
        format,
        prefix,
        rotate,
        compress,
    } = log;
    let format = format.map(|format| match format {
        LogFormat::Plain => Value::text("plain"),
        LogFormat::Json => Value::text("json"),
    });
    let prefix = prefix.as_ref().map(|fields| {
        Value::List(
            fields
                .iter()
                .map(|field| word(&log_table::FIELDS, field))
                .collect(),
        )
    });
    let rotate = rotate.map(|rotation| match rotation {
        Rotation::Off => Value::plain(false),
        Rotation::On(Rotate {
            size,
            age,
            keep_total,
        }) => Value::table([
            ("size", Some(Value::size(size))),
            ("age", age.map(Value::time)),
            ("keep_total", Some(Value::size(keep_total))),
        ]),
    });
    let said = Value::table([
        ("out", out.as_ref().map(target)),
        ("err", err.as_ref().map(target)),
        ("format", format),
        ("prefix", prefix),
        ("rotate", rotate),
        ("compress", compress.map(Value::plain)),
    ]);
    if *log == LogSettings::default() {
        k.put("log", Value::text("master"), true);
    } else {
        k.put("log", said, false);
    }
}

fn target(target: &LogTarget) -> Value {
    match target {
        LogTarget::Master => Value::text("master"),
        LogTarget::Null => Value::text("null"),
        LogTarget::Bus => Value::text("bus"),
        LogTarget::Journal => Value::text("journal"),
        LogTarget::File(path) => Value::path(path),
    }
}
