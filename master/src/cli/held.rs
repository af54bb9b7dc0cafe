//! What a worker that drains has still to finish, in words.

/// "2 connections, 1 request"; of one that doesn't count requests: "3 connections".
pub(super) fn held(held: u64, requests: Option<u64>) -> String {
    let some = |count: u64, what: &str| match count {
        1 => format!("1 {what}"),
        _ => format!("{count} {what}s"),
    };
    match requests {
        Some(requests) => format!(
            "{}, {}",
            some(held, "connection"),
            some(requests, "request")
        ),
        None => some(held, "connection"),
    }
}
