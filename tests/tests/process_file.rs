//! The process file as a user meets it: environments, the order of starting, checking, importing, and taking up a changed one.

use std::fs;

use ostler_tests::{
    habit,
    harness::{App, Cli, Mark, Master, PATIENCE, PrivateDir, Programs, eventually},
    ostler,
};
use serde_json::{Value, json};

const PROGRAMS: Programs = ostler_tests::programs!();

fn alone(dir: &PrivateDir, args: &[&str]) -> Cli {
    let mark = Mark::new(dir.path());
    let cli = Cli::new(PROGRAMS.ostler).env("OSTLER_HOME", dir.at("home"));
    cli.env(Mark::VARIABLE, mark.value())
        .dir(dir.path())
        .args(args)
}

fn api(instances: u32) -> App {
    habit!("api", "notify 0").unwatched().instances(instances)
}

fn web() -> App {
    habit!("web", "notify 0").unwatched().listening()
}

async fn running(apps: &[App], names: &[&str]) -> Master {
    let master = ostler!().apps(apps).start().await;
    for name in names {
        master.settled(name, "running").await;
    }
    master
}

async fn actions(master: &Master) -> Vec<String> {
    let plan = master.ostler(["plan", "--json"]).success().await.json();
    let apps = plan["apps"].as_array().expect("apps").iter();
    apps.map(|app| {
        format!(
            "{} {}",
            app["action"].as_str().unwrap_or("?"),
            app["app"].as_str().unwrap_or("?")
        )
    })
    .collect()
}

#[tokio::test]
async fn a_changed_file_is_planned_and_taken_up() {
    let old = habit!("old", "notify 0").unwatched().listening();
    let apps = [web(), api(1), old, habit!("jobs", "notify 0").unwatched()];
    let master = running(&apps, &["web", "api", "old", "jobs"]).await;
    assert_eq!(
        actions(&master).await,
        ["keep api", "keep jobs", "keep old", "keep web"]
    );
    let output = master.ostler(["plan"]).success().await;
    assert_eq!(output.stdout, "nothing would change\n");
    let before = [
        master.pids("web").await,
        master.pids("api").await,
        master.pids("jobs").await,
    ];

    let jobs = habit!("jobs", "notify 0")
        .unwatched()
        .set("env", json!({"NEW": "1"}));
    master.rewrite(&[web(), api(2), jobs, habit!("new", "notify 0").unwatched()]);
    let expected = [
        "resize api",
        "roll jobs",
        "start new",
        "stop old",
        "keep web",
    ];
    let planned = actions(&master).await;
    assert_eq!(planned.len(), 5);
    assert!(
        expected
            .iter()
            .all(|one| planned.iter().any(|planned| planned == one)),
        "{planned:?}"
    );
    let words = master.ostler(["plan"]).success().await.stdout;
    assert!(
        words.contains("roll   jobs  differs in env\n") && words.ends_with("keep   web\n"),
        "{words}"
    );
    assert_eq!(master.pids("old").await.len(), 1, "a plan does nothing");

    let output = master.ostler(["reload", "--config"]).success().await;
    assert!(output.stderr.contains("reload done"), "{output:#?}");
    assert_eq!(
        master.pids("web").await,
        before[0],
        "untouched apps keep their workers"
    );
    let after = master.pids("api").await;
    assert_eq!((after.len(), after.get(&0)), (2, before[1].get(&0)));
    assert_ne!(master.pids("jobs").await, before[2]);
    assert_eq!(master.pids("new").await.len(), 1);
    let status = master.status().await;
    let names: Vec<&str> = status["apps"]
        .as_array()
        .expect("apps")
        .iter()
        .filter_map(|app| app["name"].as_str())
        .collect();
    assert_eq!(names, ["api", "jobs", "new", "web"]);
    assert_eq!(
        master.ostler(["plan"]).success().await.stdout,
        "nothing would change\n"
    );
}

#[tokio::test]
async fn the_address_of_an_app_that_went_is_free_again() {
    let dir = PrivateDir::new();
    let socket = dir.at("s");
    let address = format!("unix:{}", socket.display());
    let old = habit!("old", "notify 0").set("listen", address.clone());
    let master = running(&[web(), old], &["web", "old"]).await;
    let new = habit!("new", "notify 0").set("listen", address);
    master.rewrite(&[web()]);
    master.ostler(["reload", "--config"]).success().await;
    master.rewrite(&[web(), new]);
    master.ostler(["reload", "--config"]).success().await;
    assert_eq!(master.pids("new").await.len(), 1);
}

#[tokio::test]
async fn a_broken_file_changes_nothing_and_says_why() {
    let master = running(&[web(), api(1)], &["web", "api"]).await;
    let before = [master.pids("web").await, master.pids("api").await];
    master.dir().write(
        "ostler.toml",
        "[app.web]\ncomand = \"x\"\ninstances = \"many\"\n",
    );
    for verb in [&["plan"][..], &["reload", "--config"][..]] {
        let output = master.ostler(verb).fails_with(78).await;
        for told in [
            "has 3 errors",
            "ostler.toml:2:1: app.web.comand: unknown key",
            "did you mean `command`?",
            ":3:13: ",
        ] {
            assert!(output.stderr.contains(told), "no {told:?}: {output:#?}");
        }
    }
    assert_eq!([master.pids("web").await, master.pids("api").await], before);
}

#[tokio::test]
async fn an_app_that_could_not_start_changes_nothing() {
    let master = running(&[web(), api(1)], &["web", "api"]).await;
    let before = [master.pids("web").await, master.pids("api").await];
    let api = |key, value| api(1).set(key, value);
    let told = "api: there is no program \"no-such-program\" in PATH; check its spelling";
    for (broken, told) in [
        (api("command", json!("no-such-program")), told),
        (api("cwd", json!("nowhere")), "nowhere does not exist"),
        (
            api("auto_reload", json!(["nothing"])),
            "nothing to watch at",
        ),
        (
            api("before_start", json!("no-such-program")),
            "api: before_start: there is no program",
        ),
    ] {
        master.rewrite(&[web(), broken]);
        for verb in [&["plan"][..], &["reload", "--config"][..]] {
            let output = master.ostler(verb).fails_with(78).await;
            assert!(output.stderr.contains(told), "no {told:?}: {output:#?}");
            assert!(output.stderr.contains("ostler.toml:"), "{output:#?}");
        }
    }
    assert_eq!([master.pids("web").await, master.pids("api").await], before);
}

#[tokio::test]
async fn an_app_that_stays_as_it_is_needs_nothing_new() {
    let dir = PrivateDir::new();
    let watched = dir.at("watched");
    fs::create_dir(&watched).expect("made");
    let watcher = habit!("watcher", "notify 0").set("auto_reload", json!([watched]));
    let master = running(&[web(), watcher.clone()], &["web", "watcher"]).await;
    fs::remove_dir(&watched).expect("removed");
    master.rewrite(&[web(), watcher, habit!("new", "notify 0").unwatched()]);
    let planned = actions(&master).await;
    assert!(planned.contains(&"start new".into()), "{planned:?}");
    master.ostler(["reload", "--config"]).success().await;
    assert_eq!(master.pids("new").await.len(), 1);
}

#[tokio::test]
async fn a_master_without_a_file_has_nothing_to_take_up() {
    let master = ostler!()
        .name("test")
        .command(["sleep", "60"])
        .instances(1)
        .start()
        .await;
    let output = master.ostler(["plan"]).fails_with(1).await;
    assert!(
        output.stderr.contains("without a process file"),
        "{output:#?}"
    );
}

#[tokio::test]
async fn an_app_waits_for_what_it_depends_on() {
    let db = habit!("zdb", "notify 400").unwatched();
    let web = web().set("depends_on", json!(["zdb"]));
    let late = habit!("late", "notify 0").set("autostart", false);
    let master = running(&[db, web, late], &["zdb", "web"]).await;
    let status = master.status().await;
    let id = |app: &str| {
        let workers = status["workers"].as_array().expect("workers").iter();
        workers
            .filter(|worker| worker["app"] == app)
            .find_map(|worker| worker["id"].as_u64())
    };
    assert!(id("zdb") < id("web"), "{status:#?}");
    assert_eq!(id("late"), None);
    master.ostler(["start", "late"]).success().await;
    assert_eq!(master.pids("late").await.len(), 1);
}

#[tokio::test]
async fn what_depends_on_an_app_that_has_failed_is_not_started_in_silence() {
    let db = habit!("zdb", "exit 3")
        .set("max_restarts", 1)
        .set("retry_failed", "never");
    let web = web().set("depends_on", "zdb").set("autostart", false);
    let master = ostler!().apps(&[db.unwatched(), web]).start().await;
    master.settled("zdb", "failed").await;
    let failed = master.ostler(["start", "web"]).fails_with(1).await;
    for told in [
        "error: start failed: web waits for zdb: worker 1 ",
        "exited with code 3",
        "\nhint: web starts as soon as zdb is ready: see to it (`ostler why zdb`), then `ostler start zdb`\n",
    ] {
        assert!(failed.stderr.contains(told), "no {told:?}: {failed:#?}");
    }
    assert_eq!(master.app("web").await["state"], "waiting");
}

#[tokio::test]
async fn an_environment_chooses_variables_and_sizes() {
    let app = habit!("web", "print-env given")
        .set("ready", "delay(0s)")
        .set("env_deny", json!(["HIDDEN_*"]))
        .set("env", json!({"TIER": "none", "FROM": "${OUTSIDE:-nobody}"}))
        .set(
            "environment",
            json!({"staging": {"instances": 2, "env": {"TIER": "staging"}}}),
        );
    let master = ostler!()
        .apps(&[app])
        .args(["--env", "staging"])
        .env("OUTSIDE", "outside")
        .env("HIDDEN_KEY", "secret")
        .start()
        .await;
    master.settled("web", "running").await;
    assert_eq!(master.pids("web").await.len(), 2);
    let path = master.dir().at("given");
    let given = eventually("the worker to print", PATIENCE, || {
        serde_json::from_str::<Value>(&fs::read_to_string(&path).ok()?).ok()
    })
    .await;
    let env = &given["env"];
    assert_eq!(
        (&env["TIER"], &env["FROM"]),
        (&json!("staging"), &json!("outside"))
    );
    assert_eq!(env["HIDDEN_KEY"], Value::Null);
    // Read again it is read for the same environment.
    assert_eq!(
        master.ostler(["plan"]).success().await.stdout,
        "nothing would change\n"
    );
    let output = master
        .ostler(["plan", "--env", "prod"])
        .fails_with(78)
        .await;
    assert!(
        output.stderr.contains("no app has an environment \"prod\""),
        "{output:#?}"
    );
}

#[tokio::test]
async fn validate_tells_every_error_for_people_and_for_machines() {
    let dir = PrivateDir::new();
    dir.write(
        "ostler.yaml",
        "app:\n  web:\n    command: x\n    instances: 2\n",
    );
    let output = alone(&dir, &["validate"]).success().await;
    assert_eq!(
        output.stdout,
        "ostler.yaml is valid: master web, 1 app, 2 workers\n"
    );
    assert!(
        output.stderr.contains("missing here: ")
            && output
                .stderr
                .contains("ostler.yaml:3: web: there is no program \"x\" in PATH; "),
        "{output:#?}"
    );
    assert!(
        output
            .stderr
            .ends_with("warning: on this machine, `ostler run` would refuse it\n"),
        "{output:#?}"
    );
    let output = alone(&dir, &["validate", "--json"]).success().await;
    let verdict: Value = serde_json::from_str(&output.stdout).expect("JSON");
    assert_eq!(
        (
            &verdict["valid"],
            verdict["missing"].as_array().map(Vec::len)
        ),
        (&json!(true), Some(1))
    );
    alone(&dir, &["run"])
        .stderr_contains("ostler.yaml:3: web: there is no program \"x\" in PATH")
        .fails_with(78)
        .await;
    dir.write(
        "bad.toml",
        "include = \"none/*.toml\"\n[app.web]\ncommand = [1]\nmin_uptime = 5\n",
    );
    let output = alone(&dir, &["validate", "bad.toml"]).fails_with(78).await;
    assert!(
        output.stderr.contains("bad.toml has 2 errors"),
        "{output:#?}"
    );
    let output = alone(&dir, &["validate", "bad.toml", "--json"]).run().await;
    assert_eq!(output.stderr, "");
    let verdict: Value = serde_json::from_str(&output.stdout).expect("JSON");
    assert_eq!(
        (
            &verdict["valid"],
            verdict["errors"].as_array().map(Vec::len)
        ),
        (&json!(false), Some(2))
    );
    let first = &verdict["errors"][0];
    assert_eq!(
        (&first["line"], &first["key"]),
        (&json!(3), &json!("app.web.command[0]"))
    );
}

#[tokio::test]
async fn init_writes_a_file_that_is_valid_and_never_overwrites_one() {
    let dir = PrivateDir::new();
    dir.write("package.json", r#"{"name": "shop", "main": "server.js"}"#);
    let output = alone(&dir, &["init"]).success().await;
    assert!(
        output.stderr.contains("for the Node package shop"),
        "{output:#?}"
    );
    alone(&dir, &["validate"]).success().await;
    let written = fs::read_to_string(dir.at("ostler.toml")).expect("written");
    let output = alone(&dir, &["init"]).fails_with(1).await;
    assert!(output.stderr.contains("is there already"), "{output:#?}");
    assert_eq!(
        fs::read_to_string(dir.at("ostler.toml")).expect("there"),
        written
    );
}

#[tokio::test]
async fn import_prints_what_can_be_run() {
    let dir = PrivateDir::new();
    dir.write("Procfile", "web: ./serve --port 80\nworker: ./work\n");
    let output = alone(&dir, &["import", "Procfile"]).success().await;
    dir.write("ostler.toml", &output.stdout);
    let valid = alone(&dir, &["validate"]).success().await;
    assert!(valid.stdout.contains("2 apps, 2 workers"), "{valid:#?}");
    dir.write(
        "ecosystem.config.js",
        "module.exports = { apps: [{ name: 'api', script: 'a.js', instances: 1 + 2 }] };",
    );
    // Where there is no node, that is said.
    let output = alone(&dir, &["import", "ecosystem.config.js"]).run().await;
    let without = output.stderr.contains("there is no `node` in PATH");
    let with = output.stdout.contains("[app.api]") && output.stdout.contains("instances = 3");
    assert!(without || with, "{output:#?}");
    alone(&dir, &["import", "nothing.txt"]).fails_with(2).await;
    if without {
        return;
    }
    // Modules of the other kind, what makes itself heard and what never ends are taken, too.
    let kinds = [
        (
            "cjs",
            "console.log('noise'); setInterval(() => {}, 1000); module.exports = async () => ({ apps: [{ script: 'a.js' }] });",
        ),
        ("mjs", "export default { apps: [{ script: 'a.js' }] };"),
        // Much more than a pipe holds at once.
        (
            "js",
            "const env = { LONG: 'x'.repeat(800 * 1024) }; module.exports = { apps: [{ script: 'a.js', env }] };",
        ),
    ];
    for (kind, text) in kinds {
        let file = format!("ecosystem.config.{kind}");
        dir.write(&file, text);
        let output = alone(&dir, &["import", &file]).success().await;
        assert!(output.stdout.contains("[app.a]"), "{output:#?}");
        assert!(!output.stdout.contains("noise"), "{output:#?}");
    }
    dir.write("broken.config.js", "module.exports = { apps: [");
    alone(&dir, &["import", "broken.config.js"])
        .stderr_contains("node can't read broken.config.js")
        .fails_with(78)
        .await;
}

#[tokio::test]
async fn a_file_of_pm2_in_the_place_of_ours_is_told_how_it_comes_in() {
    let dir = PrivateDir::new();
    alone(&dir, &["run"])
        .stderr_contains("`ostler init` writes one")
        .fails_with(78)
        .await;
    dir.write("ecosystem.config.js", "module.exports = { apps: [] };");
    dir.write("server.js", "");
    dir.write("apps.json", r#"{ "apps": [{ "script": "a.js" }] }"#);
    let import = "ostler import ecosystem.config.js > ostler.toml";
    for (args, exit, told) in [
        (["run"].as_slice(), 78, import),
        (&["start"], 3, import),
        (&["run", "ecosystem.config.js"], 2, import),
        (&["start", "ecosystem.config.js"], 2, import),
        (&["start", "server.js"], 2, "ostler start -- node server.js"),
        (
            &["run", "apps.json"],
            78,
            "ostler import FILE > ostler.toml",
        ),
    ] {
        alone(&dir, args)
            .stderr_contains(told)
            .fails_with(exit)
            .await;
    }
}
