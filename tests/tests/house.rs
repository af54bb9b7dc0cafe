//! What the project says of itself is so.

use std::{collections::BTreeSet, fs, path::Path};

/// The root of the workspace.
fn root() -> &'static Path {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    tests.parent().expect("a folder of the workspace")
}

/// Each `FOLDER/FILE.rs::NAME` between backticks.
fn cited(text: &str) -> BTreeSet<(String, String)> {
    let name = |c: char| c == '_' || c.is_ascii_alphanumeric();
    let path = |c: char| matches!(c, '/' | '-' | '.') || name(c);
    let mentions = text.split('`').skip(1).step_by(2);
    mentions
        .filter_map(|mention| {
            let (file, test) = mention.split_once("::")?;
            let wanted = file.ends_with(".rs") && file.chars().all(path) && test.chars().all(name);
            wanted.then(|| (file.to_owned(), test.to_owned()))
        })
        .collect()
}

/// The names of a file's tests.
fn tests_of(file: &str) -> BTreeSet<String> {
    let text = fs::read_to_string(root().join(file)).unwrap_or_default();
    let mut names = BTreeSet::new();
    let mut is_next = false;
    for line in text.lines().map(str::trim) {
        if line.starts_with("#[test]") || line.starts_with("#[tokio::test") {
            is_next = true;
        } else if let Some((_, rest)) = line.split_once("fn ")
            && std::mem::take(&mut is_next)
        {
            names.extend(rest.split('(').next().map(str::to_owned));
        }
    }
    names
}

/// Looks that each test that a page names exists, and that it names at least so many.
fn names_what_exists(page: &str, least: usize) {
    let text = fs::read_to_string(root().join(page)).expect("a page of the book");
    let cited = cited(&text);
    assert!(
        cited.len() > least,
        "the page's form has changed: {}",
        cited.len()
    );
    let missing = cited
        .iter()
        .filter(|(file, name)| !tests_of(file).contains(name));
    let missing: Vec<String> = missing
        .map(|(file, name)| format!("{file}::{name}"))
        .collect();
    assert!(missing.is_empty(), "no such tests:\n{}", missing.join("\n"));
}

#[test]
fn every_test_named_in_seeds_exists() {
    names_what_exists("docs/seeds.md", 120);
}

#[test]
fn every_test_named_in_parity_exists() {
    names_what_exists("docs/parity.md", 100);
}

/// Each behaviour has a line that says how it is shown, how it differs, or what it waits for.
#[test]
fn every_line_of_parity_says_how_it_is() {
    let text = fs::read_to_string(root().join("docs/parity.md")).expect("a page of the book");
    let lines: Vec<&str> = text
        .lines()
        .filter(|line| line.starts_with("| B"))
        .collect();
    assert!(lines.len() > 100, "the page's form has changed");
    let mut ids = BTreeSet::new();
    for line in lines {
        let cells: Vec<&str> = line.trim_matches('|').split(" | ").map(str::trim).collect();
        let [id, _behaviour, shown] = cells[..] else {
            panic!("three cells: {line}");
        };
        assert!(ids.insert(id), "twice: {id}");
        assert!(
            !cited(shown).is_empty() || shown.contains("**differs**"),
            "{line}"
        );
    }
}
