//! The keys of an app that say when its workers are replaced although they serve.

use toml::de::DeValue;

use super::{
    app::{
        AppDefinition, Readiness,
        recycle::{Cron, MemoryLimit, RecycleSettings},
        schedule::Schedule,
    },
    errors::Wrong,
    walk::{Node, Walker},
};

/// Reads one of these keys; false if it is another.
pub(super) fn take(
    walker: &mut Walker<'_>,
    name: &str,
    path: &str,
    node: &Node<'_>,
    recycle: &mut RecycleSettings,
) -> bool {
    match name {
        "max_memory" => recycle.max_memory = memory(walker, path, node),
        "max_age" => recycle.max_age = walker.duration(path, node),
        "max_requests" => {
            let requests = walker.integer(path, node, 0, i64::MAX);
            recycle.max_requests = requests.and_then(|requests| u64::try_from(requests).ok());
        }
        "idle_timeout" => recycle.idle_timeout = walker.duration(path, node),
        "cron" => recycle.cron = cron(walker, path, node),
        _ => return false,
    }
    true
}

/// A size, or a soft and a hard one.
fn memory(walker: &mut Walker<'_>, path: &str, node: &Node<'_>) -> Option<MemoryLimit> {
    let Some(table) = node.get_ref().as_table() else {
        let soft = size(walker, path, node)?;
        return Some(MemoryLimit { soft, hard: None });
    };
    let (mut soft, mut hard) = (None, None);
    for (key, value) in table {
        let name = key.get_ref().as_ref();
        let path = format!("{path}.{name}");
        match name {
            "soft" => soft = Some(size(walker, &path, value)?),
            "hard" => hard = Some(size(walker, &path, value)?),
            _ => walker.unknown_key(key.span(), &path, name, &["soft", "hard"], None),
        }
    }
    let limit = match (soft.or(hard), hard) {
        (Some(soft), hard) if hard.is_none_or(|hard| soft <= hard) => {
            Ok(MemoryLimit { soft, hard })
        }
        (Some(_), _) => Err(Wrong::new(
            "`soft` is above `hard`",
            "make `hard` at least as large",
        )),
        (None, _) => Err(Wrong::new(
            "there is no limit in it",
            "write \"300MiB\", or { soft = \"300MiB\", hard = \"500MiB\" }",
        )),
    };
    walker.take(path, node, limit)
}

fn size(walker: &mut Walker<'_>, path: &str, node: &Node<'_>) -> Option<u64> {
    walker
        .bytes(path, node, 0, i64::MAX)
        .and_then(|bytes| u64::try_from(bytes).ok())
}

/// An expression, alone or with a time zone; or false.
fn cron(walker: &mut Walker<'_>, path: &str, node: &Node<'_>) -> Option<Cron> {
    let fix =
        "write \"0 4 * * *\", { at = \"0 4 * * *\", timezone = \"Europe/Helsinki\" }, or false";
    let (mut at, mut zone) = (None, None);
    match node.get_ref() {
        DeValue::Boolean(false) => return Some(Cron::Off),
        DeValue::Table(table) => {
            for (key, value) in table {
                let name = key.get_ref().as_ref();
                let path = format!("{path}.{name}");
                match name {
                    "at" => at = Some(walker.string(&path, value, fix)?),
                    "timezone" => zone = Some(walker.string(&path, value, fix)?),
                    _ => walker.unknown_key(key.span(), &path, name, &["at", "timezone"], None),
                }
            }
        }
        _ => at = Some(walker.string(path, node, fix)?),
    }
    let Some(at) = at else {
        walker.misfit(node.span(), path, Wrong::new("it doesn't say when", fix));
        return None;
    };
    walker
        .take(path, node, Schedule::new(at, zone))
        .map(Cron::On)
}

/// What is hardly meant: to count the requests of a program that shows by its readiness that it is on no bus.
pub(super) fn warning(app: &AppDefinition) -> Option<String> {
    let key = app.recycle.counted_by()?;
    let ready = match app.ready {
        Readiness::Notify | Readiness::Delay(_) | Readiness::Probe(_) => &app.ready,
        Readiness::Auto | Readiness::Sdk => return None,
    };
    let name = &app.name;
    Some(format!(
        "app.{name}.{key}: requests are counted by workers themselves, with the SDK; with ready = {ready} none may, and then it does nothing"
    ))
}
