//! In what two definitions of an app differ.

use super::{AppDefinition, StartOrder};

impl AppDefinition {
    /// The keys by which another definition of the same app differs, as they are written in the file.
    #[must_use]
    pub fn differences(&self, other: &Self) -> Vec<&'static str> {
        // All of them by name, so that a new one can't be forgotten here.
        let Self {
            name: _,
            command,
            cwd,
            env,
            inherits,
            namespace,
            instances,
            start,
            listen,
            ready,
            start_timeout,
            min_healthy,
            canary_healthy,
            min_uptime,
            max_draining,
            kill_ladder,
            backoff,
            max_restarts,
            restart_window,
            stop_exit_codes,
            listen_pid,
            auto_reload,
            life,
            recycle,
            stop,
            hooks,
            update,
            bus,
            process,
            given,
            log,
            // No file says it, so no file says it differently.
            overlay: _,
            // The same words in another place.
            places: _,
        } = self;
        // That an app starts by itself when it comes changes nothing of one that is there.
        let as_here = StartOrder {
            autostart: start.autostart,
            ..other.start.clone()
        };
        let keys = [
            ("command", *command != other.command),
            ("cwd", *cwd != other.cwd),
            ("env", *env != other.env),
            (
                "env_clear, env_allow or env_deny",
                *inherits != other.inherits,
            ),
            ("namespace", *namespace != other.namespace),
            ("instances", *instances != other.instances),
            ("start_parallel, priority or depends_on", *start != as_here),
            ("listen", *listen != other.listen),
            ("ready", *ready != other.ready),
            ("start_timeout", *start_timeout != other.start_timeout),
            ("min_healthy", *min_healthy != other.min_healthy),
            ("canary_healthy", *canary_healthy != other.canary_healthy),
            ("min_uptime", *min_uptime != other.min_uptime),
            ("max_draining", *max_draining != other.max_draining),
            (
                "kill_ladder or stop_signal",
                *kill_ladder != other.kill_ladder,
            ),
            ("backoff", *backoff != other.backoff),
            ("max_restarts", *max_restarts != other.max_restarts),
            ("restart_window", *restart_window != other.restart_window),
            ("stop_exit_codes", *stop_exit_codes != other.stop_exit_codes),
            ("listen_pid", *listen_pid != other.listen_pid),
            ("auto_reload", *auto_reload != other.auto_reload),
            (
                "watchdog, health, hang_signal, hang_grace, restart, fatal_exit_codes, retry_failed or oneshot",
                *life != other.life,
            ),
            (
                "max_memory, max_age, max_requests, idle_timeout or cron",
                *recycle != other.recycle,
            ),
            ("stop_message or kill_group", *stop != other.stop),
            (
                "before_start, after_ready, before_stop or after_exit",
                *hooks != other.hooks,
            ),
            (
                "strategy, max_surge, max_unavailable, canary or on_failure",
                *update != other.update,
            ),
            ("bus", *bus != other.bus),
            (
                "user, group, umask, nice, limits, cpu_affinity or cgroup",
                *process != other.process,
            ),
            ("fds or stdin", *given != other.given),
            ("log", *log != other.log),
        ];
        let differ = keys.into_iter().filter(|(_, differs)| *differs);
        differ.map(|(key, _)| key).collect()
    }
}
