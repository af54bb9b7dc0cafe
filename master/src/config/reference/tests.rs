//! The table is what the code does, and the pages are what the table says.

use std::{collections::BTreeSet, fs, path::Path};

use serde_json::{Value, json};

use super::{Key, SECTIONS, Section, markdown, schema};
use crate::config::{app_table, file, file::ProcessFile, written};

fn section(name: &str) -> &'static Section {
    SECTIONS
        .iter()
        .find(|section| section.name == name)
        .expect(name)
}

fn names(section: &Section) -> BTreeSet<&'static str> {
    section.keys.iter().map(|key| key.name).collect()
}

#[test]
fn every_key_that_is_read_is_in_the_table_and_no_other() {
    assert_eq!(
        names(section("app")),
        BTreeSet::from(app_table::KEYS),
        "a key of [app.NAME] has no entry in config/reference/tables.rs, or an entry has no key"
    );
    assert_eq!(names(section("file")), BTreeSet::from(file::KEYS));
    // The others: a key that nobody knows is an error, and one that is missing here would be no part of what is told then.
    for (text, keys) in [
        ("listen = { x = { address = \":1\", zz = 1 } }", "listen"),
        ("backoff = { zz = 1 }", "backoff"),
        ("auto_reload = { zz = 1 }", "auto_reload"),
        ("ready = { zz = 1 }", "probe"),
        ("health = { zz = 1 }", "health"),
        ("max_memory = { zz = 1 }", "memory"),
        ("after_exit = { zz = 1 }", "hook"),
        ("cron = { zz = 1 }", "cron"),
        ("canary = { zz = 1 }", "canary"),
        ("bus = { zz = 1 }", "rights"),
        ("bus = { emit = { zz = 1 } }", "allowance"),
        ("limits = { core = { zz = 1 } }", "limit"),
        ("cgroup = { zz = 1 }", "cgroup"),
        ("fds = { x = { path = \"x\", zz = 1 } }", "fd"),
        ("stdin = { zz = 1 }", "stdin"),
        ("log = { zz = 1 }", "log"),
        ("log = { rotate = { zz = 1 } }", "rotate"),
        ("[bus]\nzz = 1", "bus"),
        ("[bus]\ntls = { zz = 1 }", "tls"),
        ("[[bus.history]]\nzz = 1", "history"),
    ] {
        let errors = read(&format!("[app.a]\ncommand = \"x\"\n{text}\n")).expect_err(text);
        let told = errors
            .errors
            .iter()
            .find_map(|error| error.wrong.fix.split_once("known here: "));
        let known: BTreeSet<&str> = told.expect(text).1.split(", ").collect();
        assert_eq!(names(section(keys)), known, "{keys}");
    }
}

fn read(text: &str) -> Result<ProcessFile, crate::config::errors::ConfigErrors> {
    file::parse(Path::new("/srv/ostler.toml"), text, 6)
}

/// What a probe with this key needs besides.
fn rest_of_probe(key: &Key) -> &'static str {
    match key.name {
        "command" => "",
        "address" | "port" => ", tcp = true",
        "status" => ", http = \"/\", address = \"unix:{id}\"",
        "http" | "tcp" => ", address = \"unix:{id}\"",
        _ => ", tcp = true, address = \"unix:{id}\"",
    }
}

/// A file in which this key of this section has this value.
fn with(section: &Section, key: &Key, value: &str) -> String {
    let app = |line: String| match key.name {
        "command" if section.name == "app" => format!("[app.a]\n{line}\n"),
        _ => format!("[app.a]\ncommand = \"x\"\n{line}\n[app.node]\ncommand = \"x\"\n"),
    };
    let inside = |keys: &str| format!("{{ {} = {value}{keys} }}", key.name);
    match section.name {
        "file" => format!("{} = {value}\n{}", key.name, app(String::new())),
        "app" => app(format!("{} = {value}", key.name)),
        "listen" if key.name == "address" => app(format!("listen = {{ x = {} }}", inside(""))),
        "listen" => {
            let address = match key.name {
                "v6_only" => "[::]:1",
                "permissions" | "owner" | "group" => "unix:s",
                _ => ":1",
            };
            let mode = match key.name {
                "max_connections" => ", mode = \"balanced\"",
                "proxy_protocol" => ", mode = \"sticky\"",
                _ => "",
            };
            let socket = inside(&format!(", address = {address:?}{mode}"));
            app(format!("listen = {{ x = {socket} }}"))
        }
        "rights" => app(format!("bus = {}", inside(""))),
        "allowance" => app(format!("bus = {{ emit = {} }}", inside(""))),
        "limit" => app(format!("limits = {{ nofile = {} }}", inside(""))),
        "fd" if key.name == "path" => app(format!("fds = {{ x = {} }}", inside(""))),
        "fd" => app(format!("fds = {{ x = {} }}", inside(", path = \"x\""))),
        "stdin" => app(format!("stdin = {}\nlisten = {{ x = \":1\" }}", inside(""))),
        "rotate" => app(format!("log = {{ rotate = {} }}", inside(""))),
        "probe" => {
            let ready = inside(rest_of_probe(key));
            app(format!("strategy = \"replace\"\nready = {ready}"))
        }
        "health" => app(format!("health = {}", inside(rest_of_probe(key)))),
        "memory" => app(format!("max_memory = {}", inside(""))),
        "hook" if key.name == "command" => app(format!("after_exit = {}", inside(""))),
        "hook" => app(format!("after_exit = {}", inside(", command = \"x\""))),
        "cron" if key.name == "at" => app(format!("cron = {}", inside(""))),
        "cron" => app(format!("cron = {}", inside(", at = \"0 4 * * *\""))),
        "backoff" | "auto_reload" | "cgroup" | "log" | "canary" => {
            app(format!("{} = {}", section.name, inside("")))
        }
        "bus" => {
            let needs = match key.name {
                "listen" => "tokens = \"t\"",
                "tls" => "listen = \"127.0.0.1:1\"\ntokens = \"t\"",
                "tokens" => "listen = \"127.0.0.1:1\"",
                _ => "",
            };
            format!(
                "{}[bus]\n{needs}\n{} = {value}\n",
                app(String::new()),
                key.name
            )
        }
        "tls" => {
            let others = ["cert", "key"].into_iter().filter(|name| *name != key.name);
            let others: String = others.map(|name| format!(", {name} = \"x\"")).collect();
            let bus = format!(
                "[bus]\nlisten = \"127.0.0.1:1\"\ntokens = \"t\"\ntls = {}\n",
                inside(&others)
            );
            format!("{}{bus}", app(String::new()))
        }
        "history" => {
            let others = [("pattern", "\"x\""), ("messages", "1")].into_iter();
            let others = others.filter(|(name, _)| *name != key.name);
            let others: String = others
                .map(|(name, value)| format!(", {name} = {value}"))
                .collect();
            format!(
                "{}[bus]\nhistory = [{}]\n",
                app(String::new()),
                inside(&others)
            )
        }
        other => panic!("the section {other} is not known here"),
    }
}

fn keys() -> impl Iterator<Item = (&'static Section, &'static Key)> {
    SECTIONS
        .iter()
        .flat_map(|section| section.keys.iter().map(move |key| (section, key)))
}

#[test]
fn every_example_can_be_read() {
    for (section, key) in keys().filter(|(_, key)| !key.example.is_empty()) {
        let text = with(section, key, key.example);
        if let Err(errors) = read(&text) {
            panic!("{}.{}:\n{text}\n{errors}", section.name, key.name);
        }
    }
}

#[test]
fn every_default_is_the_one_that_holds() {
    let mut compared = 0;
    for (section, key) in keys() {
        let is_value = !key.default.is_empty() && !key.default.starts_with('(');
        if !is_value || section.name == "rights" || section.name == "allowance" {
            continue;
        }
        let said =
            read(&with(section, key, key.default)).unwrap_or_else(|errors| panic!("{errors}"));
        let example = if key.example.is_empty() {
            "{}"
        } else {
            key.example
        };
        let same_without =
            with(section, key, example).replace(&format!("{} = {example}", key.name), "");
        // A comma may be left at the start of a table.
        let same_without = same_without.replace("{ , ", "{ ");
        let left_out =
            read(&same_without).unwrap_or_else(|errors| panic!("{same_without}\n{errors}"));
        assert_eq!(
            (said.apps, said.bus),
            (left_out.apps, left_out.bus),
            "{}.{}",
            section.name,
            key.name
        );
        compared += 1;
    }
    assert!(compared > 15, "only {compared} defaults were compared");
}

#[test]
fn whatever_can_be_said_is_written_down_so_that_it_reads_back_the_same() {
    for (section, key) in keys().filter(|(_, key)| !key.example.is_empty()) {
        for value in [key.example, key.default] {
            let Ok(file) = read(&with(section, key, value)) else {
                continue;
            };
            let apps = file.apps.iter().map(written::table);
            let text = apps
                .chain([written::bus(&file.bus)])
                .collect::<Vec<_>>()
                .join("\n");
            // Elsewhere, and with other cores: nothing is left to be filled in.
            let again = file::parse(Path::new("/elsewhere/saved.toml"), &text, 3);
            let again = again.unwrap_or_else(|errors| panic!("{text}\n{errors}"));
            assert_eq!((again.apps, again.bus), (file.apps, file.bus), "{text}");
        }
    }
}

/// As much of JSON Schema as ours uses. The error names the place.
fn check(root: &Value, schema: &Value, value: &Value, at: &str) -> Result<(), String> {
    if let Some(name) = schema["$ref"].as_str() {
        let name = name.rsplit('/').next().unwrap_or_default();
        check(root, &root["$defs"][name], value, at)?;
    }
    if let Some(any) = schema["anyOf"].as_array() {
        let fits = any
            .iter()
            .any(|schema| check(root, schema, value, at).is_ok());
        fits.then_some(())
            .ok_or_else(|| format!("{at}: {value} fits none"))?;
    }
    if let Some(words) = schema["enum"].as_array() {
        words
            .contains(value)
            .then_some(())
            .ok_or_else(|| format!("{at}: {value} is no such word"))?;
    }
    let is_type = match schema["type"].as_str() {
        None => true,
        Some("string") => value.is_string(),
        Some("boolean") => value.is_boolean(),
        Some("integer") => value.is_i64() || value.is_u64(),
        Some("number") => value.is_number(),
        Some("array") => value.is_array(),
        Some("object") => value.is_object(),
        Some(other) => panic!("the type {other}"),
    };
    is_type
        .then_some(())
        .ok_or_else(|| format!("{at}: {value} is no {}", schema["type"]))?;
    let number = value.as_f64();
    let in_range = number.is_none_or(|n| {
        schema["minimum"].as_f64().is_none_or(|least| least <= n)
            && schema["maximum"].as_f64().is_none_or(|most| n <= most)
    });
    in_range
        .then_some(())
        .ok_or_else(|| format!("{at}: {value} is out of range"))?;
    for (i, item) in value.as_array().into_iter().flatten().enumerate() {
        check(root, &schema["items"], item, &format!("{at}[{i}]"))?;
    }
    for (name, value) in value.as_object().into_iter().flatten() {
        let at = format!("{at}.{name}");
        match (&schema["properties"][name], &schema["additionalProperties"]) {
            (Value::Null, Value::Bool(false)) => return Err(format!("{at}: unknown")),
            (Value::Null, other) => check(root, other, value, &at)?,
            (known, _) => check(root, known, value, &at)?,
        }
    }
    for name in schema["required"].as_array().into_iter().flatten() {
        let there = value.get(name.as_str().unwrap_or_default()).is_some();
        there
            .then_some(())
            .ok_or_else(|| format!("{at}: {name} is missing"))?;
    }
    Ok(())
}

#[test]
fn the_schema_takes_what_the_code_takes() {
    let schema = schema();
    for (section, key) in keys().filter(|(_, key)| !key.example.is_empty()) {
        let text = with(section, key, key.example);
        let table: toml::Table = text.parse().expect("TOML");
        let value = serde_json::to_value(table).expect("JSON");
        check(&schema, &schema, &value, "").unwrap_or_else(|wrong| panic!("{text}\n{wrong}"));
    }
    for wrong in [
        json!({ "apps": {} }),
        json!({ "app": { "a": { "comand": "x" } } }),
        json!({ "app": { "a": { "instances": 5000 } } }),
        json!({ "app": { "a": { "autostart": "yes" } } }),
        json!({ "app": { "a": { "listen": { "x": { "backlog": 1 } } } } }),
        json!({ "app": { "a": { "environment": { "x": { "cwd": 1 } } } } }),
        json!({ "bus": { "limits": { "payload": 1 } } }),
        json!({ "bus": { "limits": { "connections": 0 } } }),
    ] {
        assert!(check(&schema, &schema, &wrong, "").is_err(), "{wrong}");
    }
}

/// How to make the pages anew.
const REFRESH: &str = "OSTLER_REFRESH_DOCS=1 cargo test -p ostler --lib reference";

#[test]
fn the_pages_are_up_to_date() {
    let mut schema = serde_json::to_string_pretty(&schema()).expect("JSON");
    schema.push('\n');
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs");
    for (name, text) in [
        ("process-file.md", markdown()),
        ("ostler.schema.json", schema),
    ] {
        let page = docs.join(name);
        if std::env::var_os("OSTLER_REFRESH_DOCS").is_some() {
            fs::write(&page, &text).expect("writable");
        }
        let there = fs::read_to_string(&page).unwrap_or_default();
        assert!(
            there == text,
            "docs/{name} is not what the code says; make it anew: {REFRESH}"
        );
    }
}
