//! A command line that only a shell understands, and how the shell that runs it gets out of the way.
//!
//! - A **simple** command (`node "my server.js" > out.txt`) is put behind `exec`: the shell becomes the program.
//! - A line whose **last** command begins with `exec` is left as it is, for the same reason.
//! - Of any other the shell **stays**, as the leader of the worker's processes. It is then told of a stop as they are, by a
//!   signal to the whole group; it waits for them, and ends when they have.

/// What a shell that stays does about the signals of a kill ladder. Its children don't inherit it.
const WAIT_FOR_ALL: &str = "trap 'wait; exit 143' TERM; trap 'wait; exit 130' INT; \
                            trap 'wait; exit 129' HUP; trap 'wait; exit 131' QUIT\n";

/// What `exec` can't be put before: words that only the shell itself can act on.
const OF_THE_SHELL: [&str; 30] = [
    "if", "while", "until", "for", "case", "{", "!", "[[", "function", "cd", "export", "set",
    "unset", "ulimit", "umask", "exec", ".", "source", "eval", "trap", ":", "alias", "wait",
    "exit", "return", "command", "readonly", "shift", "read", "local",
];

/// The command that runs a line in `/bin/sh`.
pub(super) fn command(line: &str) -> Vec<String> {
    let line = line.trim();
    let text = match shape(line) {
        Shape::Simple { program } => format!("{}exec {}", &line[..program], &line[program..]),
        Shape::EndsInExec => line.to_owned(),
        Shape::Stays => format!("{WAIT_FOR_ALL}{line}"),
    };
    vec!["/bin/sh".into(), "-c".into(), text]
}

/// Whether a command is a shell that stays: signals are for its whole group.
#[must_use]
pub fn stays(command: &[String]) -> bool {
    matches!(command, [shell, flag, text] if shell == "/bin/sh" && flag == "-c" && text.starts_with(WAIT_FOR_ALL))
}

/// A command for people: of a shell that stays, the line it was given.
#[must_use]
pub fn shown(command: &[String]) -> String {
    match command {
        [.., text] if stays(command) => text.replacen(WAIT_FOR_ALL, "", 1),
        words => words.join(" "),
    }
}

#[derive(Debug, PartialEq)]
enum Shape {
    /// One command without control operators; its program begins at this byte, behind assignments.
    Simple {
        program: usize,
    },
    EndsInExec,
    Stays,
}

fn shape(line: &str) -> Shape {
    let Some(words) = words(line) else {
        return Shape::Stays;
    };
    let last = words.iter().rposition(|word| word.operator);
    let begins = last.map_or(0, |at| at + 1);
    let program = words[begins..]
        .iter()
        .find(|word| !is_assignment(word.text(line)));
    let Some(program) = program else {
        return Shape::Stays;
    };
    match (last, program.text(line)) {
        (_, "exec") => Shape::EndsInExec,
        (None, name) if !OF_THE_SHELL.contains(&name) => Shape::Simple {
            program: program.start,
        },
        (None | Some(_), _) => Shape::Stays,
    }
}

struct Word {
    start: usize,
    end: usize,
    operator: bool,
}

impl Word {
    fn text<'l>(&self, line: &'l str) -> &'l str {
        &line[self.start..self.end]
    }
}

/// A line's words and control operators; `None` if it holds what would take a whole shell to understand: substitutions,
/// groups, an open quote, a comment.
fn words(line: &str) -> Option<Vec<Word>> {
    let mut words: Vec<Word> = Vec::new();
    let mut open: Option<usize> = None;
    let mut quote = None;
    let mut before = ' ';
    let mut chars = line.char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        let mut close = |open: &mut Option<usize>| {
            let start = open.take()?;
            words.push(Word {
                start,
                end: at,
                operator: false,
            });
            Some(())
        };
        match (quote, c) {
            (Some('"') | None, '`') => return None,
            (Some('"') | None, '$') if matches!(chars.peek(), Some((_, '('))) => return None,
            (Some('"') | None, '\\') => {
                open.get_or_insert(at);
                chars.next();
            }
            (Some(q), c) if q == c => quote = None,
            (Some(_), _) => {}
            (None, '\'' | '"') => {
                open.get_or_insert(at);
                quote = Some(c);
            }
            (None, '(' | ')') => return None,
            (None, '#') if open.is_none() => return None,
            (None, '&') if matches!(before, '<' | '>') => {}
            (None, '|') if before == '>' => {}
            (None, ';' | '&' | '|' | '\n') => {
                close(&mut open);
                words.push(Word {
                    start: at,
                    end: at + 1,
                    operator: true,
                });
            }
            (None, c) if c.is_whitespace() => {
                close(&mut open);
            }
            (None, _) => {
                open.get_or_insert(at);
            }
        }
        before = c;
    }
    if let Some(start) = open {
        words.push(Word {
            start,
            end: line.len(),
            operator: false,
        });
    }
    quote.is_none().then_some(words)
}

fn is_assignment(word: &str) -> bool {
    word.split_once('=').is_some_and(|(name, _)| {
        name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
            && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(line: &str) -> String {
        command(line).pop().expect("three words")
    }

    #[test]
    fn a_simple_command_replaces_its_shell() {
        for (line, run) in [
            ("node \"my server.js\"", "exec node \"my server.js\""),
            ("A=1 B='x; y' node $PORT", "A=1 B='x; y' exec node $PORT"),
            (
                "echo 'a | b' \\; >> out 2>&1",
                "exec echo 'a | b' \\; >> out 2>&1",
            ),
            ("./a *.txt", "exec ./a *.txt"),
        ] {
            assert_eq!(text(line), run);
            assert!(!stays(&command(line)));
        }
    }

    #[test]
    fn a_line_that_ends_in_exec_is_left_alone() {
        for line in [
            "cd web && exec node a.js",
            "exec ./a $X",
            "sleep 1; X=1 exec ./a",
        ] {
            assert_eq!(text(line), line);
            assert!(!stays(&command(line)));
        }
    }

    #[test]
    fn of_any_other_the_shell_stays() {
        for line in [
            "a | b",
            "a & b",
            "a; b",
            "a && b || c",
            "a\nb",
            "echo $(date)",
            "echo `date`",
            "(a)",
            "if a",
            "cd /srv",
            "A=1",
            "echo 'open",
            "a # comment",
            "exec a; b",
        ] {
            assert!(stays(&command(line)), "{line}");
            assert!(text(line).ends_with(line));
            assert_eq!(shown(&command(line)), line);
        }
        assert!(!stays(&["/bin/sh".into(), "-c".into(), "a; b".into()]));
    }
}
