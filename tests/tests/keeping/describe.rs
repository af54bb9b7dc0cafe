//! `describe`: what is known of an app, and where it was said.

use serde_json::Value;

use super::*;

const FILE: &str = r#"name = "test"
[defaults]
min_uptime = "1s"

[app.web]
command = ["sh", "-c", "echo listening; exec sleep 600"]
instances = 2
ready = "delay(0s)"
listen = { http = { address = "unix:web.sock", permissions = "0660" } }
log = { out = "logs/{app}-{slot}.log" }
env = { TOKEN = "a-secret", TIER = "gold" }

[app.jobs]
command = ["sleep", "600"]
instances = 1
ready = "delay(0s)"
"#;

fn setting<'v>(app: &'v Value, key: &str) -> (&'v str, &'v str) {
    let settings = app["definition"]["settings"].as_array().expect("settings");
    let said = settings.iter().find(|said| said["key"] == key);
    let said = said.unwrap_or_else(|| panic!("no {key} in {app:#}"));
    (
        said["value"].as_str().expect("text"),
        said["source"].as_str().expect("text"),
    )
}

#[tokio::test]
async fn an_app_is_told_with_where_each_setting_was_said() {
    let yard = PROGRAMS.yard();
    let file = yard.dir.write("ostler.toml", FILE).display().to_string();
    yard.ostler(&["start"]).success().await;
    yard.ostler(&["scale", "web", "3"]).success().await;
    yard.ostler(&["start", "-n", "cmd", "-i", "1", "--", "sleep", "600"])
        .success()
        .await;

    let told = yard
        .ostler(&["describe", "--json"])
        .stderr_empty()
        .success()
        .await;
    assert!(
        !told.stdout.contains("a-secret") && !told.stdout.contains("gold"),
        "{told:#?}"
    );
    let apps = told.json();
    let app = |name: &str| {
        let apps = apps.as_array().expect("apps");
        apps.iter()
            .find(|app| app["name"] == name)
            .expect("the app")
            .clone()
    };
    let web = app("web");
    assert_eq!(setting(&web, "instances"), ("3", "scale"));
    assert_eq!(
        setting(&web, "env"),
        ("TIER, TOKEN", &*format!("{file}:11"))
    );
    assert_eq!(
        setting(&web, "min_uptime"),
        ("\"1s\"", &*format!("{file}:3"))
    );
    assert_eq!(setting(&web, "max_restarts"), ("16", "default"));
    assert!(setting(&web, "listen").0.contains("permissions = \"0660\""));
    assert_eq!(web["workers"].as_array().map(Vec::len), Some(3));
    assert!(web["workers"][0]["cpu_ms"].is_u64(), "{web:#}");
    let log = yard.dir.at("logs/web-2.log").display().to_string();
    assert_eq!(web["definition"]["logs"][2]["out"], log);
    assert_eq!(
        web["definition"]["release"]["cwd"],
        yard.dir.path().display().to_string()
    );
    let cmd = app("cmd");
    assert_eq!(
        setting(&cmd, "command"),
        ("[\"sleep\", \"600\"]", "a command")
    );
    assert_eq!(setting(&cmd, "instances"), ("1", "a command"));
    assert_eq!(setting(&cmd, "cwd").1, "default");

    let reload = ["reload", "cmd", "--env", "HUE=secret-green"];
    yard.ostler(&reload).success().await;
    let told = yard.ostler(&["describe", "cmd"]).success().await.stdout;
    assert!(told.contains("reload --env  HUE"), "{told}");
    assert!(!told.contains("secret-green"), "{told}");

    // For people; `show` is the same word.
    let told = yard.ostler(&["show", "web"]).success().await.stdout;
    for part in [
        "web  running  3 of 3 ready",
        "http on unix:",
        "generation 1 runs sh -c",
        &format!("{file}:11  TIER, TOKEN (values are not shown)"),
        "web:2  ready",
        &log,
        "`ostler why web`",
    ] {
        assert!(told.contains(part), "no {part:?} in\n{told}");
    }
    assert!(
        !told.contains("jobs") && !told.contains("a-secret"),
        "{told}"
    );
}

#[tokio::test]
async fn a_slot_or_a_worker_is_told_alone_and_an_unknown_one_is_refused() {
    let yard = PROGRAMS.yard();
    yard.dir.write("ostler.toml", FILE);
    yard.ostler(&["start"]).success().await;
    let status = yard.ostler(&["ls", "--json"]).success().await.json();
    let workers = status["workers"].as_array().expect("workers");
    let of_web = workers
        .iter()
        .find(|worker| worker["app"] == "web" && worker["slot"] == 1);
    let id = of_web.expect("slot 1")["id"]
        .as_u64()
        .expect("an id")
        .to_string();
    for which in ["web:1", &id] {
        let told = yard.ostler(&["describe", which]).success().await.stdout;
        assert!(
            told.contains("web:1  ready") && !told.contains("web:0"),
            "{told}"
        );
        assert!(told.contains("`ostler logs web:1`"), "{told}");
    }
    yard.ostler(&["describe", "wep"])
        .stderr_contains("did you mean \"web\"?")
        .fails_with(4)
        .await;
    yard.ostler(&["kill"]).success().await;
    yard.ostler(&["describe"]).fails_with(3).await;
}

#[tokio::test]
async fn a_worker_that_fails_is_told_with_its_last_end_and_its_next_try() {
    let yard = PROGRAMS.yard();
    let broken =
        ostler_tests::habit!("web", "exit 3").set("backoff", serde_json::json!({"first": "30s"}));
    yard.dir.write("ostler.toml", &App::file(&[broken]));
    yard.ostler(&["start"]).fails_with(1).await;
    let told = yard.ostler(&["describe", "web"]).success().await.stdout;
    assert!(told.contains("web:0  backoff"), "{told}");
    assert!(
        told.contains("next try") && told.contains("last exit"),
        "{told}"
    );
    assert!(told.contains("code 3"), "{told}");
    yard.ostler(&["kill"]).within(PATIENCE).success().await;
}
