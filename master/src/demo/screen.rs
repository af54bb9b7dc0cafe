//! What the guide says, on standard output: short sections, in colour on a terminal.

use std::{
    io::{self, IsTerminal as _, Write as _},
    time::Duration,
};

use crate::cli::style::Style;

/// Between two sections on a terminal: time to read.
const PAUSE: Duration = Duration::from_millis(900);

/// The widest bar, in columns.
const BAR: u64 = 32;

/// Where the guide speaks.
#[derive(Clone, Copy, Debug)]
pub(super) struct Screen {
    pub(super) style: Style,
    /// People read along, at their own pace.
    watched: bool,
}

impl Screen {
    pub(super) fn of_stdout() -> Self {
        Self {
            style: Style::of_stdout(),
            watched: io::stdout().is_terminal(),
        }
    }

    /// Prints lines. The master goes on meanwhile, even when the terminal is stopped; if nobody reads, nobody is told.
    pub(super) async fn say(self, text: impl Into<String>) {
        let text = text.into();
        let _ended = tokio::task::spawn_blocking(move || last_words(&text)).await;
    }

    /// The title of a section.
    pub(super) async fn section(self, number: u32, title: &str) {
        if self.watched {
            tokio::time::sleep(PAUSE).await;
        }
        let title = self.style.bold(&format!("{number}  {title}"));
        self.say(format!("\n{title}")).await;
    }

    /// A bar for a share, `most` being the whole width.
    pub(super) fn bar(self, count: u64, most: u64) -> String {
        self.style.green(&"█".repeat(width(count, most)))
    }
}

/// Prints a line when nothing else goes on any more.
pub(super) fn last_words(text: &str) {
    let mut out = io::stdout().lock();
    // A reader that has gone has had enough: the fleet is worth more than the guide.
    let _gone = writeln!(out, "{text}").and_then(|()| out.flush());
}

/// Columns for `count`: at least one for anything there is.
fn width(count: u64, most: u64) -> usize {
    let scaled = (count * BAR).div_ceil(most.max(1)).min(BAR);
    usize::try_from(scaled).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_show_what_there_is() {
        assert_eq!([width(0, 10), width(1, 1000), width(10, 10)], [0, 1, 32]);
        assert_eq!(width(0, 0), 0);
    }
}
