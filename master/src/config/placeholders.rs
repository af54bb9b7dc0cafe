//! `${NAME}` in values: variables of the environment in which the file is read.
//!
//! `${NAME:-other}` stands for `other` where `NAME` is unset or empty, and `$$` for `$`. Any other `$` is left as it is, and so are
//! `{slot}` and its like, which are filled in for each worker when it starts.

use toml::de::DeValue;

use super::{
    errors::Wrong,
    walk::{Node, Walker},
};

/// Replaces the placeholders of a value and of all within it. `key` names it in faults.
pub(super) fn expand(walker: &mut Walker<'_>, key: &str, node: &mut Node<'_>) {
    let span = node.span();
    match node.get_mut() {
        DeValue::String(text) => match expanded(text, &walker.circumstances.variables) {
            Ok(Some(new)) => {
                *text = new.into();
                walker.note_filled(&span);
            }
            Ok(None) => {}
            Err(wrong) => walker.fault(span, key, wrong),
        },
        DeValue::Array(items) => {
            for (i, item) in items.iter_mut().enumerate() {
                expand(walker, &format!("{key}[{i}]"), item);
            }
        }
        DeValue::Table(table) => {
            for (name, value) in table.iter_mut() {
                let key = match key {
                    "" => name.get_ref().to_string(),
                    key => format!("{key}.{}", name.get_ref()),
                };
                expand(walker, &key, value);
            }
        }
        DeValue::Integer(_) | DeValue::Float(_) | DeValue::Boolean(_) | DeValue::Datetime(_) => {}
    }
}

type Variables = std::collections::BTreeMap<String, String>;

/// The text with its placeholders replaced; `None` if it has none.
fn expanded(text: &str, variables: &Variables) -> Result<Option<String>, Wrong> {
    if !text.contains("$$") && !text.contains("${") {
        return Ok(None);
    }
    let mut filled = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        filled.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        if let Some(after) = rest.strip_prefix('$') {
            filled.push('$');
            rest = after;
        } else if let Some(after) = rest.strip_prefix('{') {
            let end = closing(after).ok_or_else(|| {
                let fix = "close it with `}`, or write `$$` for a `$`";
                Wrong::new(format!("{text:?} has a `${{` that is never closed"), fix)
            })?;
            filled.push_str(&value_of(&after[..end], variables)?);
            rest = &after[end + 1..];
        } else {
            filled.push('$');
        }
    }
    filled.push_str(rest);
    Ok(Some(filled))
}

/// Where the brace is closed that was opened before `text`.
fn closing(text: &str) -> Option<usize> {
    let mut open = 0_usize;
    for (at, c) in text.char_indices() {
        match c {
            '{' => open += 1,
            '}' if open == 0 => return Some(at),
            '}' => open -= 1,
            _ => {}
        }
    }
    None
}

fn value_of(placeholder: &str, variables: &Variables) -> Result<String, Wrong> {
    let (name, otherwise) = match placeholder.split_once(":-") {
        Some((name, otherwise)) => (name, Some(otherwise)),
        None => (placeholder, None),
    };
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    if name.is_empty()
        || !name.chars().all(is_name)
        || name.starts_with(|c: char| c.is_ascii_digit())
    {
        let fix = "write ${NAME} or ${NAME:-other}, or `$$` for a `$`";
        return Err(Wrong::new(
            format!("${{{placeholder}}} names no variable"),
            fix,
        ));
    }
    match (variables.get(name), otherwise) {
        (Some(value), None) => Ok(value.clone()),
        (Some(value), Some(_)) if !value.is_empty() => Ok(value.clone()),
        (_, Some(otherwise)) => {
            Ok(expanded(otherwise, variables)?.unwrap_or_else(|| otherwise.to_owned()))
        }
        (None, None) => Err(Wrong::new(
            format!("the variable {name} is not set"),
            format!("set it, or say what stands in its place: ${{{name}:-other}}"),
        )),
    }
}

/// A text of others as a value of ours: its `${…}` and `$$` are no placeholders.
pub(crate) fn verbatim(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    let mut characters = text.chars().peekable();
    while let Some(c) = characters.next() {
        escaped.push(c);
        if c == '$' && matches!(characters.peek(), Some('$' | '{')) {
            escaped.push('$');
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variables() -> Variables {
        let set = [("TIER", "staging"), ("EMPTY", "")];
        set.map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into()
    }

    #[test]
    fn placeholders_are_replaced_and_all_else_stays() {
        let cases = [
            ("${TIER}-${TIER}", "staging-staging"),
            ("${EMPTY}", ""),
            ("${EMPTY:-none}", "none"),
            ("${NO:-a b}c", "a bc"),
            ("${NO:-}", ""),
            ("${NO:-${TIER}}!", "staging!"),
            ("${TIER:-${NO}}", "staging"),
            ("$${TIER} $$ $5", "${TIER} $ $5"),
            ("${NO:-{slot}} {slot}", "{slot} {slot}"),
        ];
        for (text, filled) in cases {
            assert_eq!(
                expanded(text, &variables()),
                Ok(Some(filled.to_owned())),
                "{text}"
            );
        }
        for untouched in ["plain", "$HOME $1", "{port:http}"] {
            assert_eq!(expanded(untouched, &variables()), Ok(None));
        }
    }

    #[test]
    fn what_cannot_be_replaced_is_refused() {
        let cases = [
            (
                "x ${NO}",
                "the variable NO is not set; set it, or say what stands in its place: ${NO:-other}",
            ),
            ("${TIER", "\"${TIER\" has a `${` that is never closed"),
            ("${}", "${} names no variable"),
            ("${a b}", "${a b} names no variable"),
            ("${NO:-${NEITHER}}", "the variable NEITHER is not set"),
        ];
        for (text, problem) in cases {
            let wrong = expanded(text, &variables()).unwrap_err();
            assert!(wrong.to_string().starts_with(problem), "{text}: {wrong}");
        }
    }
}
