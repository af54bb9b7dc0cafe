//! A declared socket served by real workers.

use std::{
    io::{BufRead, BufReader, Write},
    net::{TcpListener, TcpStream},
    os::{fd::AsFd, unix::net::UnixDatagram},
    path::Path,
    time::Duration,
};

use ostler::{
    config::{
        app::{
            AppDefinition, AppName, Backoff, Readiness, Rung, given::Given, log::LogSettings,
            process::ProcessAttributes,
        },
        flags,
    },
    process::{Gifts, Notification, NotifySocket, spawn_spec},
    sockets::{BoundSocket, ListenerWatch, Mended, bind_all},
    sys::FdTable,
};

use super::support::{identity, spawner, start, within};

pub(crate) fn app(command: &[&str], listen: &[&str], dir: &Path) -> AppDefinition {
    let listen: Vec<String> = listen
        .iter()
        .map(|text| text.replace("unix:", &format!("unix:{}/", dir.display())))
        .collect();
    AppDefinition {
        name: AppName::new("web").expect("a name"),
        command: command.iter().map(|&word| word.to_owned()).collect(),
        cwd: None,
        env: [("OWN".to_owned(), "app's".to_owned())].into(),
        inherits: Default::default(),
        start: Default::default(),
        namespace: None,
        instances: 1,
        listen: flags::listen(&listen, dir).expect("fine"),
        ready: Readiness::Auto,
        start_timeout: Duration::from_secs(30),
        min_healthy: None,
        canary_healthy: None,
        min_uptime: Duration::from_secs(5),
        max_draining: None,
        kill_ladder: vec![Rung {
            signal: 9,
            wait: None,
        }],
        backoff: Backoff {
            first: Duration::from_millis(100),
            max: Duration::from_secs(30),
            factor: 1.5,
        },
        max_restarts: 16,
        restart_window: Duration::from_secs(600),
        stop_exit_codes: vec![],
        listen_pid: true,
        auto_reload: None,
        recycle: ostler::config::app::recycle::Recycle::default(),
        stop: Default::default(),
        hooks: Default::default(),
        life: ostler::config::app::life::Life::default(),
        bus: Vec::new(),
        process: ProcessAttributes::default(),
        given: Given::default(),
        log: LogSettings::default(),
        update: Default::default(),
        places: Default::default(),
        overlay: Default::default(),
    }
}

/// The worker of the test below, in a process of its own: says that it is ready, serves one connection, shuts its
/// listener down, as careless programs do, and accepts until it has served another.
#[test]
#[ignore = "a worker: run by the test below"]
fn careless_worker() {
    let listener = std::io::stdin().as_fd().try_clone_to_owned();
    let listener = TcpListener::from(listener.expect("a listener"));
    let notify = UnixDatagram::unbound().expect("a socket");
    let to = std::env::var_os("NOTIFY_SOCKET").expect("set");
    notify.send_to(b"READY=1", &to).expect("sent");
    let serve = || -> std::io::Result<()> {
        let (mut peer, _) = listener.accept()?;
        writeln!(peer, "served by {}", std::process::id())
    };
    serve().expect("served");
    rustix::net::shutdown(&listener, rustix::net::Shutdown::Both).expect("shut down");
    while serve().is_err() {
        std::thread::park_timeout(Duration::from_millis(20));
    }
}

fn ask(socket: &BoundSocket) -> String {
    let port = socket.port().expect("a TCP socket");
    let mut peer = TcpStream::connect(("127.0.0.1", port)).expect("connected");
    peer.set_read_timeout(Some(Duration::from_secs(30)))
        .expect("set");
    peer.write_all(b"hello\n").expect("written");
    let mut line = String::new();
    BufReader::new(peer).read_line(&mut line).expect("answered");
    line
}

#[tokio::test]
async fn a_worker_serves_says_ready_and_survives_its_own_shutdown_of_the_listener() {
    let dir = tempfile::tempdir().expect("a directory");
    let notify = NotifySocket::bind(dir.path().join("n"), None).expect("bound");
    let me = std::env::current_exe().expect("this program");
    let me = me.to_str().expect("text");
    let run = "exec \"$0\" --ignored --exact hosts::careless_worker <&3";
    let app = app(&["sh", "-c", run, me], &["127.0.0.1:0"], dir.path());
    let mut table = FdTable::new();
    let mut sockets = bind_all(&app.name, &app.listen, &mut table).expect("bound");
    let gifts = Gifts {
        sockets: &sockets.iter().collect::<Vec<_>>(),
        notify: Some(notify.path()),
        ..Gifts::default()
    };
    let spec = spawn_spec(std::env::vars_os(), &app, &identity(), gifts, None);
    let fd = sockets[0].duplicate(&table).expect("a descriptor");
    let watch = ListenerWatch::new(sockets[0].duplicate(&table).expect("a descriptor"));
    let watch = watch.expect("watched");
    let worker = start(&spawner(), spec, vec![fd]).await;
    let heard = within(notify.recv(worker.child.pid()))
        .await
        .expect("heard");
    assert_eq!(heard, [Notification::Ready]);
    let expected = format!("served by {}\n", worker.child.pid());
    assert_eq!(ask(&sockets[0]), expected);
    within(watch.died()).await.expect("told");
    assert_eq!(
        sockets[0].listen_again(&mut table).expect("mended"),
        Mended::InPlace
    );
    // The same port, the same worker, the same descriptor of its.
    assert_eq!(ask(&sockets[0]), expected);
}
