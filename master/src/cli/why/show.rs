//! A story as people read it.
//!
//! ```text
//! web.0  worker 3, generation 1, pid 4242
//!   12:03:04.120  started: first start
//!   12:03:04.370  ready after 250ms
//!   12:05:00.001  exited with code 1 after 1m 56s
//!                 ! ImportError: no module named shop
//!                 so another was started at once: it was ready, and lived for 5s (min_uptime) or longer
//! ```

use std::{
    fmt::Write as _,
    time::{Duration, UNIX_EPOCH},
};

use ostler_bus::vocab::worker::{ExitStatus, Next, WorkerExited};

use super::story::{AppNews, FailedHook, Leaving, Life, MasterNews, Now, Part, What};
use crate::{
    chronicle,
    cli::{held, style::Style},
    config::units::rough,
    escape,
    process::stamp,
};

/// Below the words, not the times.
const INDENT: &str = "                ";

pub(super) fn text(parts: &[Part], lines: usize, style: Style) -> String {
    let mut page = Page {
        out: String::new(),
        day: String::new(),
        style,
    };
    let mut ended_well = true;
    for part in parts {
        match part {
            Part::Worker(life) => page.life(life, lines),
            Part::App(news) => page.app(news),
            Part::Master(news) => {
                page.master(news, ended_well);
                ended_well = news.topic == chronicle::ENDED || news.topic == chronicle::LOST;
            }
        }
    }
    page.out
}

struct Page {
    out: String,
    /// The day of the last line.
    day: String,
    style: Style,
}

impl Page {
    fn line(&mut self, time_ms: u64, text: &str) {
        let time = self.day(time_ms);
        let time = self.style.dim(&time);
        let _ = writeln!(self.out, "  {time}  {text}");
    }

    /// Begins another day, if this is one; gives the time in it.
    fn day(&mut self, time_ms: u64) -> String {
        let stamp = stamp(UNIX_EPOCH + Duration::from_millis(time_ms));
        let (day, time) = stamp.split_once('T').unwrap_or(("", &stamp));
        if self.day != day {
            let _ = writeln!(self.out, "{}", self.style.dim(&format!("{day} (UTC)")));
            day.clone_into(&mut self.day);
        }
        time.trim_end_matches('Z').to_owned()
    }

    fn below(&mut self, text: &str) {
        let _ = writeln!(self.out, "{INDENT}{text}");
    }

    fn life(&mut self, life: &Life, lines: usize) {
        let worker = &life.worker;
        let _time = self.day(life.first_ms());
        let slot = self.style.bold(&format!("{}.{}", worker.app, worker.slot));
        let pid = worker
            .pid
            .map_or_else(String::new, |pid| format!(", pid {pid}"));
        let head = format!(
            "{slot}  worker {}, generation {}{pid}",
            worker.id, worker.generation
        );
        self.out.push_str(&head);
        self.out.push('\n');
        let trigger = life.trigger.as_deref().map(escape::line);
        let trigger = trigger
            .as_deref()
            .unwrap_or("(its beginning is not known any more)");
        if let Some(at) = life.spawned_ms {
            self.line(at, &format!("started: {trigger}"));
        } else {
            self.line(life.first_ms(), &format!("to be started: {trigger}"));
        }
        if let Some(ready) = &life.ready {
            let how = if ready.assumed {
                "taken to be ready"
            } else {
                "ready"
            };
            let after = rough(Duration::from_millis(ready.after_ms));
            self.line(ready.time_ms, &format!("{how} after {after}"));
        }
        if let Some(leaving) = &life.leaving {
            let why = escape::line(&leaving.reason).into_owned();
            self.line(leaving.time_ms, &format!("leaves: {why}"));
        }
        for FailedHook {
            time_ms,
            hook,
            error,
        } in &life.failed_hooks
        {
            let failed = self.style.red("failed");
            let (hook, why) = (escape::line(hook), escape::line(error));
            self.line(*time_ms, &format!("{hook} {failed}: {why}"));
        }
        if let Some(at) = life.released_ms {
            self.line(at, "let go of (delete --keep-running): it is nobody's");
        }
        match (&life.exited, life.now) {
            (Some(exited), _) => {
                self.line(exited.time_ms, &how_it_ended(&exited.event, self.style));
                self.after_the_end(&exited.event, life.leaving.as_ref(), lines);
            }
            (None, Now::Running) => {
                let runs = self.style.green("it runs");
                self.below(&runs);
            }
            // How it went on nobody has seen.
            (None, Now::Released) => {}
            (None, Now::Ended | Now::Unknown) => {
                self.below("its end is not known: its master was gone before");
            }
        }
    }

    fn after_the_end(&mut self, event: &WorkerExited, leaving: Option<&Leaving>, lines: usize) {
        // What was said when it began to go need not be said again.
        let told = |cause: &&String| leaving.is_some_and(|leaving| leaving.reason == **cause);
        if let Some(cause) = event.cause.as_ref().filter(|cause| !told(cause)) {
            self.below(&format!("cause: {}", escape::line(cause)));
        }
        if let Some(left @ 1..) = event.held {
            let held = held::held(left, event.held_requests);
            let who = match event.held_requests {
                Some(_) => "as it last told",
                None => "when it was last counted",
            };
            self.below(&format!("it still held, {who}: {held}"));
        }
        let tail = &event.stderr_tail;
        for line in &tail[tail.len().saturating_sub(lines)..] {
            let line = escape::line(line);
            let line = self.style.dim(&format!("! {line}"));
            self.below(&line);
        }
        if let Some(hint) = &event.hint {
            self.below(&format!("hint: {}", escape::line(hint)));
        }
        let because = event
            .because
            .as_deref()
            .map_or_else(String::new, |because| {
                format!(": {}", escape::line(because))
            });
        self.below(&format!("so {}{because}", decision(&event.next)));
    }

    fn app(&mut self, news: &AppNews) {
        let text = match &news.what {
            What::Started(event) => format!(
                "update to generation {} of {} workers began: {}",
                event.generation,
                event.total,
                first_line(&event.reason)
            ),
            What::Finished(event) => format!(
                "update to generation {} finished in {}",
                event.generation,
                rough(Duration::from_millis(event.took_ms))
            ),
            What::Aborted(event) => {
                let how = match event.overtaken {
                    true => "given up".to_owned(),
                    false => self.style.red("aborted"),
                };
                format!(
                    "update to generation {} {how}, {} replaced: {}",
                    event.generation,
                    event.replaced,
                    first_line(&event.reason)
                )
            }
            What::RolledBack(event) => {
                let after = rough(Duration::from_millis(event.took_ms));
                let (slots, generation) = (event.slots, event.generation);
                match &event.failed {
                    None => format!("{slots} rolled back from generation {generation} in {after}"),
                    Some(why) => format!(
                        "rollback from generation {generation} {} after {after}, {slots} rolled back: {}",
                        self.style.red("failed"),
                        first_line(why)
                    ),
                }
            }
            What::Suspended(event) => first_line(&event.reason),
            What::Resized(event) => format!("{} workers instead of {}", event.to, event.from),
            What::Failed(event) => format!(
                "slot {} {}: {}",
                event.slot,
                self.style.red("failed"),
                first_line(&event.reason)
            ),
        };
        let app = self.style.bold(&news.app);
        self.line(news.time_ms, &format!("{app}: {text}"));
    }

    fn master(&mut self, news: &MasterNews, ended_well: bool) {
        let style = self.style;
        let mut say = |text: &str| self.line(news.time_ms, &style.dim(text));
        match news.topic {
            chronicle::STARTED => {
                if !ended_well {
                    say(
                        "(the master before it ended without a word: it was killed, or the machine stopped)",
                    );
                }
                let version = news.event["version"].as_str().unwrap_or("?");
                let version = escape::line(version);
                say(&format!(
                    "the master began: ostler {version}, pid {}",
                    news.event["pid"]
                ));
            }
            chronicle::ENDED => say(&format!(
                "the master ended with code {}",
                news.event["code"]
            )),
            _ => say(&format!(
                "({} events are missing here)",
                news.event["count"]
            )),
        }
    }
}

/// The last lines of the worker stand beside its own exit.
fn first_line(text: &str) -> String {
    let line = text.lines().next().unwrap_or_default();
    escape::line(line.trim_end_matches("; its last lines:")).into_owned()
}

fn how_it_ended(event: &WorkerExited, style: Style) -> String {
    let core = if event.core_dumped {
        ", core dumped,"
    } else {
        ""
    };
    let how = match &event.status {
        ExitStatus::Code(code) => format!("exited with code {code}"),
        ExitStatus::Signal(signal) => format!("was ended by {signal}{core}"),
        ExitStatus::Unknown => "is gone, how is not known,".into(),
        ExitStatus::NotStarted(error) => {
            return style.red(&format!("could not be started: {}", escape::line(error)));
        }
    };
    let how = match event.voluntary {
        true => how,
        false => style.red(&how),
    };
    let ready = if event.was_ready || event.next == (Next::Ended { well: true }) {
        ""
    } else {
        ", before it was ready"
    };
    format!(
        "{how} after {}{ready}",
        rough(Duration::from_millis(event.uptime_ms))
    )
}

fn decision(next: &Next) -> String {
    let time = |ms: u64| rough(Duration::from_millis(ms));
    match next {
        Next::Nothing => "nobody follows".into(),
        Next::Succeeded { by: Some(id) } => format!("the slot is worker {id}'s"),
        Next::Succeeded { by: None } => "the slot waits for another".into(),
        Next::AtOnce => "another is started at once".into(),
        Next::After { ms } => format!("another is started after {} (backoff)", time(*ms)),
        Next::GivenUp { again_ms: Some(ms) } => {
            format!(
                "the slot is given up, and tried again after {} or by `start`",
                time(*ms)
            )
        }
        Next::GivenUp { again_ms: None } => "the slot is given up until `start`".into(),
        Next::Ended { well: true } => "that was its end for good".into(),
        Next::Ended { well: false } => "that was its end for good, and not well".into(),
    }
}

#[cfg(test)]
mod tests;
