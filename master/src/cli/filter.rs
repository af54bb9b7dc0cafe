//! `--filter FIELD=VALUE`: which of the lines that `tail` would print.

use std::str::FromStr;

use serde_json::Value;

use crate::config::errors::Wrong;

/// A field of an event's JSON line, and what it must be.
#[derive(Clone, Debug, PartialEq)]
pub struct Filter {
    path: Vec<String>,
    /// As text, for strings.
    text: String,
    /// As JSON, for all else.
    json: Option<Value>,
}

impl FromStr for Filter {
    type Err = Wrong;

    fn from_str(text: &str) -> Result<Self, Wrong> {
        let fix = "write a field of the JSON line and its value: payload.id=7, origin.Worker.app=web, topic=orders.created";
        let (path, value) = text
            .split_once('=')
            .ok_or_else(|| Wrong::new(format!("{text:?} has no ="), fix))?;
        let path: Vec<String> = path.split('.').map(str::to_owned).collect();
        if path.iter().any(String::is_empty) {
            return Err(Wrong::new(format!("{text:?} names no field"), fix));
        }
        Ok(Self {
            path,
            text: value.to_owned(),
            json: serde_json::from_str(value).ok(),
        })
    }
}

impl Filter {
    /// Whether an event's line is meant.
    #[must_use]
    pub fn takes(&self, line: &Value) -> bool {
        let field = self.path.iter().try_fold(line, |value, name| match value {
            Value::Object(fields) => fields.get(name),
            Value::Array(items) => items.get(name.parse::<usize>().ok()?),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => None,
        });
        match (field, &self.json) {
            (Some(Value::String(field)), json) => {
                *field == self.text || json.as_ref().and_then(Value::as_str) == Some(field)
            }
            // 7 is 7.0, however it was written.
            (Some(Value::Number(field)), Some(Value::Number(wanted))) => {
                field == wanted
                    || field.as_f64().is_some_and(|n| wanted.as_f64() == Some(n))
                        && (field.is_f64() || wanted.is_f64())
            }
            (Some(field), Some(wanted)) => field == wanted,
            (Some(_), None) | (None, _) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn takes(filter: &str) -> bool {
        let line = json!({
            "seq": 7,
            "topic": "orders.created",
            "origin": {"Worker": {"app": "web", "id": 3}},
            "payload": {
                "id": 7, "total": 9.5, "name": "7", "big": 9_007_199_254_740_993_u64,
                "items": [{"sku": "a"}, {"sku": "b"}], "gone": null, "ok": true, "a=b": 1
            },
        });
        filter.parse::<Filter>().unwrap().takes(&line)
    }

    #[test]
    fn a_field_is_found_by_its_path_and_compared_as_what_it_is() {
        for filter in [
            "seq=7",
            "topic=orders.created",
            "topic=\"orders.created\"",
            "origin.Worker.app=web",
            "payload.id=7",
            "payload.id=7.0",
            "payload.total=9.50",
            "payload.name=7",
            "payload.name=\"7\"",
            "payload.big=9007199254740993",
            "payload.items.1.sku=b",
            "payload.items.0={\"sku\":\"a\"}",
            "payload.gone=null",
            "payload.ok=true",
        ] {
            assert!(takes(filter), "{filter}");
        }
        for filter in [
            "payload.id=8",
            "payload.id=seven",
            "payload.id=",
            "payload.big=9007199254740992",
            "payload.other=null",
            "payload.items.2.sku=b",
            "payload.items.x=b",
            "payload.name.7=7",
            "origin.Client.name=web",
            "payload.ok=1",
        ] {
            assert!(!takes(filter), "{filter}");
        }
    }

    #[test]
    fn what_is_no_filter_says_how_one_looks() {
        for text in ["payload.id", "", "=7", "payload..id=7", ".=1"] {
            let wrong = text.parse::<Filter>().unwrap_err();
            assert!(wrong.fix.contains("payload.id=7"), "{text}");
        }
    }
}
