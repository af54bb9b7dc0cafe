//! What the project says of itself is so.

use std::{collections::BTreeSet, fs, path::Path};

/// The root of the workspace.
fn root() -> &'static Path {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    tests.parent().expect("a folder of the workspace")
}

/// Each `tests/tests/FILE.rs::NAME` of a text.
fn cited(text: &str) -> BTreeSet<(String, String)> {
    let mentions = text.split("tests/tests/").skip(1);
    mentions
        .filter_map(|rest| {
            let (file, rest) = rest.split_once(".rs::")?;
            let name = |c: char| c == '_' || c.is_ascii_alphanumeric();
            let path = |c: char| c == '/' || name(c);
            let end = rest.find(|c| !name(c)).unwrap_or(rest.len());
            file.chars()
                .all(path)
                .then(|| (file.to_owned(), rest[..end].to_owned()))
        })
        .collect()
}

/// The names of a file's tests.
fn tests_of(file: &str) -> BTreeSet<String> {
    let path = root().join("tests/tests").join(file).with_extension("rs");
    let text = fs::read_to_string(path).unwrap_or_default();
    let tests = text.split("\n#[").skip(1).filter(|rest| {
        let attribute = rest.split(']').next().unwrap_or_default();
        attribute.starts_with("test") || attribute.starts_with("tokio::test")
    });
    tests
        .filter_map(|rest| {
            let (_, rest) = rest.split_once("fn ")?;
            Some(rest.split('(').next()?.to_owned())
        })
        .collect()
}

#[test]
fn every_test_named_in_seeds_exists() {
    let seeds = fs::read_to_string(root().join("docs/seeds.md")).expect("a page of the book");
    let cited = cited(&seeds);
    assert!(
        cited.len() > 100,
        "the page's form has changed: {}",
        cited.len()
    );
    let missing = cited
        .iter()
        .filter(|(file, name)| !tests_of(file).contains(name));
    let missing: Vec<String> = missing
        .map(|(file, name)| format!("{file}.rs::{name}"))
        .collect();
    assert!(missing.is_empty(), "no such tests:\n{}", missing.join("\n"));
}
