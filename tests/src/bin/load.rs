//! `load`: asks a loopback server and accounts for every request. JSON on stdout, a summary on stderr; exits 1 if a
//! request was lost, 2 if the plan can't be run.

use std::{process::ExitCode, time::Duration};

use clap::Parser;
use ostler_tests::load::{Load, Plan, Tally, Target};

/// Asks a loopback HTTP server and counts every request as answered, refused, reset, timed out or wrong.
#[derive(Debug, Parser)]
#[command(name = "load")]
struct Args {
    /// Where: http://127.0.0.1:PORT[/PATH].
    target: Target,
    /// Requests in flight at most, each with its own connection.
    #[arg(short, long, default_value_t = 4)]
    connections: usize,
    /// Keep connections for the next request (else each has a new one).
    #[arg(short, long)]
    keep_alive: bool,
    /// Begin so many requests a second (else each connection sends its next when the last has ended).
    #[arg(short, long, value_name = "PER_SECOND")]
    rate: Option<f64>,
    /// End after so many requests.
    #[arg(short = 'n', long)]
    requests: Option<u64>,
    /// Begin no request after so many seconds.
    #[arg(short, long, default_value_t = 10.0, value_name = "SECONDS")]
    duration: f64,
    /// How many seconds a request may take.
    #[arg(short, long, default_value_t = 5.0, value_name = "SECONDS")]
    timeout: f64,
    /// The status that is right.
    #[arg(long, default_value_t = 200)]
    status: u16,
    /// Text that each body must contain.
    #[arg(long, value_name = "TEXT")]
    contains: Option<String>,
    /// Count answers by this field of their JSON body.
    #[arg(long, value_name = "FIELD")]
    by: Option<String>,
}

impl Args {
    fn plan(self) -> Result<Plan, String> {
        let seconds = |s| Duration::try_from_secs_f64(s).map_err(|e| format!("{s} seconds: {e}"));
        let mut plan = Plan::new(self.target)
            .connections(self.connections)
            .duration(seconds(self.duration)?)
            .timeout(seconds(self.timeout)?);
        plan.requests = self.requests;
        plan.status = self.status;
        if self.keep_alive {
            plan = plan.keep_alive();
        }
        if let Some(rate) = self.rate {
            plan = plan.per_second(rate);
        }
        if let Some(text) = self.contains {
            plan = plan.contains(&text);
        }
        if let Some(field) = self.by {
            plan = plan.by_field(&field);
        }
        Ok(plan)
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match run(Args::parse()).await {
        Ok(tally) => {
            println!("{}", tally.to_json());
            eprintln!("{tally}");
            ExitCode::from(u8::from(tally.lost() > 0 || tally.fault.is_some()))
        }
        Err(why) => {
            eprintln!("error: {why}");
            ExitCode::from(2)
        }
    }
}

/// Runs until the plan is done or Ctrl-C.
async fn run(args: Args) -> Result<Tally, String> {
    let stop = tokio::signal::ctrl_c();
    let handle = Load::start(args.plan()?)?;
    let bound = Plan::MAX_DURATION * 2;
    tokio::select! {
        _ = stop => {}
        // Ends with the run: so many answers are never reached.
        _ = handle.answers(u64::MAX / 2, bound) => {}
    }
    Ok(handle.stop().await)
}
