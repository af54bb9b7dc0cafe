//! How workers are found ready, looked after, replaced and ended.

use super::{Keys, Value, some};
use crate::config::{
    app::{
        Backoff, Readiness, Rung,
        hooks::{Hook, HookKind, Hooks},
        life::{Health, Life, Restart},
        probe::{Check, Probe, Target},
        recycle::{MemoryLimit, Recycle},
        stop::Stop,
    },
    signal, units,
};

pub(super) fn ready(ready: &Readiness) -> Value {
    match ready {
        Readiness::Auto | Readiness::Notify | Readiness::Sdk => Value::text(ready),
        Readiness::Delay(time) => match Value::time(*time) {
            Value::Text(time) => Value::Text(format!("delay({time})")),
            other => other,
        },
        Readiness::Probe(asked) => Value::Table(probe(asked)),
    }
}

fn probe(probe: &Probe) -> Vec<(String, Value)> {
    let Probe {
        check,
        interval,
        timeout,
    } = probe;
    let at = |target: &Target| match target {
        Target::Port(port) => ("port", Value::plain(port)),
        Target::Address(address) => ("address", Value::text(address)),
    };
    let mut keys = match check {
        Check::Http {
            at: target,
            path,
            status,
        } => {
            let status = some(status, Value::plains).map(|status| ("status", status));
            let keys = [("http", Value::text(path)), at(target)];
            keys.into_iter().chain(status).collect::<Vec<_>>()
        }
        Check::Tcp { at: target } => vec![("tcp", Value::plain(true)), at(target)],
        Check::Command { command } => vec![("command", Value::command(command))],
    };
    keys.push(("interval", Value::time(*interval)));
    keys.push(("timeout", Value::time(*timeout)));
    keys.into_iter()
        .map(|(key, value)| (key.to_owned(), value))
        .collect()
}

pub(super) fn ladder(rungs: &[Rung]) -> Value {
    let rungs = rungs.iter().map(|Rung { signal, wait }| {
        let name = signal::name(*signal);
        match wait {
            Some(wait) => format!("{name}:{}", units::exact(*wait)),
            None => name,
        }
    });
    Value::texts(rungs)
}

pub(super) fn backoff(Backoff { first, max, factor }: &Backoff) -> Value {
    Value::table([
        ("first", Some(Value::time(*first))),
        ("max", Some(Value::time(*max))),
        ("factor", Some(Value::float(*factor))),
    ])
}

pub(super) fn life(k: &mut Keys, life: &Life, usual: &Life) {
    let Life {
        watchdog,
        health,
        hang_signal,
        hang_grace,
        restart,
        fatal_exit_codes,
        retry_failed,
        oneshot,
    } = life;
    k.said("watchdog", watchdog.map(Value::time));
    k.said("health", health.as_ref().map(asked));
    let hang = signal::name(*hang_signal);
    k.put(
        "hang_signal",
        Value::text(hang),
        *hang_signal == usual.hang_signal,
    );
    k.put(
        "hang_grace",
        Value::time(*hang_grace),
        *hang_grace == usual.hang_grace,
    );
    let (policy, by_itself) = match (restart, oneshot) {
        (Restart::Always, oneshot) => ("always", !oneshot),
        (Restart::OnCrash, oneshot) => ("on_crash", *oneshot),
        (Restart::Never, _) => ("never", false),
    };
    k.put("restart", Value::text(policy), by_itself);
    k.said("fatal_exit_codes", some(fatal_exit_codes, Value::plains));
    let retry = retry_failed.map_or(Value::text("never"), Value::time);
    k.put("retry_failed", retry, *retry_failed == usual.retry_failed);
    k.put("oneshot", Value::plain(oneshot), !oneshot);
}

fn asked(
    Health {
        probe: how,
        failures,
    }: &Health,
) -> Value {
    let mut keys = probe(how);
    keys.push(("failures".to_owned(), Value::plain(failures)));
    Value::Table(keys)
}

pub(super) fn recycle(k: &mut Keys, recycle: &Recycle) {
    let Recycle {
        max_memory,
        max_age,
        max_requests,
        idle_timeout,
        cron,
    } = recycle;
    let memory = max_memory.map(|MemoryLimit { soft, hard }| match hard {
        None => Value::size(soft),
        Some(hard) => Value::table([
            ("soft", Some(Value::size(soft))),
            ("hard", Some(Value::size(hard))),
        ]),
    });
    k.said("max_memory", memory);
    k.said("max_age", max_age.map(Value::time));
    k.said("max_requests", max_requests.map(Value::plain));
    k.said("idle_timeout", idle_timeout.map(Value::time));
    let cron = cron.as_ref().map(|schedule| match schedule.zone() {
        None => Value::text(schedule.expression()),
        Some(zone) => Value::table([
            ("at", Some(Value::text(schedule.expression()))),
            ("timezone", Some(Value::text(zone))),
        ]),
    });
    k.said("cron", cron);
}

pub(super) fn stop(
    k: &mut Keys,
    Stop {
        message,
        kill_group,
    }: &Stop,
) {
    k.said("stop_message", message.as_ref().map(Value::text));
    k.put("kill_group", Value::plain(kill_group), !kill_group);
}

pub(super) fn hooks(k: &mut Keys, hooks: &Hooks) {
    for kind in HookKind::ALL {
        let hook = hooks.of(kind).map(|Hook { command, timeout }| {
            Value::table([
                ("command", Some(Value::command(command))),
                ("timeout", Some(Value::time(*timeout))),
            ])
        });
        k.said(kind.name(), hook);
    }
}
