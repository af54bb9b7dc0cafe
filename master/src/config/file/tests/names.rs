//! Keys by the names that other tools give them, and keys of nobody.

use super::*;

fn told(key: &str) -> String {
    let faults = faults(&format!("[app.a]\ncommand = \"a\"\n{key} = 1\n"));
    assert_eq!(faults[0], format!("3:1: app.a.{key}: unknown key"));
    faults[1].clone()
}

#[test]
fn names_from_systemd_supervisord_compose_and_pm2_are_told_what_they_are_here() {
    for (ours, theirs) in [
        ("max_restarts", "start_limit_burst startretries"),
        ("restart_window", "start_limit_interval_sec"),
        ("min_uptime", "startsecs"),
        ("backoff", "restart_sec"),
        (
            "kill_ladder",
            "stop_grace_period stopwaitsecs timeout_stop_sec",
        ),
        ("start_timeout", "timeout_start_sec"),
        ("max_age", "runtime_max_sec"),
        ("stop_exit_codes", "exitcodes success_exit_status"),
        ("cgroup.memory_max", "memory_max mem_limit"),
        ("cgroup.cpu_max", "cpu_quota"),
        ("cgroup.pids_max", "tasks_max pids_limit"),
        ("auto_reload.ignore", "ignore_watch"),
        ("log", "merge_logs"),
        ("command", "node_args"),
    ] {
        for theirs in theirs.split(' ') {
            assert_eq!(told(theirs), format!("did you mean `{ours}`?"), "{theirs}");
        }
    }
    assert_eq!(
        told("instance_var"),
        "remove it: a worker finds its number in OSTLER_SLOT and NODE_APP_INSTANCE"
    );
}

#[test]
fn a_key_of_nobody_is_told_the_nearest_few_and_where_all_are() {
    let told = told("reticulate_splines");
    let nearest = told.strip_prefix("remove it; nearest known here: ");
    let (nearest, all) = nearest.expect(&told).split_once("; ").expect(&told);
    assert_eq!(nearest.split(", ").count(), 5, "{told}");
    assert_eq!(all, "all are in docs/process-file.md");
}
