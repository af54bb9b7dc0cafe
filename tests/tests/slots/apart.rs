//! A network of a test's own, with the settings and addresses that it needs.

use std::{io::Write, process::Stdio};

/// Runs a scenario in a network of its own, by a thread of its own: others of this process stay in the machine's. Left out, which is
/// said, where the kernel lets this user have none, which is nobody but root, or where there is no `ip`.
pub(super) fn in_a_network_apart(scenario: impl AsyncFnOnce() + Send + 'static) {
    if std::process::Command::new("ip").arg("-V").output().is_err() {
        return eprintln!("not run: a network of its own needs `ip`");
    }
    let test = std::thread::spawn(|| {
        match nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNET) {
            Ok(()) => {}
            Err(nix::errno::Errno::EPERM) => {
                return eprintln!("not run: a network of its own needs CAP_SYS_ADMIN");
            }
            Err(other) => panic!("no network of its own: {other}"),
        }
        ip("link set lo up\n");
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build();
        runtime.expect("a runtime").block_on(scenario());
    });
    if let Err(panic) = test.join() {
        std::panic::resume_unwind(panic);
    }
}

/// Has `ip` do these things, one a line.
pub(super) fn ip(commands: &str) {
    let mut command = std::process::Command::new("ip");
    let started = command.args(["-batch", "-"]).stdin(Stdio::piped()).spawn();
    let mut ip = started.expect("a program");
    let mut input = ip.stdin.take().expect("piped");
    input.write_all(commands.as_bytes()).expect("read by ip");
    drop(input);
    assert!(ip.wait().expect("ip").success(), "{commands}");
}

/// Sets what is a network's own in `/proc/sys`.
pub(super) fn set(setting: &str, value: &str) {
    let path = format!("/proc/sys/{setting}");
    std::fs::write(&path, value).unwrap_or_else(|error| panic!("{path}: {error}"));
}
