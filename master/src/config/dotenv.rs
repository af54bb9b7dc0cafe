//! Files of variables (`env_file`), in the syntax that dotenv tools share.
//!
//! ```text
//! # a comment
//! export NAME=value           # `export` may stand in front
//! GREETING="two\nlines"       # \n \t \r \" \\ \$ in double quotes, which may span lines
//! PATTERN='$taken as it is'   # nothing in single quotes
//! ```
//! Values are taken as they stand: nothing is replaced in them.

use super::errors::Wrong;

/// A variable's name and the offset of it in the text.
type Named = (String, usize);

/// What is wrong, and at which offset.
type Fault = (usize, Wrong);

/// The variables of a text, in order; a later one of a name wins. What is no variable is told with its offset.
pub(super) fn parse(text: &str) -> (Vec<(Named, String)>, Vec<Fault>) {
    let mut reader = Reader { text, at: 0 };
    let (mut found, mut faults) = (Vec::new(), Vec::new());
    while let Some(read) = reader.line() {
        match read {
            Ok(Some(variable)) => found.push(variable),
            Ok(None) => {}
            Err(fault) => faults.push(fault),
        }
    }
    (found, faults)
}

struct Reader<'t> {
    text: &'t str,
    at: usize,
}

type Read = Result<Option<(Named, String)>, Fault>;

impl Reader<'_> {
    /// The next variable, with as many lines as it takes; `Ok(None)` for a line without one. `None` at the end.
    fn line(&mut self) -> Option<Read> {
        if self.at >= self.text.len() {
            return None;
        }
        let start = self.at;
        let line = self.text[start..].split('\n').next().unwrap_or_default();
        self.at = start + line.len() + 1;
        let trimmed = line.trim_start_matches(['\u{feff}', ' ', '\t']);
        let trimmed = match trimmed.strip_prefix("export") {
            Some(rest) if rest.starts_with([' ', '\t']) => rest.trim_start(),
            Some(_) | None => trimmed,
        };
        if trimmed.trim().is_empty() || trimmed.starts_with('#') {
            return Some(Ok(None));
        }
        let from = start + line.len() - trimmed.len();
        let Some((name, value)) = trimmed.split_once('=') else {
            let problem = format!("{:?} is no variable", trimmed.trim());
            let fix = "write NAME=value, or put a # in front";
            return Some(Err((from, Wrong::new(problem, fix))));
        };
        let value_at = from + name.len() + 1;
        let lead = value.len() - value.trim_start_matches([' ', '\t']).len();
        let name = (name.trim_end().to_owned(), from);
        let value = match value.as_bytes().get(lead) {
            Some(quote @ (b'"' | b'\'')) => self.quoted(value_at + lead + 1, char::from(*quote)),
            Some(_) | None => Ok(plain(value)),
        };
        Some(value.map(|value| Some((name, value))))
    }

    /// What stands from `start` to the closing quote, which may be lines further down.
    fn quoted(&mut self, start: usize, quote: char) -> Result<String, Fault> {
        let mut value = String::new();
        let mut characters = self.text[start..].char_indices();
        while let Some((at, c)) = characters.next() {
            match c {
                c if c == quote => {
                    let rest = &self.text[start + at + 1..];
                    self.at = start + at + 1 + rest.find('\n').map_or(rest.len(), |end| end + 1);
                    return Ok(value);
                }
                '\\' if quote == '"' => match characters.next() {
                    Some((_, 'n')) => value.push('\n'),
                    Some((_, 't')) => value.push('\t'),
                    Some((_, 'r')) => value.push('\r'),
                    Some((_, c @ ('"' | '\\' | '$'))) => value.push(c),
                    Some((_, other)) => value.extend(['\\', other]),
                    None => {}
                },
                c => value.push(c),
            }
        }
        let problem = format!("the quote {quote} is never closed");
        Err((start - 1, Wrong::new(problem, "close it")))
    }
}

/// A value without quotes: up to a comment, without blanks around it.
fn plain(value: &str) -> String {
    let comment = value
        .match_indices('#')
        .map(|(at, _)| at)
        .find(|at| *at == 0 || value[..*at].ends_with([' ', '\t']));
    value[..comment.unwrap_or(value.len())].trim().to_owned()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn by_name(text: &str) -> BTreeMap<String, String> {
        let (found, faults) = parse(text);
        assert_eq!(faults, []);
        let pairs = found.into_iter().map(|((name, _), value)| (name, value));
        pairs.collect()
    }

    #[test]
    fn the_syntax_that_dotenv_tools_share() {
        let text = "\u{feff}A=1\n\n# no\n  export B = two words  # comment\r\nC=\"x\\ny \\\"q\\\" # kept\" # gone\n\
                    D='$as \\n it is'\nE=\nF=a#b\nG=\"over\ntwo lines\"\nexported=1\nA=last\nH=k=v";
        let found = by_name(text);
        let expected = [
            ("A", "last"),
            ("B", "two words"),
            ("C", "x\ny \"q\" # kept"),
            ("D", "$as \\n it is"),
            ("E", ""),
            ("F", "a#b"),
            ("G", "over\ntwo lines"),
            ("H", "k=v"),
            ("exported", "1"),
        ];
        let expected = expected.map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(found, BTreeMap::from(expected));
    }

    #[test]
    fn each_fault_has_its_place_and_hides_no_other() {
        let (found, faults) = parse("A=1\nnonsense\nB=2\nC=\"open\n");
        let names: Vec<&str> = found.iter().map(|((name, _), _)| name.as_str()).collect();
        assert_eq!(names, ["A", "B"]);
        let told: Vec<(usize, &str)> = faults
            .iter()
            .map(|(at, wrong)| (*at, wrong.problem.as_str()))
            .collect();
        assert_eq!(
            told,
            [
                (4, "\"nonsense\" is no variable"),
                (19, "the quote \" is never closed")
            ]
        );
    }
}
