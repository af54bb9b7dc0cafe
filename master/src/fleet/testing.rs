//! What the core's tests have in common.

use std::{collections::BTreeMap, time::Duration};

use crate::config::app::{AppDefinition, AppName, Backoff, Readiness, Rung};

/// An app with every default, whose workers say on the bus when they are ready.
pub(crate) fn definition(name: &str, instances: u32) -> AppDefinition {
    AppDefinition {
        name: AppName::new(name).expect("a name"),
        command: vec!["app".into()],
        cwd: None,
        env: BTreeMap::new(),
        instances,
        listen: Vec::new(),
        ready: Readiness::Auto,
        start_timeout: Duration::from_secs(30),
        min_healthy: None,
        canary_healthy: None,
        min_uptime: Duration::from_secs(5),
        max_draining: None,
        kill_ladder: vec![
            Rung {
                signal: 15,
                wait: Some(Duration::from_secs(30)),
            },
            Rung {
                signal: 9,
                wait: None,
            },
        ],
        backoff: Backoff {
            first: Duration::from_millis(100),
            max: Duration::from_secs(30),
            factor: 1.5,
        },
        max_restarts: 16,
        restart_window: Duration::from_secs(600),
        stop_exit_codes: Vec::new(),
        listen_pid: true,
        auto_reload: None,
    }
}
