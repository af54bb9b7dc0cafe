//! Command lines as people type them.

use std::time::Duration;

use clap::{CommandFactory as _, error::ErrorKind};
use ostler_bus::vocab::control::ScaleTo;

use super::*;
use crate::{
    cli::{error::Exit, style::Style},
    config::{
        app::{AppName, Readiness},
        flags::AppFlags,
        settings::Instances,
    },
};

fn parse(line: &str) -> Result<Cli, clap::Error> {
    Cli::read(
        ["ostler"]
            .into_iter()
            .chain(line.split(' '))
            .map(OsString::from),
    )
}

fn verb(line: &str) -> Verb {
    parse(line)
        .unwrap_or_else(|error| panic!("{line}: {error}"))
        .verb
}

fn run(line: &str) -> Result<RunWhat, CliError> {
    let Verb::Run(args) = verb(line) else {
        panic!("{line} is no run")
    };
    args.what.what()
}

fn scale(line: &str) -> Result<(Option<String>, ScaleTo), CliError> {
    let Verb::Scale(args) = verb(line) else {
        panic!("{line} is no scale")
    };
    args.what()
}

#[test]
fn the_grammar_is_sound() {
    Cli::command().debug_assert();
}

#[test]
fn help_teaches_by_example_within_80_columns() {
    let mut command = Cli::command().term_width(80);
    command.build();
    let mut verbs = 0;
    for verb in command.get_subcommands_mut() {
        let help = verb.render_long_help().to_string();
        let name = verb.get_name();
        assert!(
            help.contains(&format!("Examples:\n  ostler {name}")),
            "{help}"
        );
        assert!(
            help.lines().all(|line| line.chars().count() <= 80),
            "{help}"
        );
        verbs += 1;
    }
    assert_eq!(verbs + 1, examples::ALL.len());
    // Examples are laid out by hand: clap must not need to wrap them.
    for line in examples::ALL.iter().flat_map(|text| text.lines()) {
        assert!(
            !line.starts_with("  ") || line.chars().count() <= 80,
            "{line}"
        );
    }
}

#[test]
fn run_takes_a_command_or_a_file() {
    let line = "run -M m -n web -i 2 -l :80 -l admin=9000 --ready delay(2s) --auto-reload --auto-reload=src -- node x -n 3";
    let flags = AppFlags {
        name: Some(AppName::new("web").unwrap()),
        command: ["node", "x", "-n", "3"].map(str::to_owned).to_vec(),
        instances: Some(Instances::Exactly(2)),
        listen: vec![":80".into(), "admin=9000".into()],
        ready: Some(Readiness::Delay(Duration::from_secs(2))),
        auto_reload: Some(vec![".".into(), "src".into()]),
    };
    assert_eq!(run(line).unwrap(), RunWhat::Command(flags));
    assert_eq!(parse(line).unwrap().master, MasterName::new("m").ok());
    assert_eq!(
        run("run shop.toml").unwrap(),
        RunWhat::File("shop.toml".into())
    );
    assert_eq!(
        run("run --log-format json").unwrap(),
        RunWhat::File("ostler.toml".into())
    );
}

#[test]
fn a_run_that_makes_no_sense_is_told_how_it_would() {
    let cases = [
        (
            "run node server.js",
            "to run a command, put `--` before it: ostler run -- node server.js",
        ),
        (
            "run server.js",
            "to run a command, put `--` before it: ostler run -- node server.js",
        ),
        (
            "run a.toml b.toml",
            "to run a command, put `--` before it: ostler run -- a.toml b.toml",
        ),
        (
            "run shop.toml -- node x",
            "leave one out; options stand before `--`, and the command after it",
        ),
        (
            "run --auto-reload src -- node x",
            "to watch it, write it behind a `=`: --auto-reload=src",
        ),
        (
            "run -i 2 shop.toml",
            "add it after `--`, or write the setting into shop.toml",
        ),
        (
            "run -l :80",
            "add it after `--`, or write the setting into ostler.toml",
        ),
    ];
    for (line, hint) in cases {
        let error = run(line).expect_err(line);
        assert_eq!(
            (error.exit, error.hint.as_deref()),
            (Exit::Usage, Some(hint))
        );
    }
}

#[test]
fn scale_takes_a_size_with_or_without_an_app() {
    let web = || Some("web".to_owned());
    assert_eq!(scale("scale 4"), Ok((None, ScaleTo::Exactly(4))));
    assert_eq!(scale("scale -2"), Ok((None, ScaleTo::Fewer(2))));
    assert_eq!(
        scale("scale web +2 --no-wait"),
        Ok((web(), ScaleTo::More(2)))
    );
    assert_eq!(scale("scale web 0"), Ok((web(), ScaleTo::Exactly(0))));
    for line in [
        "scale web",
        "scale web ++2",
        "scale +",
        "scale web 99999",
        "scale 4 web",
        "scale a.b 1",
        "scale a 1 b",
    ] {
        assert_eq!(scale(line).expect_err(line).exit, Exit::Usage);
    }
}

#[test]
fn start_takes_what_is_known_a_file_or_a_command() {
    let start = |line: &str| {
        let Verb::Start(args) = verb(line) else {
            panic!("{line} is no start")
        };
        args.what.start_what().map_err(|error| error.message)
    };
    let known = |words: &str| Ok(StartWhat::Known(Some(words.to_owned())));
    assert_eq!(start("start"), Ok(StartWhat::Anything));
    assert_eq!(start("start web"), known("web"));
    assert_eq!(start("start web:1 job-* 17"), known("web:1,job-*,17"));
    let file = RunWhat::File("shop.toml".into());
    assert_eq!(start("start shop.toml"), Ok(StartWhat::Run(file.clone())));
    assert_eq!(
        start("start shop.toml web db"),
        Ok(StartWhat::Run(file.clone()))
    );
    assert_eq!(
        start("start --env prod shop.toml"),
        Ok(StartWhat::Run(file))
    );
    assert!(matches!(
        start("start -n api -- node a.js"),
        Ok(StartWhat::Run(RunWhat::Command(_)))
    ));
    for (line, why) in [
        ("start -i 2 web", "-i goes with a process file or a command"),
        (
            "start --env prod web",
            "--env goes with a process file or a command",
        ),
        ("start shop.toml b.toml", "\"b.toml\""),
        ("start ./server", "names no app"),
    ] {
        let error = start(line).expect_err(line);
        assert!(error.contains(why), "{line}: {error}");
    }
}

#[test]
fn what_is_to_be_run_can_be_said_again() {
    for line in [
        "run shop.toml",
        "run --env prod --log-format json shop.yaml",
        "run -n api -i -1 -l :80 -l a=unix:x --ready delay(1500ms) --auto-reload=src -- node a.js -n 3",
        "run --only=web --only=db shop.toml",
        "run",
    ] {
        let given = |line: Vec<OsString>| {
            let words = ["ostler".into(), "run".into()].into_iter().chain(line);
            match Cli::read(words).expect("a run").verb {
                Verb::Run(args) => args.what,
                other => panic!("{other:?}"),
            }
        };
        let words = line.split(' ').skip(1).map(OsString::from).collect();
        let first = given(words);
        let again = given(first.words());
        assert_eq!(format!("{first:?}"), format!("{again:?}"), "{line}");
    }
}

#[test]
fn waiting_is_the_default_and_the_last_word_counts() {
    let waits = |line: &str| match verb(line) {
        Verb::Reload(args) => args.waiting.wanted(),
        Verb::Stop(args) => args.waiting.wanted(),
        Verb::Start(args) => args.waiting.wanted(),
        Verb::Kill(args) => args.waiting.wanted(),
        other => panic!("{other:?} has no waiting"),
    };
    assert!(waits("reload") && waits("stop --wait") && waits("kill --no-wait --wait"));
    assert!(!waits("start --no-wait") && !waits("reload --wait --no-wait"));
}

#[test]
fn bus_verbs() {
    let Verb::Emit(emit) = verb("emit a.b {\"id\":1} --wait c.>") else {
        panic!()
    };
    assert_eq!(
        (emit.topic.as_str(), emit.wait.as_deref()),
        ("a.b", Some("c.>"))
    );
    assert_eq!(emit.payload, serde_json::json!({ "id": 1 }));
    let Verb::Request(request) = verb("request masterStatus --timeout 250ms") else {
        panic!()
    };
    assert_eq!(
        (request.payload, request.timeout),
        (serde_json::json!({}), Duration::from_millis(250))
    );
    let Verb::Tail(tail) = verb("tail") else {
        panic!()
    };
    assert_eq!(tail.pattern, "*");
    assert!(matches!(
        verb("list --json"),
        Verb::Ls(JsonArgs { json: true })
    ));
    assert!(matches!(verb("status"), Verb::Ls(JsonArgs { json: false })));
}

#[test]
fn what_cannot_be_parsed_says_why() {
    let cases = [
        (
            "relaod",
            ErrorKind::InvalidSubcommand,
            "a similar subcommand exists: 'reload'",
        ),
        (
            "emit t {a:1}",
            ErrorKind::ValueValidation,
            "quote it for the shell, as in '{\"id\": 1}'",
        ),
        (
            "wait t --timeout 5",
            ErrorKind::ValueValidation,
            "\"5\" has no unit; write \"5s\" for seconds",
        ),
        (
            "run -i many -- x",
            ErrorKind::ValueValidation,
            "use a number from 0 to 4096",
        ),
        (
            "run --ready soon -- x",
            ErrorKind::ValueValidation,
            "use \"auto\", \"notify\", \"sdk\", \"delay(2s)\", \"http(unix:/run/web-{id}.sock /ready)\" or \"tcp(unix:/run/web-{id}.sock)\"",
        ),
        (
            "ls -M a.b",
            ErrorKind::ValueValidation,
            "is not a master's name",
        ),
        ("reload a.b", ErrorKind::ValueValidation, "names no app"),
        (
            "__exec",
            ErrorKind::InvalidSubcommand,
            "unrecognized subcommand",
        ),
    ];
    for (line, kind, told) in cases {
        let error = parse(line).expect_err(line);
        assert_eq!((error.kind(), error.exit_code()), (kind, 2), "{line}");
        assert!(error.to_string().contains(told), "{line}: {error}");
    }
    assert_eq!(parse("--help").unwrap_err().exit_code(), 0);
}

#[test]
fn an_error_is_rendered_with_its_hint() {
    let error = run("run server.js").unwrap_err();
    assert_eq!(
        error.render(Style::plain()),
        "error: \"server.js\" is not a process file (FILE.toml, .yaml or .json)\n\nhint: to run a command, put `--` before it: ostler run -- node server.js\n"
    );
}
