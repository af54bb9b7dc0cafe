//! `talker`: workers that know Ostler, through its SDK, each with one thing to say. The opposite of `misbehave`.

mod hears;

use std::{process::ExitCode, time::Duration};

use axum::{Json, Router, routing::get};
use ostler_worker_sdk::{
    Worker,
    bus::vocab::{update::WorkerRestartNeeded, worker::AppErrors},
};

const HELP: &str = "\
usage: talker HABIT
  serve                      say ready, serve JSON on the socket `http` until told to drain
  wait                       say ready, wait until told to drain
  mute                       connect, say nothing
  ask-once [APP]             say ready; unless there is a file `asked`, make it and say that workers (of APP) need a restart
  ask-always                 say ready, and that workers need a restart
  fails REQUESTS ERRORS      say ready; from the second generation on, that so many requests have failed
  chats TIMES                say ready, then so many times that a request has failed
  lose-bus WHEN              cut the inherited bus socket, before saying ready (early) or after (late); print what comes
  group MS                   say ready, take events `tests.note` as one of a group, each for MS milliseconds; print them
  slow MS                    the same alone, holding publishers back while more than a few wait
  leave CODE                 say ready, then that it leaves, exit with CODE";

/// No worker outlives this, supervised or not.
const LONGEST: Duration = Duration::from_secs(600);

type Failure = Box<dyn std::error::Error>;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    match tokio::time::timeout(LONGEST, habit(&args)).await {
        Ok(Ok(code)) => ExitCode::from(code),
        Ok(Err(why)) => {
            eprintln!("talker: {why}");
            ExitCode::from(2)
        }
        Err(_) => ExitCode::FAILURE,
    }
}

async fn habit(args: &[&str]) -> Result<u8, Failure> {
    match *args {
        ["serve"] => serve().await,
        ["wait"] => until_drained(ready().await?).await,
        ["mute"] => until_drained(Worker::start().await?).await,
        ["ask-once"] => ask_once(None).await,
        ["ask-once", app] => ask_once(Some(app)).await,
        ["ask-always"] => {
            let worker = ready().await?;
            ask(&worker, None).await?;
            until_drained(worker).await
        }
        ["fails", requests, errors] => {
            let worker = ready().await?;
            let (requests, errors) = (requests.parse()?, errors.parse()?);
            if worker.identity().generation.0 > 1 {
                let numbers = AppErrors { requests, errors };
                worker.bus().emit(&numbers).await?;
            }
            until_drained(worker).await
        }
        ["chats", times] => {
            let worker = ready().await?;
            for requests in 1..=times.parse()? {
                let numbers = AppErrors {
                    requests,
                    errors: 1,
                };
                worker.bus().emit(&numbers).await?;
            }
            until_drained(worker).await
        }
        ["lose-bus", when] => hears::lose_bus(when).await,
        ["group", ms] => hears::group(ms.parse()?).await,
        ["slow", ms] => hears::slow(ms.parse()?).await,
        ["leave", code] => {
            let code = code.parse()?;
            ready().await?.disconnect().await?;
            Ok(code)
        }
        _ => Err(HELP.into()),
    }
}

async fn ready() -> Result<Worker, Failure> {
    let worker = Worker::start().await?;
    worker.ready().await?;
    Ok(worker)
}

/// A worker that hears something before it says that it is ready.
async fn ready_after<T>(
    hears: impl AsyncFnOnce(&Worker) -> Result<T, Failure>,
) -> Result<(Worker, T), Failure> {
    let worker = Worker::start().await?;
    let heard = hears(&worker).await?;
    worker.ready().await?;
    Ok((worker, heard))
}

async fn ask(worker: &Worker, app: Option<&str>) -> Result<(), Failure> {
    let wish = WorkerRestartNeeded {
        app: app.map(str::to_owned),
        reason: Some("a talker asked".into()),
    };
    Ok(worker.bus().emit(&wish).await?)
}

async fn ask_once(app: Option<&str>) -> Result<u8, Failure> {
    let worker = ready().await?;
    if std::fs::File::create_new("asked").is_ok() {
        ask(&worker, app).await?;
    }
    until_drained(worker).await
}

async fn until_drained(worker: Worker) -> Result<u8, Failure> {
    worker.draining().begun().await;
    Ok(0)
}

async fn serve() -> Result<u8, Failure> {
    let worker = Worker::start().await?;
    let listener = worker.listen("http", "127.0.0.1:0")?;
    let identity = worker.identity();
    let body = serde_json::json!({
        "pid": std::process::id(),
        "slot": identity.slot,
        "generation": identity.generation,
    });
    let router = Router::new().route("/", get(move || async move { Json(body) }));
    worker.ready().await?;
    worker.serve(listener, router).await?;
    Ok(0)
}
