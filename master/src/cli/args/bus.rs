//! What the commands for the bus were given.

use std::time::Duration;

use clap::{Args, ValueEnum};

use super::super::{filter::Filter, values};

/// What `emit` was given.
#[derive(Clone, Debug, Args)]
pub struct EmitArgs {
    /// The event's topic
    pub topic: String,

    /// Its payload
    #[arg(value_name = "JSON", value_parser = values::json, default_value = "{}", allow_negative_numbers = true)]
    pub payload: serde_json::Value,

    /// Then wait for an event that matches, and print it
    #[arg(long, value_name = "PATTERN")]
    pub wait: Option<String>,

    /// How long to wait
    #[arg(long, value_name = "DURATION", value_parser = values::duration, default_value = "30s")]
    pub timeout: Duration,
}

/// What `request` was given.
#[derive(Clone, Debug, Args)]
pub struct RequestArgs {
    /// The request's topic
    pub topic: String,

    /// Its payload
    #[arg(value_name = "JSON", value_parser = values::json, default_value = "{}", allow_negative_numbers = true)]
    pub payload: serde_json::Value,

    /// How long to wait for the reply
    #[arg(long, value_name = "DURATION", value_parser = values::duration, default_value = "5s")]
    pub timeout: Duration,
}

/// What `bus` was given.
#[derive(Clone, Copy, Debug, Args)]
pub struct BusArgs {
    /// The master's own connections too
    #[arg(short, long)]
    pub all: bool,

    /// Again and again, until Ctrl-C
    #[arg(short, long, value_name = "INTERVAL", num_args = 0..=1, require_equals = true,
          default_missing_value = "1s", value_parser = values::interval)]
    pub watch: Option<Duration>,

    /// Print JSON: what the hub counted, without rates; with --watch one object per line
    #[arg(long)]
    pub json: bool,
}

/// What `tail` was given.
#[derive(Clone, Debug, Args)]
pub struct TailArgs {
    /// Which topics
    #[arg(default_value = "*")]
    pub pattern: String,

    /// Begin with what the topics' histories have after this sequence number
    #[arg(long, value_name = "N")]
    pub since_seq: Option<u64>,

    /// Only events with this field, by the names of the JSON line, as payload.id=7; all must hold
    #[arg(long, value_name = "FIELD=VALUE")]
    pub filter: Vec<Filter>,

    /// End after so many events
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub count: Option<u64>,

    /// How to print
    #[arg(long, value_enum, value_name = "FORMAT", default_value_t = TailFormat::Json)]
    pub format: TailFormat,

    /// End when the master does, with exit code 1, instead of waiting for it to come back
    #[arg(long)]
    pub once: bool,
}

/// How `tail` prints.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum TailFormat {
    /// One JSON object per line.
    Json,
    /// A line for people, in colour on a terminal.
    Pretty,
    /// The payload alone, one per line; plain bytes as base64.
    Payload,
}

/// What `wait` was given.
#[derive(Clone, Debug, Args)]
pub struct WaitArgs {
    /// Which topics
    pub pattern: String,

    /// How long to wait
    #[arg(long, value_name = "DURATION", value_parser = values::duration, default_value = "30s")]
    pub timeout: Duration,
}

/// What `bench` was given.
#[derive(Clone, Copy, Debug, Args)]
pub struct BenchArgs {
    /// How long to measure, all taken together
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=600))]
    pub seconds: u64,

    /// Print JSON
    #[arg(long)]
    pub json: bool,
}
