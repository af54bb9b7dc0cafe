//! The texts that a process file is made of: itself, what it includes, its `env_file`s.
//!
//! They lie one behind the other in one space of offsets, so that a value's span alone tells its file, line and column,
//! whichever text it was read from.

use std::{
    cell::OnceCell,
    path::{Path, PathBuf},
};

use super::errors::Place;

/// Keeps texts where they are, so that what was read from them may point into them while more are added.
#[derive(Debug, Default)]
pub(super) struct Texts {
    text: OnceCell<String>,
    next: OnceCell<Box<Self>>,
}

impl Texts {
    /// Keeps one more.
    pub(super) fn keep(&self, text: String) -> &str {
        let mut last = self;
        while last.text.get().is_some() {
            last = last.next.get_or_init(Box::default);
        }
        last.text.get_or_init(|| text)
    }
}

impl Drop for Texts {
    /// One after the other: a long chain that each drops the next would take a stack as long.
    fn drop(&mut self) {
        let mut next = self.next.take();
        while let Some(mut texts) = next {
            next = texts.next.take();
        }
    }
}

/// All texts read so far, by place.
#[derive(Debug, Default)]
pub(super) struct Sources<'t> {
    texts: Vec<Source<'t>>,
}

#[derive(Debug)]
struct Source<'t> {
    path: PathBuf,
    text: &'t str,
    start: usize,
    /// Where each line begins, once somebody asked for one: each key of each app has its place.
    lines: OnceCell<Vec<usize>>,
}

impl Source<'_> {
    /// The line of an offset in this text, counted from 1.
    fn line(&self, offset: usize) -> usize {
        let lines = self.lines.get_or_init(|| {
            let after = |(at, _): (usize, &str)| at + 1;
            let others = self.text.match_indices('\n').map(after);
            std::iter::once(0).chain(others).collect()
        });
        lines.partition_point(|start| *start <= offset)
    }
}

impl<'t> Sources<'t> {
    /// Adds a text; gives the offset of its first byte.
    pub(super) fn add(&mut self, path: &Path, text: &'t str) -> usize {
        // An offset at a text's very end is still its own.
        let start = self
            .texts
            .last()
            .map_or(0, |last| last.start + last.text.len() + 1);
        let path = path.to_owned();
        let lines = OnceCell::new();
        self.texts.push(Source {
            path,
            text,
            start,
            lines,
        });
        start
    }

    /// The number of the text that an offset belongs to.
    fn number(&self, offset: usize) -> usize {
        let after = self.texts.partition_point(|text| text.start <= offset);
        after.saturating_sub(1)
    }

    /// Where an offset is: the number of its text, and the place in it.
    pub(super) fn place(&self, offset: usize) -> (usize, Place) {
        let number = self.number(offset);
        let place = self.texts.get(number).map_or(Place::FIRST, |source| {
            Place::of(source.text, offset - source.start)
        });
        (number, place)
    }

    /// The path of a text, as its user named it.
    pub(super) fn path(&self, number: usize) -> &Path {
        self.texts
            .get(number)
            .map_or(Path::new(""), |source| &source.path)
    }

    /// An offset's place in words, wherever the working directory is: `FILE:LINE`.
    pub(super) fn absolute_line_of(&self, offset: usize) -> String {
        let (path, line) = self.path_and_line(offset);
        let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        format!("{}:{line}", path.display())
    }

    /// An offset's place in words: `FILE:LINE`.
    pub(super) fn line_of(&self, offset: usize) -> String {
        let (path, line) = self.path_and_line(offset);
        format!("{}:{line}", path.display())
    }

    fn path_and_line(&self, offset: usize) -> (&Path, usize) {
        let number = self.number(offset);
        let source = self.texts.get(number);
        let line = source.map_or(1, |source| source.line(offset - source.start));
        (self.path(number), line)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_stay_where_they_are() {
        let texts = Texts::default();
        let kept: Vec<&str> = (0..1_000).map(|n: u32| texts.keep(n.to_string())).collect();
        assert_eq!((kept[0], kept[999]), ("0", "999"));
    }

    #[test]
    fn an_offset_belongs_to_one_text() {
        let mut sources = Sources::default();
        let first = sources.add(Path::new("a"), "one\ntwo");
        let second = sources.add(Path::new("b"), "");
        let third = sources.add(Path::new("c"), "x\ny");
        let at = |offset| sources.line_of(offset);
        assert_eq!(
            [at(first), at(first + 4), at(first + 7)],
            ["a:1", "a:2", "a:2"]
        );
        assert_eq!(at(second), "b:1");
        assert_eq!(
            [at(third), at(third + 2), at(third + 3)],
            ["c:1", "c:2", "c:2"]
        );
    }
}
