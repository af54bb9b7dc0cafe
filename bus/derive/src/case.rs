//! The spellings of `rename_all`, to the letter as `serde` applies them.
//!
//! It takes a field's name to be `snake_case` and a variant's to be `PascalCase`, whatever they are, and changes ASCII
//! letters only.

/// A spelling.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Case {
    Lower,
    Upper,
    Pascal,
    Camel,
    Snake,
    ScreamingSnake,
    Kebab,
    ScreamingKebab,
}

/// All of them, by the names that serde gives them.
pub(crate) const CASES: [(&str, Case); 8] = [
    ("lowercase", Case::Lower),
    ("UPPERCASE", Case::Upper),
    ("PascalCase", Case::Pascal),
    ("camelCase", Case::Camel),
    ("snake_case", Case::Snake),
    ("SCREAMING_SNAKE_CASE", Case::ScreamingSnake),
    ("kebab-case", Case::Kebab),
    ("SCREAMING-KEBAB-CASE", Case::ScreamingKebab),
];

impl Case {
    pub(crate) fn named(name: &str) -> Option<Self> {
        let (_, case) = CASES.iter().find(|(known, _)| *known == name)?;
        Some(*case)
    }

    pub(crate) fn of_field(self, name: &str) -> String {
        match self {
            Self::Lower | Self::Snake => name.to_owned(),
            Self::Upper | Self::ScreamingSnake => name.to_ascii_uppercase(),
            Self::Pascal => name.split('_').map(capitalized).collect(),
            Self::Camel => uncapitalized(&Self::Pascal.of_field(name)),
            Self::Kebab => name.replace('_', "-"),
            Self::ScreamingKebab => name.to_ascii_uppercase().replace('_', "-"),
        }
    }

    pub(crate) fn of_variant(self, name: &str) -> String {
        match self {
            Self::Pascal => name.to_owned(),
            Self::Lower => name.to_ascii_lowercase(),
            Self::Upper => name.to_ascii_uppercase(),
            Self::Camel => uncapitalized(name),
            Self::Snake => words(name, '_').to_ascii_lowercase(),
            Self::ScreamingSnake => words(name, '_').to_ascii_uppercase(),
            // Underscores of the name itself become hyphens too.
            Self::Kebab => Self::Snake.of_variant(name).replace('_', "-"),
            Self::ScreamingKebab => Self::ScreamingSnake.of_variant(name).replace('_', "-"),
        }
    }
}

/// A separator before every capital but the first letter.
fn words(name: &str, separator: char) -> String {
    let mut separated = String::with_capacity(name.len() + 4);
    for (at, c) in name.char_indices() {
        if at > 0 && c.is_uppercase() {
            separated.push(separator);
        }
        separated.push(c);
    }
    separated
}

fn capitalized(word: &str) -> String {
    with_first(word, |c| c.to_ascii_uppercase())
}

fn uncapitalized(word: &str) -> String {
    with_first(word, |c| c.to_ascii_lowercase())
}

fn with_first(word: &str, change: fn(&char) -> char) -> String {
    let mut chars = word.chars();
    let first = chars.next();
    first.iter().map(change).chain(chars).collect()
}
