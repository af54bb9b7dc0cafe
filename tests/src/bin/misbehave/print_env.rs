//! Shows what a worker was given, as JSON.
//!
//! Everything is read before this process changes anything of it, with one exception: Rust's start-up ignores SIGPIPE
//! (bit 12 of `SigIgn`), so that one bit says nothing about the parent.

use std::{collections::BTreeMap, fs, path::Path};

use serde_json::{Value, json};

/// Writes to a file (which appears complete, by renaming) or to stdout on one line.
pub(super) fn print(file: Option<&str>) -> Result<(), String> {
    let text = shown().map_err(|e| e.to_string())?.to_string();
    let Some(file) = file else {
        println!("{text}");
        return Ok(());
    };
    let part = format!("{file}.{}.part", std::process::id());
    fs::write(&part, text + "\n").map_err(|e| format!("{part}: {e}"))?;
    fs::rename(&part, file).map_err(|e| format!("{file}: {e}"))
}

fn shown() -> std::io::Result<Value> {
    let lossy = |s: std::ffi::OsString| s.to_string_lossy().into_owned();
    let env: BTreeMap<String, String> = std::env::vars_os()
        .map(|(name, value)| (lossy(name), lossy(value)))
        .collect();
    let status = fs::read_to_string("/proc/self/status")?;
    let field = |name: &str| {
        let line = status
            .lines()
            .find_map(|l| l.strip_prefix(name)?.strip_prefix(':'));
        line.map(|value| value.trim().to_owned())
    };
    // Not by system call: where session or group began outside of this process's pid namespace (a container that was
    // entered), the kernel says 0, which is no pid. Innermost namespace last.
    let innermost = |name: &str| {
        field(name)?
            .split_whitespace()
            .next_back()?
            .parse::<u32>()
            .ok()
    };
    Ok(json!({
        "args": std::env::args().collect::<Vec<_>>(),
        "env": env,
        "fds": descriptors()?,
        "pid": std::process::id(),
        "ppid": std::os::unix::process::parent_id(),
        "pgid": innermost("NSpgid"),
        "sid": innermost("NSsid"),
        "uid": field("Uid"),
        "gid": field("Gid"),
        "groups": field("Groups"),
        "umask": field("Umask"),
        "cwd": std::env::current_dir()?.to_string_lossy(),
        "SigIgn": field("SigIgn"),
        "SigBlk": field("SigBlk"),
        "SigCgt": field("SigCgt"),
        "NoNewPrivs": field("NoNewPrivs"),
    }))
}

/// Open descriptors: what each is, and its flags (`flags` of fdinfo, in octal, 02000000 is close-on-exec).
fn descriptors() -> std::io::Result<BTreeMap<u32, Value>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir("/proc/self/fd")? {
        let entry = entry?;
        let Ok(number) = entry.file_name().to_string_lossy().parse::<u32>() else {
            continue;
        };
        let target = fs::read_link(entry.path()).unwrap_or_default();
        // The descriptor that reads this very directory.
        let own = format!("/proc/{}/fd", std::process::id());
        if target == Path::new(&own) {
            continue;
        }
        let info = fs::read_to_string(format!("/proc/self/fdinfo/{number}")).unwrap_or_default();
        let flags = info
            .lines()
            .find_map(|l| l.strip_prefix("flags:"))
            .map(str::trim);
        found.insert(
            number,
            json!({ "is": target.to_string_lossy(), "flags": flags }),
        );
    }
    Ok(found)
}
