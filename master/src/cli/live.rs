//! Progress on standard error: on a terminal one line that is drawn anew, elsewhere one line per step.

use std::{
    io::{self, IsTerminal as _, Write},
    time::{Duration, Instant},
};

use super::{progress::Line, style::Style, table};
use crate::config::units::rough;

/// Back to the line's start, and nothing left of it.
const CLEAR: &str = "\r\x1b[K";

/// Where progress is shown.
#[derive(Debug)]
pub(crate) struct Live<W: Write> {
    out: W,
    shows: Shows,
    begun: Instant,
}

#[derive(Debug)]
enum Shows {
    /// One line that is drawn anew; this is what it says.
    LiveLine { style: Style, step: String },
    /// A line per step.
    Lines,
}

impl Live<io::Stderr> {
    /// Progress on standard error.
    pub(crate) fn on_stderr() -> Self {
        let out = io::stderr();
        let moves = out.is_terminal() && std::env::var_os("TERM").is_none_or(|term| term != "dumb");
        match moves {
            true => Self::terminal(out, Style::of_stderr()),
            false => Self::lines(out),
        }
    }
}

impl<W: Write> Live<W> {
    fn terminal(out: W, style: Style) -> Self {
        Self {
            out,
            shows: Shows::LiveLine {
                style,
                step: String::new(),
            },
            begun: Instant::now(),
        }
    }

    /// Progress where nothing can be drawn anew.
    pub(crate) fn lines(out: W) -> Self {
        Self {
            out,
            shows: Shows::Lines,
            begun: Instant::now(),
        }
    }

    /// Whether it is drawn anew in its place, and so may be shown as often as it changes.
    pub(crate) fn moves(&self) -> bool {
        match self.shows {
            Shows::LiveLine { .. } => true,
            Shows::Lines => false,
        }
    }

    /// Since when it is shown.
    pub(crate) fn elapsed(&self) -> Duration {
        self.begun.elapsed()
    }

    /// Shows a line.
    pub(crate) fn show(&mut self, line: &Line) {
        let text = match (&mut self.shows, line) {
            (Shows::LiveLine { step, .. }, Line::Step(text)) => {
                step.clone_from(text);
                return self.redraw();
            }
            (Shows::LiveLine { .. }, Line::Milestone(text)) => format!("{CLEAR}{text}\n"),
            (Shows::Lines, Line::Step(text) | Line::Milestone(text)) => format!("{text}\n"),
        };
        self.put(&text);
        self.redraw();
    }

    /// Draws the live line anew, with the time that has passed; where there is none, nothing.
    pub(crate) fn redraw(&mut self) {
        let elapsed = self.begun.elapsed();
        if let Shows::LiveLine { style, step } = &self.shows
            && !step.is_empty()
        {
            let time = format!("  {}", rough(elapsed));
            // The last column stays free: some terminals wrap as soon as it is written.
            let room = style.width.saturating_sub(time.len() + 1);
            let text = table::truncate(step, room);
            let text = format!("{CLEAR}{text}{}", style.dim(&time));
            self.put(&text);
        }
    }

    /// Takes the live line away.
    pub(crate) fn clear(&mut self) {
        if let Shows::LiveLine { step, .. } = &mut self.shows
            && !std::mem::take(step).is_empty()
        {
            self.put(CLEAR);
        }
    }

    /// Progress that can't be shown doesn't stop what it tells of.
    fn put(&mut self, text: &str) {
        let _closed = self
            .out
            .write_all(text.as_bytes())
            .and_then(|()| self.out.flush());
    }
}

impl<W: Write> Drop for Live<W> {
    /// What is said next begins on a clean line.
    fn drop(&mut self) {
        self.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(make: for<'o> fn(&'o mut Vec<u8>) -> Live<&'o mut Vec<u8>>) -> String {
        let mut out = Vec::new();
        let mut live = make(&mut out);
        live.show(&Line::Step("web.0: worker 5 starts".into()));
        live.show(&Line::Milestone("web: generation 2".into()));
        drop(live);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn elsewhere_each_step_is_a_line() {
        assert_eq!(
            written(|out| Live::lines(out)),
            "web.0: worker 5 starts\nweb: generation 2\n"
        );
    }

    #[test]
    fn on_a_terminal_steps_replace_one_another_and_milestones_stay() {
        let text = written(|out| Live::terminal(out, Style::plain()));
        assert_eq!(
            text,
            "\r\x1b[Kweb.0: worker 5 starts  0ms\r\x1b[Kweb: generation 2\n\r\x1b[Kweb.0: worker 5 starts  0ms\r\x1b[K"
        );
    }

    #[test]
    fn the_live_line_never_wraps() {
        let mut out = Vec::new();
        let mut style = Style::plain();
        style.width = 20;
        Live::terminal(&mut out, style).show(&Line::Step("x".repeat(100)));
        let text = String::from_utf8(out).unwrap();
        let drawn = text.trim_start_matches(CLEAR).trim_end_matches(CLEAR);
        assert_eq!(drawn.chars().count(), 19, "{drawn:?}");
    }
}
