//! Several masters, and those that do not start.

use super::*;

/// Another master in the same home.
async fn beside(fleet: &Fleet, name: &str) -> Process {
    let args = ["run", "-n", name, "-i", "0", "--", "true"];
    let mut process = fleet.ostler(args).start();
    process.stderr.wait_for_line("master ", PATIENCE).await;
    process
}

#[tokio::test]
async fn masters_are_told_apart_by_name() {
    let fleet = Fleet::start(trivial(0)).await;
    let other = beside(&fleet, "shop").await;
    let listed = fleet.ostler(["ls"]).stdout("").fails_with(2).await;
    let expected = format!("shop (pid {})", other.id());
    assert!(
        listed.stderr.contains(&expected) && listed.stderr.contains("web (pid"),
        "{listed:#?}"
    );
    assert!(listed.stderr.contains("hint: add -M "), "{listed:#?}");
    for (name, pid) in [("web", fleet.process.id()), ("shop", other.id())] {
        let report = fleet
            .ostler(["-M", name, "ls", "--json"])
            .success()
            .await
            .json();
        assert_eq!(
            (&report["master"]["title"], &report["master"]["pid"]),
            (&json!(name), &json!(pid))
        );
    }
    let unknown = fleet.ostler(["ls", "-M", "nobody"]).fails_with(3).await;
    assert!(
        unknown.stderr.contains("web") && unknown.stderr.contains("shop"),
        "{unknown:#?}"
    );
    fleet.ostler(["kill", "-M", "shop"]).success().await;
    assert_eq!(
        fleet.ostler(["ls", "--json"]).success().await.json()["master"]["title"],
        "web"
    );
}

#[tokio::test]
async fn master_that_cannot_start_makes_nothing() {
    let dir = PrivateDir::new();
    let output = alone(&dir, &["run", "--", "./nothing-here"])
        .fails_with(2)
        .await;
    assert!(output.stderr.contains("nothing-here"), "{output:#?}");
    assert!(!dir.at("home").exists());
}
