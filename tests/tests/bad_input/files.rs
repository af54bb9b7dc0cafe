//! Process files with errors in them.

use super::*;

const BAD: &str = "\
name = \"shop\"
colour = \"red\"

[app.web]
command = 7
instances = \"many\"
start_timeout = \"soon\"
comand = [\"x\"]

[app.api]
listen = \"127.0.0.1:18001\"

[app.\"bad name\"]
command = \"sleep 1\"
listen = \"127.0.0.1:18001\"
";

#[tokio::test]
async fn bad_file_lists_every_error_with_its_line() {
    let alone = Alone::new();
    alone.dir.write("shop.toml", BAD);
    let places = ["2:1", "5:11", "6:13", "7:17", "8:1", "10:", "13:"];
    let output = alone
        .fails(&["run", "shop.toml"], 78, &places.map(|p| p))
        .await;
    for place in places {
        assert!(
            output.stderr.contains(&format!("shop.toml:{place}")),
            "{place}: {output:#?}"
        );
    }
    for word in [
        "colour",
        "app.web.command",
        "\"many\"",
        "\"soon\"",
        "comand",
        "no command",
        "bad name",
        "already declared",
    ] {
        assert!(output.stderr.contains(word), "{word}: {output:#?}");
    }
    assert!(output.stderr.contains("command"), "the neighbour of comand");
    alone.dir.write("not.toml", "[app.web\ncommand = \n");
    alone
        .fails(&["run", "not.toml"], 78, &["not.toml:1:"])
        .await;
    std::fs::write(
        alone.dir.at("bytes.toml"),
        b"[app.web]\ncommand = \"\xff\"\n",
    )
    .unwrap();
    alone
        .fails(&["run", "bytes.toml"], 78, &["bytes.toml:2:12", "UTF-8"])
        .await;
    alone
        .fails(&["run", "gone.toml"], 78, &["gone.toml", "No such file"])
        .await;
    alone.dir.make("folder.toml");
    alone
        .fails(
            &["run", "folder.toml"],
            78,
            &["folder.toml", "name a file in it"],
        )
        .await;
    let guest = Guest::new(PROGRAMS.ostler);
    let secret = guest
        .dir()
        .write("secret.toml", "[app.web]\ncommand = \"sleep 1\"\n");
    std::fs::set_permissions(&secret, PermissionsExt::from_mode(0o000)).unwrap();
    told(
        &guest.ostler(&["run", "secret.toml"]).fails_with(78).await,
        &["secret.toml", "make it readable"],
    );
}
