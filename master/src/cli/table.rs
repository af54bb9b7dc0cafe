//! Aligned columns.

use super::style::Style;

/// How a cell is painted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tone {
    Plain,
    Good,
    Moving,
    Bad,
    Dim,
    Heading,
}

/// A cell: text without control characters, and how it is painted.
#[derive(Clone, Debug)]
pub(crate) struct Cell {
    text: String,
    tone: Tone,
}

impl Cell {
    pub(crate) fn new(text: impl Into<String>, tone: Tone) -> Self {
        Self {
            text: text.into(),
            tone,
        }
    }

    /// Columns it takes.
    pub(crate) fn width(&self) -> usize {
        self.text.chars().count()
    }

    /// Its text, as it is painted.
    pub(crate) fn painted(&self, style: Style) -> String {
        paint(self, style)
    }

    /// Cuts its text to so many columns.
    pub(crate) fn cut(&mut self, width: usize) {
        self.text = truncate(&self.text, width);
    }

    pub(crate) fn plain(text: impl Into<String>) -> Self {
        Self::new(text, Tone::Plain)
    }
}

/// Where a column's texts stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Align {
    Left,
    Right,
}

/// A row of cells, or a line of free text beneath the row before it.
pub(crate) enum Row<const N: usize> {
    Cells([Cell; N]),
    Note(String),
}

/// Renders rows beneath headings; columns are as wide as their widest cell, two blanks apart, and notes end at the
/// style's width.
pub(crate) fn render<const N: usize>(
    columns: [(&str, Align); N],
    rows: &[Row<N>],
    style: Style,
) -> String {
    let mut widths = columns.map(|(heading, _)| heading.chars().count());
    for row in rows {
        if let Row::Cells(cells) = row {
            for (width, cell) in widths.iter_mut().zip(cells) {
                *width = (*width).max(cell.text.chars().count());
            }
        }
    }
    let headings = columns.map(|(heading, _)| Cell::new(heading, Tone::Heading));
    let aligns = columns.map(|(_, align)| align);
    let mut out = line(&headings, &widths, &aligns, style);
    for row in rows {
        match row {
            Row::Cells(cells) => out.push_str(&line(cells, &widths, &aligns, style)),
            Row::Note(text) => {
                let text = truncate(&format!("  {text}"), style.width);
                out.push_str(&style.dim(&text));
                out.push('\n');
            }
        }
    }
    out
}

fn line<const N: usize>(
    cells: &[Cell; N],
    widths: &[usize; N],
    aligns: &[Align; N],
    style: Style,
) -> String {
    let mut out = String::new();
    for (i, cell) in cells.iter().enumerate() {
        let pad = " ".repeat(widths[i].saturating_sub(cell.text.chars().count()));
        let painted = paint(cell, style);
        let gap = if i == 0 { "" } else { "  " };
        match aligns[i] {
            Align::Right => out.extend([gap, &pad, &painted]),
            // No blanks at the end of a line.
            Align::Left if i + 1 == N => out.extend([gap, &painted]),
            Align::Left => out.extend([gap, &painted, &pad]),
        }
    }
    out.push('\n');
    out
}

fn paint(cell: &Cell, style: Style) -> String {
    match cell.tone {
        Tone::Plain => cell.text.clone(),
        Tone::Good => style.green(&cell.text),
        Tone::Moving => style.yellow(&cell.text),
        Tone::Bad => style.red(&cell.text),
        Tone::Dim => style.dim(&cell.text),
        Tone::Heading => style.bold(&cell.text),
    }
}

/// The first `width` columns of a text, with `…` where something is missing.
pub(crate) fn truncate(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    let mut out: String = text.chars().take(width.saturating_sub(1)).collect();
    out.push('…');
    out
}
