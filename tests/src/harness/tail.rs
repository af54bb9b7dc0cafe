//! The bus of a master, as `ostler tail` shows it, to wait on.

use std::time::Duration;

use serde_json::Value;

use super::{Exit, Master, PATIENCE, Process};

/// A running `ostler tail '*'`: one JSON object a line, with the `topic` and the rest of each event.
///
/// A subscription is known to stand when an event sent after it arrives, so [`Master::tail`] emits probes of its own
/// until one is shown. Nothing that happens after it returned is missed.
#[derive(Debug)]
pub struct Tail {
    process: Process,
}

const PROBE: &str = "harness.probe";

impl Tail {
    pub(super) async fn start(master: &Master) -> Self {
        let process = Process::spawn(&mut master.ostler(["tail", "*"]).into_command());
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
        Self { process }
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
