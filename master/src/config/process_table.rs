//! The keys of an app that say what its processes are: `user`, `group`, `umask`, `nice`, `limits`, `cpu_affinity`, `cgroup`.
//!
//! ```toml
//! user = "www-data"
//! umask = "027"
//! limits = { nofile = 4096, core = 0, as = "2GiB", nproc = { soft = 100, hard = "unlimited" } }
//! cpu_affinity = "per-slot"
//! cgroup = { memory_max = "512MiB", cpu_max = 1.5, pids_max = 200 }
//! ```

use std::{collections::BTreeMap, time::Duration};

use toml::de::DeValue;

use super::{
    accounts,
    app::process::{Affinity, CgroupLimits, Limit, LimitKind, LimitUnit, ProcessAttributes},
    errors::Wrong,
    walk::{Node, Walker},
};

/// Every key read here.
pub(super) const KEYS: [&str; 7] = [
    "user",
    "group",
    "umask",
    "nice",
    "limits",
    "cpu_affinity",
    "cgroup",
];

/// As many cores as Linux masks by default.
const MOST_CORES: i64 = 1024;

/// What a table of one limit may hold.
const LIMIT_KEYS: [&str; 2] = ["soft", "hard"];

const CGROUP_KEYS: [&str; 3] = ["memory_max", "cpu_max", "pids_max"];

/// Reads one of [`KEYS`].
pub(super) fn read(
    walker: &mut Walker<'_>,
    path: &str,
    key: &str,
    node: &Node<'_>,
    attributes: &mut ProcessAttributes,
) {
    match key {
        "user" => {
            attributes.user = name(walker, path, node)
                .and_then(|text| walker.take(path, node, accounts::user(&text)));
        }
        "group" => {
            attributes.group = name(walker, path, node)
                .and_then(|text| walker.take(path, node, accounts::group(&text)));
        }
        "umask" => attributes.umask = octal(walker, path, node, "\"027\""),
        "nice" => {
            let nice = walker.integer(path, node, -20, 19);
            attributes.nice = nice.and_then(|nice| i32::try_from(nice).ok());
        }
        "limits" => attributes.limits = limits(walker, path, node),
        "cpu_affinity" => attributes.cpu_affinity = affinity(walker, path, node),
        _ => attributes.cgroup = cgroup(walker, path, node),
    }
}

/// A user's or a group's name, or its number.
pub(super) fn name(walker: &mut Walker<'_>, path: &str, node: &Node<'_>) -> Option<String> {
    match node.get_ref() {
        // The largest number means "none" to the kernel.
        DeValue::Integer(_) => walker
            .integer(path, node, 0, i64::from(u32::MAX - 1))
            .map(|number| number.to_string()),
        _ => walker
            .string(path, node, "write a name in quotes, or a number")
            .map(str::to_owned),
    }
}

/// Permissions, or a mask of them.
pub(super) fn octal(
    walker: &mut Walker<'_>,
    path: &str,
    node: &Node<'_>,
    example: &str,
) -> Option<u32> {
    let fix = &format!("write it in octal, in quotes: {example}");
    let digits = match node.get_ref() {
        DeValue::Integer(number) if number.radix() == 8 => Some(number.as_str().to_owned()),
        DeValue::Integer(number) => {
            let wrong = Wrong::new(
                format!("{number} could be meant in octal or not"),
                fix.as_str(),
            );
            walker.fault(node.span(), path, wrong);
            return None;
        }
        _ => walker
            .string(path, node, fix)
            .map(|text| text.trim().trim_start_matches("0o").to_owned()),
    }?;
    let mask = match u32::from_str_radix(&digits, 8) {
        Ok(mask) if mask <= 0o777 => Ok(mask),
        _ => Err(Wrong::new(
            format!("{digits:?} is no octal number up to 777"),
            fix,
        )),
    };
    walker.take(path, node, mask)
}

fn limits(walker: &mut Walker<'_>, path: &str, node: &Node<'_>) -> BTreeMap<LimitKind, Limit> {
    let mut limits = BTreeMap::new();
    let fix = "write a table: { nofile = 4096, core = 0, as = \"2GiB\" }";
    let Some(table) = walker.table(path, node, fix) else {
        return limits;
    };
    for (key, node) in table {
        let name = key.get_ref().as_ref();
        let path = format!("{path}.{name}");
        match LimitKind::ALL.into_iter().find(|kind| kind.name() == name) {
            Some(kind) => {
                if let Some(limit) = limit(walker, &path, node, kind) {
                    limits.insert(kind, limit);
                }
            }
            None => {
                let known = LimitKind::ALL.map(LimitKind::name);
                walker.unknown_key(key.span(), &path, name, &known, meant(name));
            }
        }
    }
    limits
}

/// What other tools call the same limit.
fn meant(key: &str) -> Option<&'static str> {
    Some(match key {
        "open_files" | "files" | "RLIMIT_NOFILE" | "LimitNOFILE" => "nofile",
        "processes" | "procs" | "threads" | "RLIMIT_NPROC" => "nproc",
        "memory" | "virtual" | "address_space" | "RLIMIT_AS" => "as",
        "file_size" => "fsize",
        _ => return None,
    })
}

/// One value for both, or a table; what that leaves out is the other one.
fn limit(walker: &mut Walker<'_>, path: &str, node: &Node<'_>, kind: LimitKind) -> Option<Limit> {
    let DeValue::Table(table) = node.get_ref() else {
        let both = value(walker, path, node, kind)?;
        return Some(Limit {
            soft: both,
            hard: both,
        });
    };
    let (mut soft, mut hard) = (None, None);
    for (key, node) in table {
        let name = key.get_ref().as_ref();
        let path = format!("{path}.{name}");
        match name {
            "soft" => soft = Some(value(walker, &path, node, kind)?),
            "hard" => hard = Some(value(walker, &path, node, kind)?),
            _ => walker.unknown_key(key.span(), &path, name, &LIMIT_KEYS, None),
        }
    }
    let (Some(soft), Some(hard)) = (soft.or(hard), hard.or(soft)) else {
        let wrong = Wrong::new(
            "the limit has no value",
            "add soft = …, hard = …, or write one value for both",
        );
        walker.fault(node.span(), path, wrong);
        return None;
    };
    if hard.is_some_and(|hard| soft.is_none_or(|soft| soft > hard)) {
        let wrong = Wrong::new("the soft limit is above the hard one", "lower it");
        walker.fault(node.span(), path, wrong);
        return None;
    }
    Some(Limit { soft, hard })
}

/// `Some(None)` is no limit.
fn value(
    walker: &mut Walker<'_>,
    path: &str,
    node: &Node<'_>,
    kind: LimitKind,
) -> Option<Option<u64>> {
    if matches!(node.get_ref().as_str(), Some("unlimited" | "infinity")) {
        return Some(None);
    }
    let number = match kind.unit() {
        LimitUnit::Bytes => walker.bytes(path, node, 0, i64::MAX)?.unsigned_abs(),
        LimitUnit::Count => walker.integer(path, node, 0, i64::MAX)?.unsigned_abs(),
        LimitUnit::Seconds => whole(walker.duration(path, node)?, |time| time.as_secs()),
        LimitUnit::Micros => whole(walker.duration(path, node)?, |time| {
            u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
        }),
    };
    Some(Some(number))
}

/// A time in whole units; a fraction of one is one: 0 would end the process at once.
fn whole(time: Duration, units: impl Fn(Duration) -> u64) -> u64 {
    units(time).max(u64::from(!time.is_zero()))
}

fn affinity(walker: &mut Walker<'_>, path: &str, node: &Node<'_>) -> Option<Affinity> {
    let fix = "write the cores' numbers, [0, 1], or \"per-slot\" for one core per slot";
    let items = match node.get_ref() {
        DeValue::String(text) if text == "per-slot" => return Some(Affinity::PerSlot),
        DeValue::Array(items) if !items.is_empty() => items,
        _ => {
            walker.mismatch(path, node, fix);
            return None;
        }
    };
    let cores: Vec<Option<u32>> = items
        .iter()
        .enumerate()
        .map(|(i, item)| {
            let core = walker.integer(&format!("{path}[{i}]"), item, 0, MOST_CORES - 1)?;
            u32::try_from(core).ok()
        })
        .collect();
    cores
        .into_iter()
        .collect::<Option<_>>()
        .map(Affinity::Cores)
}

fn cgroup(walker: &mut Walker<'_>, path: &str, node: &Node<'_>) -> Option<CgroupLimits> {
    let fix = "write a table: { memory_max = \"512MiB\", cpu_max = 1.5, pids_max = 200 }";
    let table = walker.table(path, node, fix)?;
    let mut limits = CgroupLimits::default();
    for (key, node) in table {
        let name = key.get_ref().as_ref();
        let path = format!("{path}.{name}");
        match name {
            "memory_max" => {
                // A program doesn't fit in less.
                let bytes = walker.bytes(&path, node, 1 << 20, i64::MAX);
                limits.memory_max = bytes.map(i64::unsigned_abs);
            }
            "cpu_max" => limits.cpu_max = cores(walker, &path, node),
            "pids_max" => limits.pids_max = walker.count(&path, node, 1),
            _ => {
                let meant = match name {
                    "memory" | "memory.max" => Some("memory_max"),
                    "cpu" | "cpus" | "cpu.max" => Some("cpu_max"),
                    "pids" | "tasks" | "pids.max" => Some("pids_max"),
                    _ => None,
                };
                walker.unknown_key(key.span(), &path, name, &CGROUP_KEYS, meant);
            }
        }
    }
    Some(limits)
}

fn cores(walker: &mut Walker<'_>, path: &str, node: &Node<'_>) -> Option<f64> {
    let fix = "write a number of cores, from 0.01 up: 0.5, 2";
    let text = match node.get_ref() {
        DeValue::Integer(number) => number.to_string(),
        DeValue::Float(number) => number.to_string(),
        _ => {
            walker.mismatch(path, node, fix);
            return None;
        }
    };
    let cores = match text.parse::<f64>() {
        Ok(cores) if (0.01..=MOST_CORES as f64).contains(&cores) => Ok(cores),
        _ => Err(Wrong::new(format!("{text} is out of range"), fix)),
    };
    walker.take(path, node, cores)
}
