//! `sdk_worker VERSION_FILE`: a worker as its author would write it with the SDK: HTTP with axum, typed events, readiness
//! by its own word, lame-duck drain. What it hears it prints, so that a test can wait for it in the master's log.
//!
//! A file `fail` beside the version file makes a bad version: `exit` exits at start, `never` never says ready. A file
//! `serve` makes it answer requests (`answer`), or take them and never answer (`silent`). A file `at` makes it ask for its socket at run
//! time, at the address that stands there. A file `late` makes it listen at once, but be ready only when there is a file `others`, but for the
//! worker in slot 0, and serve only when there is a file `go`. A file `echo` makes it give back what each connection says (`header`: behind a PROXY header;
//! `lower`: the worker in slot 0 stands still at its first until there is a file `go`, and wants one at a time from then on). A file `evolve` makes it do nothing but
//! publish and count events, of a type that depends on the version; a file `datagrams`, nothing but answer datagrams.

mod datagrams;
mod echo;
mod evolve;
mod routes;

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use futures::StreamExt;
use ostler_tests::words::{Double, Doubled, Note};
use ostler_worker_sdk::{
    Worker,
    bus::{
        client::{Bus, Delivery},
        vocab::status::StatusReport,
    },
};

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// No worker outlives this, supervised or not.
const LONGEST: Duration = Duration::from_secs(600);

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let life = tokio::time::timeout(LONGEST, live()).await;
    match life.map_err(|_| "has lived long enough".into()).flatten() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("sdk_worker: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn live() -> Result<(), Failure> {
    let file = std::env::args().nth(1).ok_or("no version file was given")?;
    let beside = |name| std::fs::read_to_string(Path::new(&file).with_file_name(name));
    let version = std::fs::read_to_string(&file)?.trim().to_owned();
    let fail = beside("fail").unwrap_or_default();
    if fail == "exit" {
        return Err("this version can't start".into());
    }
    let worker = Worker::start().await?;
    if beside("evolve").is_ok() {
        return evolve::live(worker, &version).await;
    }
    if beside("datagrams").is_ok() {
        return datagrams::live(worker).await;
    }
    let listener = match beside("at") {
        Ok(address) => worker.listen_at(address.trim()).await?,
        Err(_) => worker.listen("http", "127.0.0.1:0")?,
    };
    println!("serving {}", listener.address());
    hear(worker.bus()).await?;
    answer(&worker, &beside("serve").unwrap_or_default()).await?;
    if fail == "never" {
        eprintln!("sdk_worker: this version never becomes ready");
        std::future::pending::<()>().await;
    }
    // Later than anybody would be.
    let late = beside("late").is_ok();
    if late && worker.identity().slot.0 > 0 {
        there_is(Path::new(&file).with_file_name("others")).await;
    }
    worker.ready().await?;
    tell_the_drain(&worker);
    if late {
        there_is(Path::new(&file).with_file_name("go")).await;
    }
    if let Ok(how) = beside("echo") {
        let go = Path::new(&file).with_file_name("go");
        let lower = (how.trim() == "lower").then_some(go.as_path());
        return echo::live(&worker, listener, how.trim() == "header", lower).await;
    }
    let router = routes::router(&worker, version);
    worker.serve(listener, router).await?;
    println!("bye");
    Ok(())
}

/// Waits until there is this file.
async fn there_is(file: PathBuf) {
    let mut tick = tokio::time::interval(Duration::from_millis(5));
    while !file.exists() {
        tick.tick().await;
    }
}

/// Subscribes to notes, to the master's reports and to everything, and prints what comes.
async fn hear(bus: &Bus) -> Result<(), Failure> {
    let mut notes = bus.subscribe::<Note>().await?;
    tokio::spawn(async move {
        while let Some(delivery) = notes.next().await {
            match delivery {
                Delivery::Event(note) => println!(
                    "heard {} from {}",
                    routes::json(&note.event),
                    routes::json(&*note.origin)
                ),
                other => println!("instead of a note: {other:?}"),
            }
        }
    });
    let mut reports = bus.subscribe::<StatusReport>().await?;
    tokio::spawn(async move {
        while let Some(report) = reports.next_event().await {
            println!("report with {} workers", report.event.workers.len());
        }
    });
    let mut everything = bus.subscribe_raw("*").await?;
    tokio::spawn(async move {
        while let Some(event) = everything.next_event().await {
            println!("star {}", event.topic);
        }
    });
    Ok(())
}

async fn answer(worker: &Worker, how: &str) -> Result<(), Failure> {
    if how.is_empty() {
        return Ok(());
    }
    let (silent, slot) = (how == "silent", worker.identity().slot.0);
    let mut calls = worker.bus().serve::<Double>().await?;
    tokio::spawn(async move {
        let mut kept = Vec::new();
        while let Some(call) = calls.next().await {
            println!("asked by {}", routes::json(call.origin()));
            if silent {
                // A call that is dropped is declined: these are not.
                kept.push(call);
                continue;
            }
            let number = u64::from(call.request().number) * 2;
            let _gone = call.reply(&Doubled { number, slot }).await;
        }
    });
    Ok(())
}

fn tell_the_drain(worker: &Worker) {
    let mut signal = worker.draining();
    tokio::spawn(async move {
        let draining = signal.begun().await;
        let left = draining.deadline - tokio::time::Instant::now();
        println!("draining: {}, {} s left", draining.reason, left.as_secs());
    });
}
