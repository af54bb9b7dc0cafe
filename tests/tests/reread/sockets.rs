//! Sockets that the file leaves out, calls otherwise, gives to another app or declares otherwise.

use std::{
    collections::BTreeMap,
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    os::unix::{fs::MetadataExt, net::UnixStream},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
};

use ostler_tests::{
    habit,
    harness::{App, Master, PATIENCE, PrivateDir, Web, eventually, free_port},
};
use rustix::process::Signal;
use serde_json::json;

use super::{quiet, running};

const RELOAD: [&str; 2] = ["reload", "--config"];

fn serving(name: &str) -> App {
    habit!(name, "notify 0 http ostler.toml").unwatched()
}

/// The names of the sockets that each worker has, by slot.
async fn inherited(master: &Master, app: &str) -> BTreeMap<u64, String> {
    let named = |pid: u64| {
        let environment = std::fs::read(format!("/proc/{pid}/environ")).expect("it runs");
        let environment = String::from_utf8_lossy(&environment).into_owned();
        let mut names = environment.split('\0');
        let names = names.find_map(|it| it.strip_prefix("LISTEN_FDNAMES="));
        names.unwrap_or_default().to_owned()
    };
    let pids = master.pids(app).await.into_iter();
    pids.map(|(slot, pid)| (slot, named(pid))).collect()
}

async fn plan(master: &Master) -> String {
    master.ostler(["plan"]).success().await.stdout
}

async fn refused(address: SocketAddr) {
    let refused = || TcpStream::connect(address).is_err().then_some(());
    eventually("nobody to listen", PATIENCE, refused).await;
}

/// Whether a request on a connection of its own is answered.
fn is_answered(address: SocketAddr) -> std::io::Result<bool> {
    let mut server = TcpStream::connect(address)?;
    server.set_read_timeout(Some(PATIENCE))?;
    server.write_all(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")?;
    let mut page = String::new();
    server.read_to_string(&mut page)?;
    Ok(page.starts_with("HTTP/1.1 200"))
}

/// Asks all the time; how often it was refused, or got no answer.
struct Client {
    end: Arc<AtomicBool>,
    answered: Arc<AtomicU64>,
    refused: thread::JoinHandle<u64>,
}

impl Client {
    fn of(address: SocketAddr) -> Self {
        let (end, answered) = (Arc::<AtomicBool>::default(), Arc::<AtomicU64>::default());
        let (ends, counts) = (Arc::clone(&end), Arc::clone(&answered));
        let refused = thread::spawn(move || {
            let mut refused = 0;
            while !ends.load(Ordering::Relaxed) {
                match is_answered(address) {
                    Ok(true) => _ = counts.fetch_add(1, Ordering::Relaxed),
                    Ok(false) | Err(_) => refused += 1,
                }
                thread::park_timeout(std::time::Duration::from_millis(2));
            }
            refused
        });
        Self {
            end,
            answered,
            refused,
        }
    }

    async fn was_never_refused(self) {
        let before = self.answered.load(Ordering::Relaxed);
        let more = || (self.answered.load(Ordering::Relaxed) > before + 5).then_some(());
        eventually("further answers", PATIENCE, more).await;
        self.end.store(true, Ordering::Relaxed);
        assert_eq!(self.refused.join().expect("no panic"), 0);
    }
}

#[tokio::test]
async fn one_that_is_left_out_is_closed_with_the_last_worker_that_had_it() {
    let (http, admin) = (free_port(), free_port());
    let dir = PrivateDir::new();
    let path = dir.at("s");
    let both = json!({
        "admin": admin.to_string(),
        "http": http.to_string(),
        "local": format!("unix:{}", path.display()),
    });
    let alone = json!({"http": http.to_string()});
    let master = running(&[quiet("web").set("listen", both)], &["web"]).await;
    assert_eq!(inherited(&master, "web").await[&0], "admin:http:local");

    // As long as a worker may have it, it is there.
    let bad = habit!("web", "notify 0 exit 1").set("listen", alone.clone());
    master.rewrite(&[bad.set("max_restarts", 1)]);
    let planned = plan(&master).await;
    let told = format!(
        "; closes {admin} (\"admin\"); closes unix:{} (\"local\")",
        path.display()
    );
    assert!(planned.contains(&told), "{planned}");
    master.ostler(RELOAD).fails_with(1).await;
    TcpStream::connect(admin).expect("it is the old worker's");

    master.rewrite(&[quiet("web").set("listen", alone)]);
    master.ostler(RELOAD).success().await;
    refused(admin).await;
    assert!(!path.exists(), "so is its path");
    TcpStream::connect(http).expect("it stays");
    assert_eq!(inherited(&master, "web").await[&0], "http");
    let sockets = master.app("web").await["sockets"].clone();
    assert_eq!(sockets.as_array().map(Vec::len), Some(1), "{sockets}");
    let log = master.process.output();
    assert!(log.contains(&format!("web: closes {admin}")), "{log}");
    assert!(log.contains("its socket \"admin\""), "{log}");
    // And it can be had again.
    master.rewrite(&[quiet("web").set("listen", json!({"other": admin.to_string()}))]);
    master.ostler(RELOAD).success().await;
    TcpStream::connect(admin).expect("bound anew");
    refused(http).await;
}

#[tokio::test]
async fn slots_own_that_are_left_out_are_closed_too() {
    for mode in ["slot", "sticky"] {
        let (http, admin) = (free_port(), free_port());
        let each = |address: SocketAddr| json!({"address": address.to_string(), "mode": mode});
        let web = || quiet("web").instances(2);
        let both = json!({"admin": each(admin), "http": each(http)});
        let master = running(&[web().set("listen", both)], &["web"]).await;
        let alone = || web().set("listen", json!({"http": each(http)}));
        master.rewrite(&[alone()]);
        master.ostler(RELOAD).success().await;
        refused(admin).await;
        TcpStream::connect(http).expect("it stays");
        // The same name elsewhere.
        let both = json!({"admin": each(admin), "http": each(http)});
        master.rewrite(&[web().set("listen", both)]);
        master.ostler(RELOAD).success().await;
        TcpStream::connect(admin).expect("bound anew");
    }
}

#[tokio::test]
async fn an_app_that_is_called_otherwise_keeps_its_sockets() {
    let address = free_port();
    let dir = PrivateDir::new();
    let path = dir.at("s");
    let listen = json!({
        "http": address.to_string(),
        "local": format!("unix:{}", path.display()),
    });
    let called = |name: &str| serving(name).set("listen", listen.clone());
    let mut master = running(&[called("old")], &["old"]).await;
    let inode = path.metadata().expect("a socket").ino();
    let client = Client::of(address);

    master.rewrite(&[called("new")]);
    let planned = plan(&master).await;
    let told = format!("1 worker; takes {address} over from old; takes unix:");
    assert!(planned.contains(&told), "{planned}");
    master.ostler(RELOAD).success().await;
    master.settled("new", "running").await;
    client.was_never_refused().await;
    let answer = Web::get(address, "/").await;
    let new = master.pids("new").await[&0];
    assert_eq!(answer["pid"].as_u64(), Some(new));
    assert_eq!(path.metadata().expect("a socket").ino(), inode);
    UnixStream::connect(&path).expect("it listens");
    assert_eq!(plan(&master).await, "nothing would change\n");

    // By another name within its app.
    let listen = json!({
        "front": address.to_string(),
        "local": format!("unix:{}", path.display()),
    });
    let client = Client::of(address);
    master.rewrite(&[serving("new").set("listen", listen)]);
    let planned = plan(&master).await;
    let told = format!("{address} is \"front\" instead of \"http\"");
    assert!(planned.contains(&told), "{planned}");
    master.ostler(RELOAD).success().await;
    client.was_never_refused().await;
    assert_eq!(inherited(&master, "new").await[&0], "front:local");
    let sockets = || async { master.app("new").await["sockets"].clone() };
    assert_eq!(sockets().await.as_array().map(Vec::len), Some(2));
    master.end(Signal::TERM).await;
    assert!(!path.exists(), "the last one to have it removes its path");
}

#[tokio::test]
async fn what_the_master_accepts_is_passed_on_too() {
    let address = free_port();
    let called = |name: &str| {
        let balanced = json!({"address": address.to_string(), "mode": "balanced"});
        let app = App::new(name, [env!("CARGO_BIN_EXE_sdk_worker"), "ostler.toml"]);
        app.unwatched().set("listen", json!({"http": balanced}))
    };
    let master = running(&[called("old")], &["old"]).await;
    let client = Client::of(address);
    for name in ["new", "newer"] {
        master.rewrite(&[called(name)]);
        master.ostler(RELOAD).success().await;
        master.settled(name, "running").await;
        let sockets = master.app(name).await["sockets"].clone();
        assert_eq!(sockets[0]["mode"], "balanced", "{sockets}");
    }
    client.was_never_refused().await;
}

#[tokio::test]
async fn apps_change_their_addresses_and_change_them_back() {
    let (one, other) = (free_port(), free_port());
    let apps = |a: SocketAddr, b: SocketAddr| {
        [("a", a), ("b", b)].map(|(name, at)| serving(name).set("listen", at.to_string()))
    };
    let master = running(&apps(one, other), &["a", "b"]).await;
    let clients = [one, other].map(Client::of);
    for (a, b) in [(other, one), (one, other)] {
        master.rewrite(&apps(a, b));
        master.ostler(RELOAD).success().await;
        for (app, at) in [("a", a), ("b", b)] {
            let pid = master.pids(app).await[&0];
            let its = async || Web::get(at, "/").await["pid"].as_u64() == Some(pid);
            while !its().await {}
        }
    }
    for client in clients {
        client.was_never_refused().await;
    }
}

/// The app that gets the address comes before the one that has it, by its name.
#[tokio::test]
async fn a_hang_up_passes_an_address_on_or_leaves_both_apps_as_they_are() {
    let [one, two, three] = [(); 3].map(|()| free_port());
    let at = |name: &str, at: SocketAddr| serving(name).set("listen", at.to_string());
    let mut master = running(&[at("api", two), at("web", one)], &["api", "web"]).await;
    let client = Client::of(one);
    master.rewrite(&[at("api", one), at("web", three)]);
    master.process.signal(Signal::HUP);
    refused(two).await;
    let its = async || {
        let pid = master.pids("api").await.get(&0).copied();
        Web::get(one, "/").await["pid"].as_u64() == pid
    };
    while !its().await {}
    master.settled("web", "running").await;
    client.was_never_refused().await;

    // Who is to have it can't have all it wants.
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let admin = taken.local_addr().expect("an address").to_string();
    let greedy = json!({"admin": admin, "http": one.to_string()});
    master.rewrite(&[at("api", two), serving("web").set("listen", greedy)]);
    master.process.signal(Signal::HUP);
    let told = format!("api: {one} was to be had by web, which was passed over");
    master.wait_for_log(told.as_str()).await;
    for (app, address) in [("api", one), ("web", three)] {
        master.ostler(["reload", app]).success().await;
        assert!(is_answered(address).expect("an answer"));
    }
    TcpStream::connect(two).expect_err("it was not bound for api");
}

#[tokio::test]
async fn one_that_is_declared_otherwise_is_bound_anew_or_takes_two_steps() {
    let (before, after) = (free_port(), free_port());
    let web = |listen: serde_json::Value| serving("web").set("listen", json!({"http": listen}));
    let master = running(&[web(json!(before.to_string()))], &["web"]).await;

    // Elsewhere.
    master.rewrite(&[web(json!(after.to_string()))]);
    let planned = plan(&master).await;
    assert!(
        planned.contains(&format!("; closes {before} (\"http\")")),
        "{planned}"
    );
    master.ostler(RELOAD).success().await;
    let pid = master.pids("web").await[&0];
    assert_eq!(Web::get(after, "/").await["pid"].as_u64(), Some(pid));
    refused(before).await;

    // A longer queue.
    let client = Client::of(after);
    master.rewrite(&[web(json!({"address": after.to_string(), "backlog": 77}))]);
    master.ostler(RELOAD).success().await;
    client.was_never_refused().await;
    let sockets = master.app("web").await["sockets"].clone();
    assert_eq!(sockets[0]["queue"]["room"], 77, "{sockets}");

    // Another kind of socket at the same address.
    master.rewrite(&[web(json!({"address": after.to_string(), "mode": "slot"}))]);
    for verb in [&["plan"][..], &RELOAD[..]] {
        let output = master.ostler(verb).fails_with(1).await;
        let hint = "`ostler delete web`, then `ostler reload --config`";
        assert!(output.stderr.contains(hint), "{output:#?}");
    }
    master.ostler(["delete", "web"]).success().await;
    master.ostler(RELOAD).success().await;
    let pid = master.pids("web").await[&0];
    assert_eq!(Web::get(after, "/").await["pid"].as_u64(), Some(pid));

    // By another app, as another kind.
    master.rewrite(&[serving("new").set("listen", after.to_string())]);
    let output = master.ostler(RELOAD).fails_with(1).await;
    let told = format!(
        "new: socket \"http\": can't listen on {after}: the address is in use by the socket \"http\" of web"
    );
    assert!(output.stderr.contains(&told), "{output:#?}");
    assert!(output.stderr.contains("`ostler delete web`"), "{output:#?}");
    master.ostler(["delete", "web"]).success().await;
    master.ostler(RELOAD).success().await;
    TcpStream::connect(after).expect("it listens");
}
