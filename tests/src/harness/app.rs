//! An app's table of a process file, written in a line.

use std::fmt::Write as _;

use serde_json::Value;

/// An app as a process file describes it. `instances` is 1 unless set, so that no test depends on the machine's cores.
#[derive(Clone, Debug)]
pub struct App {
    name: String,
    keys: Vec<(String, Value)>,
}

impl App {
    /// An app that runs this command.
    #[must_use]
    pub fn new(name: &str, command: impl IntoIterator<Item = impl AsRef<str>>) -> Self {
        let words: Vec<_> = command
            .into_iter()
            .map(|word| Value::from(word.as_ref()))
            .collect();
        let app = Self {
            name: name.into(),
            keys: Vec::new(),
        };
        app.set("command", words).set("instances", 1)
    }

    /// Sets a key. Strings, numbers, booleans, arrays and tables are written as JSON has them: `json!({"A": "b"})`.
    #[must_use]
    pub fn set(mut self, key: &str, value: impl Into<Value>) -> Self {
        self.keys.retain(|(name, _)| name != key);
        self.keys.push((key.into(), value.into()));
        self
    }

    /// Sets the number of workers.
    #[must_use]
    pub fn instances(self, instances: u32) -> Self {
        self.set("instances", instances)
    }

    /// Declares one socket on a free port.
    #[must_use]
    pub fn listening(self) -> Self {
        self.set("listen", "127.0.0.1:0")
    }

    /// The newcomers of an update are not watched once they are ready.
    #[must_use]
    pub fn unwatched(self) -> Self {
        self.set("min_healthy", "0s")
    }

    /// A whole process file of a master named `test`.
    #[must_use]
    pub fn file(apps: &[Self]) -> String {
        let mut text = "name = \"test\"\n".to_owned();
        for app in apps {
            writeln!(text, "[app.{}]", app.name).expect("memory");
            for (key, value) in &app.keys {
                writeln!(text, "{key} = {}", toml(value)).expect("memory");
            }
        }
        text
    }
}

/// JSON as TOML: all but tables look the same.
fn toml(value: &Value) -> String {
    match value {
        Value::Object(fields) => {
            let fields = fields
                .iter()
                .map(|(name, value)| format!("{name:?} = {}", toml(value)));
            format!("{{ {} }}", fields.collect::<Vec<_>>().join(", "))
        }
        Value::Array(items) => {
            let items = items.iter().map(toml);
            format!("[{}]", items.collect::<Vec<_>>().join(", "))
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => value.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_file_is_toml() {
        let app = App::new("web", ["sh", "-c", "echo \"$X\""])
            .instances(2)
            .set("env", json!({"A": "b\n", "N": 3}))
            .set("stop_exit_codes", json!([1, 2]))
            .unwatched();
        let text = App::file(&[app, App::new("api", ["true"])]);
        assert_eq!(
            text,
            "name = \"test\"\n[app.web]\ncommand = [\"sh\", \"-c\", \"echo \\\"$X\\\"\"]\ninstances = 2\n\
             env = { \"A\" = \"b\\n\", \"N\" = 3 }\nstop_exit_codes = [1, 2]\nmin_healthy = \"0s\"\n\
             [app.api]\ncommand = [\"true\"]\ninstances = 1\n"
        );
    }
}
