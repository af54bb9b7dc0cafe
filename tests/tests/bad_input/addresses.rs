//! Addresses that cannot be listened on.

use super::*;

#[tokio::test]
async fn address_in_use_is_reported_and_nothing_starts() {
    let (fleet, pids) = well().await;
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let alone = Alone::new();
    let run = ["run", "-l", &address, "--", PROGRAMS.misbehave, "trivial"];
    let began = std::time::Instant::now();
    let pid = format!("{}", std::process::id());
    let output = alone
        .fails(&run, 1, &[&address, "in use", &pid, "hint: "])
        .await;
    assert!(began.elapsed() < Duration::from_secs(10), "no retry");
    assert!(!output.stderr.contains("started"), "{output:#?}");
    // The other master's, too.
    let theirs = fleet.address().await.to_string();
    let master = fleet.process.id().to_string();
    let run = ["run", "-l", &theirs, "--", PROGRAMS.misbehave, "trivial"];
    alone.fails(&run, 1, &[&theirs, &master, "hint: "]).await;
    still_well(&fleet, &pids).await;
}

#[tokio::test]
async fn privileged_port_is_reported_with_what_to_do() {
    let first = std::fs::read_to_string("/proc/sys/net/ipv4/ip_unprivileged_port_start").unwrap();
    if first.trim().parse::<u32>().unwrap() < 2 {
        return eprintln!("not run: this machine has no privileged ports");
    }
    let guest = Guest::new(PROGRAMS.ostler);
    let run = ["run", "-l", "127.0.0.1:1", "--", "sleep", "60"];
    let output = guest.ostler(&run).fails_with(1).await;
    told(
        &output,
        &[
            "127.0.0.1:1",
            "reserved for root",
            "hint: use a port from 1024 on",
            "setcap",
        ],
    );
}

#[tokio::test]
async fn unusable_address_is_reported() {
    let alone = Alone::new();
    let long = format!("unix:/tmp/{}", "x".repeat(120));
    let folder = format!("unix:{}", alone.dir.at("gone/web.sock").display());
    let text = format!("unix:{}", alone.dir.write("text", "").display());
    let cases: [(&str, i32, &str); 7] = [
        ("127.0.0.1:99999", 2, "99999"),
        ("no.such.name.invalid:80", 2, "no.such.name.invalid"),
        ("127.0.0.1", 2, "port"),
        ("192.0.2.1:18080", 1, "no such address"),
        (&long, 2, "107"),
        (&folder, 1, "its directory is not there"),
        (&text, 1, "no socket is in the way"),
    ];
    for (address, code, word) in cases {
        let run = ["run", "-l", address, "--", "sleep", "60"];
        alone.fails(&run, code, &[word, "hint: "]).await;
    }
    assert!(alone.dir.at("text").exists());
}
