//! The last lines of each slot, in memory, so that `ostler logs` has something to show wherever they went.
//!
//! A slot's lines take at most [`SLOT_BYTES`], of which each line takes its text and some; with 64 slots that is a megabyte, and
//! none of it before there are lines. A new worker of the slot goes on behind its predecessor.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::SystemTime,
};

use ostler_bus::Slot;

use super::{OutputLine, Stream};
use crate::config::app::AppName;

/// What is kept of one slot.
pub const SLOT_BYTES: usize = 16 << 10;

/// What a line takes beside its text: the record, and the text's own head.
const LINE_OVERHEAD: usize = size_of::<OutputLine>() + 16;

/// The last lines of every slot. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct LineBook(Arc<Mutex<BTreeMap<(AppName, Slot), Page>>>);

#[derive(Debug, Default)]
struct Page {
    lines: VecDeque<OutputLine>,
    bytes: usize,
}

/// Which lines are wanted.
#[derive(Clone, Copy, Debug, Default)]
pub struct Wanted {
    /// Of which stream; `None` is both.
    pub stream: Option<Stream>,
    /// Since when.
    pub since: Option<SystemTime>,
}

impl LineBook {
    pub(super) fn keep(&self, line: &OutputLine) {
        let mut pages = self.pages();
        let page = pages
            .entry((line.worker.app.clone(), line.worker.slot))
            .or_default();
        page.bytes += weight(line);
        page.lines.push_back(line.clone());
        // One longer than all that may be kept is kept by itself: a line is 16 KiB at most.
        while page.bytes > SLOT_BYTES && page.lines.len() > 1 {
            page.bytes -= page.lines.pop_front().map_or(0, |line| weight(&line));
        }
    }

    /// The last lines of the slots that are meant, at most so many, oldest first.
    #[must_use]
    pub fn last(
        &self,
        meant: impl Fn(&AppName, Slot) -> bool,
        wanted: Wanted,
        most: usize,
    ) -> Vec<OutputLine> {
        let pages = self.pages();
        let pages = pages.iter().filter(|((app, slot), _)| meant(app, *slot));
        let mut lines: Vec<OutputLine> = pages
            .flat_map(|(_, page)| &page.lines)
            .filter(|line| wanted.stream.is_none_or(|stream| stream == line.stream))
            .filter(|line| wanted.since.is_none_or(|since| line.at >= since))
            .cloned()
            .collect();
        // Stable: lines of one moment stay in their order.
        lines.sort_by_key(|line| line.at);
        lines.split_off(lines.len().saturating_sub(most))
    }

    /// Forgets the lines of an app, or of all.
    pub fn forget(&self, app: Option<&str>) {
        self.pages()
            .retain(|(name, _), _| app.is_some_and(|app| app != name.as_str()));
    }

    fn pages(&self) -> MutexGuard<'_, BTreeMap<(AppName, Slot), Page>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn weight(line: &OutputLine) -> usize {
    line.text.len() + LINE_OVERHEAD
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use ostler_bus::{Generation, WorkerId};

    use super::*;
    use crate::process::Identity;

    fn line(app: &str, slot: u32, second: u64, stream: Stream, text: &str) -> OutputLine {
        OutputLine {
            worker: Arc::new(Identity {
                app: AppName::new(app).expect("a name"),
                slot: Slot(slot),
                id: WorkerId(1),
                generation: Generation(1),
            }),
            pid: 9,
            number: second,
            stream,
            at: SystemTime::UNIX_EPOCH + Duration::from_secs(second),
            text: text.into(),
            cut: false,
        }
    }

    fn texts(lines: Vec<OutputLine>) -> Vec<String> {
        lines.iter().map(|line| line.text.to_string()).collect()
    }

    #[test]
    fn the_last_lines_are_told_in_the_order_of_their_time() {
        let book = LineBook::default();
        book.keep(&line("web", 0, 1, Stream::Stdout, "one"));
        book.keep(&line("web", 1, 3, Stream::Stderr, "three"));
        book.keep(&line("web", 0, 4, Stream::Stdout, "four"));
        book.keep(&line("api", 0, 2, Stream::Stdout, "two"));
        let all = Wanted::default();
        let told = |wanted, most| texts(book.last(|_, _| true, wanted, most));
        assert_eq!(told(all, 9), ["one", "two", "three", "four"]);
        assert_eq!(told(all, 2), ["three", "four"]);
        let web = |wanted| texts(book.last(|app, _| app.as_str() == "web", wanted, 9));
        assert_eq!(web(all), ["one", "three", "four"]);
        let slot = texts(book.last(|_, slot| slot == Slot(1), all, 9));
        assert_eq!(slot, ["three"]);
        let stream = Some(Stream::Stdout);
        assert_eq!(web(Wanted { stream, ..all }), ["one", "four"]);
        let since = Some(SystemTime::UNIX_EPOCH + Duration::from_secs(3));
        assert_eq!(told(Wanted { since, ..all }, 9), ["three", "four"]);
        book.forget(Some("web"));
        assert_eq!(told(all, 9), ["two"]);
        book.forget(None);
        assert!(told(all, 9).is_empty());
    }

    #[test]
    fn a_slot_keeps_no_more_than_it_may() {
        let book = LineBook::default();
        for second in 0..10_000 {
            book.keep(&line("web", 0, second, Stream::Stdout, "x"));
        }
        let lines = book.last(|_, _| true, Wanted::default(), usize::MAX);
        assert!(lines.iter().map(weight).sum::<usize>() <= SLOT_BYTES);
        assert!(lines.len() > 50, "{}", lines.len());
        assert_eq!(lines.last().expect("some").number, 9_999);
        book.keep(&line(
            "web",
            0,
            10_000,
            Stream::Stdout,
            &"y".repeat(16 << 10),
        ));
        let lines = book.last(|_, _| true, Wanted::default(), 9);
        assert_eq!(lines.len(), 1);
    }
}
