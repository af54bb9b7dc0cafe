//! `ostler demo`, as somebody meets Ostler first.

use std::{net::SocketAddr, process::Command};

use ostler_tests::harness::{Cli, Exit, Mark, PATIENCE, PrivateDir, Process, Programs, Web};
use rustix::process::Signal;

const PROGRAMS: Programs = ostler_tests::programs!();

/// A demo in a home of its own.
struct Demo {
    process: Process,
    mark: Mark,
    dir: PrivateDir,
}

impl Demo {
    fn start(args: &[&str]) -> Self {
        let dir = PrivateDir::new();
        let mark = Mark::new(dir.path());
        let mut command = Command::new(PROGRAMS.ostler);
        command
            .args(args)
            .env("OSTLER_HOME", dir.at("home"))
            .env(Mark::VARIABLE, mark.value());
        Self {
            process: Process::spawn(&mut command),
            mark,
            dir,
        }
    }

    fn ostler(&self, args: &[&str]) -> Cli {
        Cli::new(PROGRAMS.ostler)
            .env("OSTLER_HOME", self.dir.at("home"))
            .args(args)
    }

    async fn line(&mut self, part: &'static str) -> String {
        let has = move |line: &str| line.contains(part);
        self.process.wait_for_line(has, PATIENCE * 2).await
    }

    async fn end(&mut self) {
        self.process.signal(Signal::INT);
        let exit = self.process.wait(PATIENCE).await;
        assert_eq!(exit, Exit::Code(0), "{}", self.process.output());
        assert_eq!(self.mark.processes(), Vec::<u32>::new());
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        self.mark.kill_all();
        if std::thread::panicking() {
            eprintln!("the demo said:\n{}", self.process.output());
        }
    }
}

#[tokio::test]
async fn demo_serves_and_ends_on_ctrl_c() {
    let mut demo = Demo::start(&["demo", "-i", "3"]);
    let service = demo.line("http://127.0.0.1:").await;
    let address = service.split("http://").nth(1).unwrap();
    let address: SocketAddr = address.trim_end_matches('/').parse().unwrap();
    demo.line("slot 2").await;
    let heard = demo.line("heard it after").await;
    assert!(heard.contains("slot"), "{heard}");
    let killed = demo.line("kill -9").await;
    let successor = demo.line("Its successor").await;
    assert!(successor.contains("ready"), "{killed} {successor}");
    let update = demo.line("Generation 2 serves").await;
    assert!(update.contains("answered, 0 lost"), "{update}");
    demo.line("Ctrl-C ends the demo").await;
    let text = demo.process.output();
    assert!(!text.contains('\u{1b}'), "no colour in a pipe: {text}");
    assert!(!text.contains("could not be shown"), "{text}");

    // What it says can be tried, can be.
    assert!(Web::get(address, "/").await["slot"].as_u64() < Some(3));
    let greeted = Web::connect(address).await.post("/greet").await;
    let by = greeted.json()["greeted_by_slot"].as_u64().unwrap();
    let greets = demo.line("greets: ").await;
    assert!(greets.contains(&format!("slot {by} greets")), "{greets}");
    demo.ostler(&["ls"]).success().await;
    demo.ostler(&["scale", "2"]).success().await;
    demo.line("2 workers instead of 3").await;
    Web::connect(address).await.post("/restart").await;
    demo.line("generation 3 serves").await;
    demo.end().await;
    demo.line("Every worker has ended").await;
}

#[tokio::test]
async fn demo_ends_on_ctrl_c_in_the_middle_of_it() {
    let mut demo = Demo::start(&["demo"]);
    demo.line("One event bus").await;
    demo.end().await;
}

#[tokio::test]
async fn demo_runs_beside_another_demo() {
    let mut demo = Demo::start(&["demo", "-i", "1"]);
    demo.line("One port").await;
    let refused = demo.ostler(&["demo"]).fails_with(75).await;
    assert!(refused.stderr.contains("demo"), "{refused:?}");
    let mut other = Command::new(PROGRAMS.ostler);
    other
        .args(["-M", "second", "demo", "-i", "1"])
        .env("OSTLER_HOME", demo.dir.at("home"))
        .env(Mark::VARIABLE, demo.mark.value());
    let mut other = Process::spawn(&mut other);
    let hint = |line: &str| line.contains("-M second ls");
    other.wait_for_line(hint, PATIENCE * 2).await;
    other.signal(Signal::INT);
    assert_eq!(other.wait(PATIENCE).await, Exit::Code(0));
    demo.line("Ctrl-C ends the demo").await;
    demo.end().await;
}
