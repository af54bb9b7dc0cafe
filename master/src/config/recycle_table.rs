//! The keys of an app that say when its workers are replaced although they serve.

use super::{
    app::recycle::{MemoryLimit, RecycleSettings},
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
