//! Help and version.

use super::*;

/// The verbs that the top-level help lists.
async fn verbs(dir: &PrivateDir) -> Vec<String> {
    let help = alone(dir, &["--help"]).success().await.stdout;
    let list = help
        .split("Commands:")
        .nth(1)
        .unwrap()
        .split("\n\n")
        .next()
        .unwrap()
        .to_owned();
    let names = list
        .lines()
        .filter(|line| line.starts_with("  ") && !line.starts_with("   "));
    names
        .filter_map(|line| line.split_whitespace().next())
        .map(str::to_owned)
        .collect()
}

#[tokio::test]
async fn help_teaches_by_example() {
    let dir = PrivateDir::new();
    let verbs = verbs(&dir).await;
    assert!(verbs.len() >= 13, "{verbs:?}");
    for verb in verbs {
        let help = alone(&dir, &[&verb, "--help"]).success().await.stdout;
        let example = format!("  ostler {verb}");
        assert!(
            help.contains("Examples:") && help.contains(&example),
            "{help}"
        );
        assert!(
            help.lines().all(|line| line.chars().count() <= 100),
            "{help}"
        );
    }
    let none = alone(&dir, &[]).fails_with(2).await;
    assert!(none.stderr.contains("Examples:"), "{none:#?}");
}

#[tokio::test]
async fn help_lists_only_what_exists() {
    let dir = PrivateDir::new();
    let verbs = verbs(&dir).await;
    for (verb, args) in VERBS.iter().map(|words| (words[0], &words[1..])) {
        assert!(
            verbs.iter().any(|known| known == verb) || verb == "status",
            "{verb} {args:?}"
        );
    }
    for later in ["upgrade", "repl", "__exec", "__zygote"] {
        assert!(!verbs.iter().any(|known| known == later), "{later}");
        alone(&dir, &[later, "--help"]).run().await;
    }
}

#[tokio::test]
async fn version_is_printed_and_in_the_status() {
    let fleet = Fleet::start(trivial(0)).await;
    let version = env!("CARGO_PKG_VERSION");
    fleet
        .ostler(["--version"])
        .stdout(format!("ostler {version}\n"))
        .success()
        .await;
    assert_eq!(fleet.status().await.master.version, version);
    fleet.logged(format!("ostler {version}")).await;
}
