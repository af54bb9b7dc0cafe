//! The bus of a master, as `ostler tail` shows it, to wait on.

use std::time::Duration;

use serde_json::Value;

use super::{Exit, Master, PATIENCE, Process};

/// A running `ostler tail '*' --once`, which ends with its master: one JSON object a line, with the `topic` and the rest of each event.
///
/// A subscription is known to stand when an event sent after it arrives, so [`Master::tail`] emits probes of its own
/// until one is shown. Nothing that happens after it returned is missed.
#[derive(Debug)]
pub struct Tail {
    process: Process,
    marks: u32,
}

const PROBE: &str = "harness.probe";

impl Tail {
    pub(super) async fn start(master: &Master) -> Self {
        let process = Process::spawn(&mut master.ostler(["tail", "*", "--once"]).into_command());
        let mut probe = process.stdout.clone();
        super::deadline("the first event of a tail", PATIENCE, async {
            loop {
                let output = master.ostler(["emit", PROBE, "{}"]).run().await;
                assert_eq!(output.exit, Exit::Code(0), "{output:#?}");
                let shown = probe.wait_for_line(PROBE, PATIENCE);
                if tokio::time::timeout(Duration::from_millis(200), shown)
                    .await
                    .is_ok()
                {
                    return;
                }
                let output = process.output();
                assert!(process.exit().is_none(), "the tail has ended\n{output}");
            }
        })
        .await;
        Self { process, marks: 0 }
    }

    /// Waits for the next event on `topic` that `is` accepts; those before it are passed over.
    ///
    /// # Panics
    /// If it doesn't come in time; with all events so far.
    pub async fn wait_for(
        &mut self,
        topic: &str,
        within: Duration,
        is: impl Fn(&Value) -> bool,
    ) -> Value {
        let event = |line: &str| -> Option<Value> {
            let event: Value = serde_json::from_str(line).ok()?;
            (event.get("topic")?.as_str()? == topic && is(&event)).then_some(event)
        };
        let line = self
            .process
            .wait_for_line(|line: &str| event(line).is_some(), within)
            .await;
        event(&line).expect("matched a moment ago")
    }

    /// The payload of the next event on `topic`.
    ///
    /// # Panics
    /// If none comes in time; with all events so far.
    pub async fn next(&mut self, topic: &str) -> Value {
        self.wait_for(topic, PATIENCE, |_| true).await["payload"].take()
    }

    /// The payloads of the next so many events on `topic`.
    ///
    /// # Panics
    /// If they don't come in time; with all events so far.
    pub async fn next_many(&mut self, topic: &str, count: usize) -> Vec<Value> {
        let mut found = Vec::new();
        for _ in 0..count {
            found.push(self.next(topic).await);
        }
        found
    }

    /// The payload of the next event on `topic` whose payload has `value` at `pointer` (`/worker/slot`).
    ///
    /// # Panics
    /// If none comes in time; with all events so far.
    pub async fn next_with(
        &mut self,
        topic: &str,
        pointer: &str,
        value: impl Into<Value>,
    ) -> Value {
        let value = value.into();
        let is = |event: &Value| event["payload"].pointer(pointer) == Some(&value);
        self.wait_for(topic, PATIENCE, is).await["payload"].take()
    }

    /// Waits until everything that the master had said by now is shown. The hub has one order, so a mark sent now comes
    /// after all of it.
    ///
    /// # Panics
    /// If the mark doesn't come in time.
    pub async fn settle(&mut self, master: &Master) {
        // What the master decided before this answer was published before it.
        master.status().await;
        self.marks += 1;
        let number = self.marks;
        let mark = format!("{{\"mark\":{number}}}");
        master.ostler(["emit", PROBE, &mark]).success().await;
        let is = |event: &Value| event["payload"]["mark"] == number;
        self.wait_for(PROBE, PATIENCE, is).await;
    }

    /// The payloads of all events on `topic` so far.
    #[must_use]
    pub fn all(&self, topic: &str) -> Vec<Value> {
        let of_topic = self.events().into_iter();
        of_topic
            .filter(|event| event["topic"] == topic)
            .map(|mut event| event["payload"].take())
            .collect()
    }

    /// What became of an app's workers so far, in order, as `["spawned 0", "ready 0"]`: the last token of each
    /// `worker.*` topic among `which`, and the slot.
    #[must_use]
    pub fn story(&self, app: &str, which: &[&str]) -> Vec<String> {
        let told = self.events().into_iter().filter_map(|event| {
            let what = event["topic"].as_str()?.strip_prefix("worker.")?.to_owned();
            let worker = &event["payload"]["worker"];
            let wanted = worker["app"] == app && which.contains(&what.as_str());
            wanted.then(|| format!("{what} {}", worker["slot"]))
        });
        told.collect()
    }

    /// All events so far, the harness's own probes left out.
    #[must_use]
    pub fn events(&self) -> Vec<Value> {
        let lines = self.process.stdout.all();
        let events = lines
            .iter()
            .filter_map(|line| serde_json::from_str(line).ok());
        events
            .filter(|event: &Value| event["topic"] != PROBE)
            .collect()
    }
}
