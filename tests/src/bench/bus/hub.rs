//! The hub's process: a hub as a master starts it, and nothing else.

use std::{io::BufRead, os::unix::net::UnixListener};

use ostler_bus::{
    Limits,
    hub::{Admission, Hub, HubOptions},
    vocab::rules::{builtins, fleet_rules},
};
use rustix::time::{ClockId, clock_gettime};

/// Listens on the path that is its argument; says so; answers each line with the processor time it has used.
pub(super) fn play(args: &[String]) -> Result<(), String> {
    let [socket] = args else {
        return Err("usage: SOCKET".into());
    };
    let options = HubOptions {
        name: "bench".into(),
        // How fast peers can come is measured, not how fast they may.
        limits: Limits {
            accepts_per_second: 1_000_000,
            ..Limits::default()
        },
        rules: fleet_rules(),
        builtins: builtins(),
        history: Vec::new(),
    };
    let (hub, _notices) = Hub::start(options).map_err(|e| e.to_string())?;
    let listener = UnixListener::bind(socket).map_err(|e| format!("{socket}: {e}"))?;
    hub.listen(listener, Admission::default())
        .map_err(|e| e.to_string())?;
    println!("listening");
    for line in std::io::stdin().lock().lines() {
        line.map_err(|e| e.to_string())?;
        let used = clock_gettime(ClockId::ProcessCPUTime);
        println!("{}", used.tv_sec * 1_000_000_000 + used.tv_nsec);
    }
    Ok(())
}
