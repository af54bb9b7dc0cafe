//! Names that nobody gave: an app's, from its command.

use std::path::Path;

use super::app::AppName;

/// The longest name of an app, a master or a socket, in bytes.
const LONGEST: usize = 64;

/// Extensions that a script's name is better without.
const SCRIPTS: [&str; 14] = [
    "js", "mjs", "cjs", "ts", "mts", "py", "rb", "pl", "php", "sh", "lua", "jar", "exe", "exs",
];

/// Programs that run another file: that file is the app.
const INTERPRETERS: [&str; 17] = [
    "node", "nodejs", "bun", "deno", "tsx", "ts-node", "ruby", "perl", "php", "java", "lua", "sh",
    "bash", "dash", "zsh", "elixir", "pypy",
];

/// Whether a name is one topic token of 1 to 64 bytes (`A-Z a-z 0-9 _ -`).
#[must_use]
pub fn is_token(name: &str) -> bool {
    let token = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || b == b'-';
    (1..=LONGEST).contains(&name.len()) && name.bytes().all(token)
}

/// The nearest token to any text: bytes that may not stand in one become `_`. "app" if nothing is left.
#[must_use]
pub fn token_of(text: &str) -> String {
    let token: String = text
        .chars()
        .take(LONGEST)
        .map(|c| match c {
            'a'..='z' | 'A'..='Z' | '0'..='9' | '_' | '-' => c,
            _ => '_',
        })
        .collect();
    match token.trim_matches('_') {
        "" => "app".into(),
        _ => token,
    }
}

/// The name of an app that was given none: its script's, or its program's.
///
/// ```
/// use ostler::config::naming::app_name_of;
/// let name = |command: &[&str]| app_name_of(&command.iter().map(|s| s.to_string()).collect::<Vec<_>>()).to_string();
/// assert_eq!(name(&["node", "server.js"]), "server");
/// assert_eq!(name(&["./target/release/api", "--port", "80"]), "api");
/// assert_eq!(name(&["python3", "-m", "shop.web"]), "shop_web");
/// ```
#[must_use]
pub fn app_name_of(command: &[String]) -> AppName {
    let words = without_env(command);
    let program = words.first().map_or("app", |word| base_name(word));
    let subject = match is_interpreter(program) {
        true => script_of(&words[1..]).unwrap_or(program),
        false => program,
    };
    AppName::new(&token_of(without_extension(subject))).expect("token_of gives a token")
}

/// A command behind `env NAME=VALUE …`.
fn without_env(command: &[String]) -> &[String] {
    if command.first().map(|word| base_name(word)) != Some("env") {
        return command;
    }
    let skipped = command[1..]
        .iter()
        .take_while(|word| word.starts_with('-') || word.contains('='))
        .count();
    &command[1 + skipped..]
}

fn is_interpreter(program: &str) -> bool {
    program.starts_with("python") || INTERPRETERS.contains(&program)
}

/// What an interpreter runs: the module after `-m`, the archive after `-jar`, or the first word that is no option.
fn script_of(words: &[String]) -> Option<&str> {
    let mut words = words.iter().map(String::as_str);
    while let Some(word) = words.next() {
        match word {
            "-m" | "-jar" => return words.next().map(base_name),
            // A program text, not a file.
            "-c" | "-e" | "--eval" => return None,
            // `deno run`, `bun run`.
            "run" => {}
            _ if word.starts_with('-') => {}
            _ => return Some(base_name(word)),
        }
    }
    None
}

fn base_name(word: &str) -> &str {
    Path::new(word)
        .file_name()
        .and_then(|name| name.to_str())
        .unwrap_or(word)
}

fn without_extension(name: &str) -> &str {
    match name.rsplit_once('.') {
        Some((stem, extension)) if !stem.is_empty() && SCRIPTS.contains(&extension) => stem,
        _ => name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_app_is_named_for_what_it_runs() {
        let cases = [
            ("node server.js", "server"),
            ("node --inspect dist/api.mjs 8080", "api"),
            ("python3.12 -m http.server", "http_server"),
            ("python3 -u app.py", "app"),
            ("python3 -c pass", "python3"),
            ("/usr/bin/env NODE_ENV=x node web.js", "web"),
            ("java -jar shop-1.2.jar", "shop-1_2"),
            ("deno run -A main.ts", "main"),
            ("./target/release/api --port 80", "api"),
            ("gunicorn app:app", "gunicorn"),
            ("npm start", "npm"),
            ("/bin/sh -c ls", "sh"),
            ("./серверъ", "app"),
            ("./my server.js", "my"),
        ];
        for (command, name) in cases {
            let words: Vec<String> = command.split(' ').map(str::to_owned).collect();
            assert_eq!(app_name_of(&words).as_str(), name, "{command}");
        }
        assert_eq!(
            app_name_of(&["./my server.js".into()]).as_str(),
            "my_server"
        );
        assert_eq!(app_name_of(&["x".repeat(200)]).as_str().len(), 64);
    }
}
