//! Where a worker's lines go.

use std::sync::Arc;

use super::{FileSink, LineBook, LineQueue, Stream};

/// One place for lines.
#[derive(Clone, Debug)]
pub enum Outlet {
    /// A queue, such as that of the master's log.
    Queue(LineQueue),
    /// A file.
    File(Arc<FileSink>),
    /// The book of last lines.
    Book(LineBook),
}

/// Which streams.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Streams {
    /// Both.
    Both,
    /// One.
    Only(Stream),
}

impl Streams {
    /// Whether this is one of them.
    #[must_use]
    pub fn has(self, stream: Stream) -> bool {
        match self {
            Self::Both => true,
            Self::Only(one) => one == stream,
        }
    }
}

/// All places for a worker's lines.
#[derive(Debug, Default)]
pub struct Outlets {
    all: Vec<(Outlet, Streams)>,
    /// What stands before each line.
    label: Option<&'static str>,
}

impl Outlets {
    /// One more place, for these streams.
    pub fn add(&mut self, to: Outlet, of: Streams) {
        self.all.push((to, of));
    }

    /// The same, with `label` and a colon before each line.
    #[must_use]
    pub fn labelled(self, label: &'static str) -> Self {
        Self {
            label: Some(label),
            ..self
        }
    }

    /// What stands before each line.
    pub(super) fn label(&self) -> Option<&'static str> {
        self.label
    }
}

impl IntoIterator for Outlets {
    type Item = (Outlet, Streams);
    type IntoIter = std::vec::IntoIter<Self::Item>;

    fn into_iter(self) -> Self::IntoIter {
        self.all.into_iter()
    }
}

impl From<Vec<LineQueue>> for Outlets {
    fn from(queues: Vec<LineQueue>) -> Self {
        let both = |queue| (Outlet::Queue(queue), Streams::Both);
        Self {
            all: queues.into_iter().map(both).collect(),
            label: None,
        }
    }
}
