//! An app in the making: keys and values in the order of writing, and what could not be said.

use std::fmt::Write as _;

use toml::Value;

use crate::config::naming;

/// One app.
#[derive(Debug, Default)]
pub(super) struct Draft {
    name: String,
    keys: Vec<(&'static str, Value)>,
    /// Variables, for all environments.
    pub(super) env: toml::Table,
    /// Variables by environment.
    pub(super) environments: Vec<(String, toml::Table)>,
    notes: Vec<String>,
}

impl Draft {
    pub(super) fn new(name: &str) -> Self {
        Self {
            name: naming::token_of(name),
            ..Self::default()
        }
    }

    pub(super) fn set(&mut self, key: &'static str, value: impl Into<Value>) {
        self.keys.push((key, value.into()));
    }

    /// Says something about it in a comment.
    pub(super) fn note(&mut self, note: impl Into<String>) {
        self.notes.push(note.into());
    }
}

/// The process file.
pub(super) fn render(source: &str, drafts: &[Draft]) -> String {
    let mut out = format!(
        "# From {}. Check it with `ostler validate`.\n",
        line(source)
    );
    let mut names = Vec::new();
    for draft in drafts {
        let name = unused(&draft.name, &names);
        let _ = write!(out, "\n[app.{name}]\n");
        for note in &draft.notes {
            let _ = writeln!(out, "# {}", line(note));
        }
        for (key, value) in &draft.keys {
            let _ = writeln!(out, "{key} = {value}");
        }
        table(&mut out, &format!("app.{name}.env"), &draft.env);
        for (environment, env) in &draft.environments {
            let environment = quoted(environment);
            table(
                &mut out,
                &format!("app.{name}.environment.{environment}.env"),
                env,
            );
        }
        names.push(name);
    }
    out
}

/// A name that no app before has.
fn unused(name: &str, taken: &[String]) -> String {
    let mut numbered = (2_u32..).map(|n| format!("{name}-{n}"));
    match taken.iter().any(|other| other == name) {
        false => name.to_owned(),
        true => numbered
            .find(|name| !taken.contains(name))
            .unwrap_or_else(|| name.to_owned()),
    }
}

fn table(out: &mut String, header: &str, table: &toml::Table) {
    if table.is_empty() {
        return;
    }
    let _ = writeln!(out, "[{header}]");
    for (name, value) in table {
        let _ = writeln!(out, "{} = {value}", quoted(name));
    }
}

/// A key, in quotes if it needs them.
fn quoted(key: &str) -> String {
    match naming::is_token(key) {
        true => key.to_owned(),
        false => Value::String(key.to_owned()).to_string(),
    }
}

/// A comment is one line.
fn line(text: &str) -> String {
    text.replace(|c: char| c.is_control(), " ")
}
