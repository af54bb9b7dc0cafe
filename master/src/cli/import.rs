//! `import`: process files of others, said in ours.
//!
//! What can be said is; what has no equivalent stands as a comment beside the app that it was said of, so that nothing is lost
//! without a word.

mod draft;
mod pm2;
mod pm2_command;
mod pm2_log;
mod pm2_watch;
mod procfile;

use std::{path::Path, process::ExitCode, process::Stdio, time::Duration};

use serde_json::Value;
use tokio::io::AsyncReadExt as _;

use self::draft::Draft;
use super::{
    args::ImportArgs,
    error::{CliError, Exit},
    output, runtime,
};
use crate::config::{document, errors::Wrong};

/// How long `node` may take to evaluate an ecosystem file.
const PATIENCE: Duration = Duration::from_secs(30);

/// The most JSON that a module may give, in bytes.
const LARGEST: u64 = 1 << 20;

/// Prints what the module gives, as JSON, and nothing else: what it prints itself goes to standard error, and whatever it
/// keeps open is left behind, once all of the JSON is written. The module may be of either kind, and what it gives a function.
const EVALUATE: &str = r#"
const print = process.stdout.write.bind(process.stdout);
process.stdout.write = process.stderr.write.bind(process.stderr);
const file = require("url").pathToFileURL(process.argv[1]).href;
(async () => {
  const module = await import(file);
  let value = module.default ?? module;
  value = value.default ?? value;
  if (typeof value === "function") value = await value();
  const json = JSON.stringify(value);
  if (json === undefined) throw new Error("it exports nothing");
  print(json, (error) => process.exit(error ? 1 : 0));
})().catch((error) => { console.error(error); process.exit(1); });
"#;

/// `ostler import`
pub(super) fn import(args: &ImportArgs) -> Result<ExitCode, CliError> {
    let drafts = read(&args.file)?;
    if drafts.is_empty() {
        let problem = format!("there is no app in {}", args.file.display());
        return Err(CliError::new(Exit::Config, problem).hint(
            "an ecosystem file lists apps under `apps`, a Procfile has a line `NAME: COMMAND` for each",
        ));
    }
    let name = args.file.file_name().unwrap_or(args.file.as_os_str());
    output::print(&draft::render(&name.to_string_lossy(), &drafts))?;
    Ok(ExitCode::SUCCESS)
}

fn read(file: &Path) -> Result<Vec<Draft>, CliError> {
    let name = file
        .file_name()
        .unwrap_or(file.as_os_str())
        .to_string_lossy();
    let extension = file
        .extension()
        .map(|extension| extension.to_string_lossy());
    let value = match extension.as_deref() {
        Some("js" | "cjs" | "mjs") => evaluated(file)?,
        Some("json" | "yaml" | "yml") => {
            document::as_json(file, &text(file)?).map_err(CliError::from)?
        }
        _ if name.starts_with("Procfile") => return procfile::drafts(file, &text(file)?),
        _ => {
            return Err(Wrong::new(
                format!("{name:?} is neither a PM2 ecosystem file nor a Procfile"),
                "name an ecosystem file (.json, .yaml, .yml, .js, .cjs, .mjs) or a Procfile",
            )
            .into());
        }
    };
    pm2::drafts(&value).map_err(|problem| {
        CliError::new(Exit::Config, format!("{}: {problem}", file.display()))
            .hint("a PM2 ecosystem file has a list of apps: { \"apps\": [ { \"script\": … } ] }")
    })
}

fn text(file: &Path) -> Result<String, CliError> {
    std::fs::read_to_string(file).map_err(|error| unreadable(file, &error))
}

fn unreadable(file: &Path, error: &std::io::Error) -> CliError {
    let problem = format!("can't read {}", file.display());
    CliError::new(Exit::Config, problem).because(error)
}

/// What `node` makes of a JavaScript file.
fn evaluated(file: &Path) -> Result<Value, CliError> {
    let path = file
        .canonicalize()
        .map_err(|error| unreadable(file, &error))?;
    let runtime = runtime::of_this_thread()?;
    let said = runtime.block_on(async { tokio::time::timeout(PATIENCE, run_node(&path)).await });
    let failed = |why: String| {
        CliError::new(
            Exit::Config,
            format!("node can't read {}: {why}", file.display()),
        )
        .hint("what node says of it stands above; or import it as JSON or YAML")
    };
    let said = said.map_err(|_| failed(format!("it takes more than {} s", PATIENCE.as_secs())))?;
    let said = said.map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => CliError::new(Exit::Failed, "there is no `node` in PATH")
            .hint("install Node, or import the file as JSON or YAML"),
        _ => failed(error.to_string()),
    })?;
    serde_json::from_slice(&said).map_err(|error| failed(error.to_string()))
}

async fn run_node(path: &Path) -> std::io::Result<Vec<u8>> {
    let mut node = tokio::process::Command::new("node")
        .args(["-e", EVALUATE])
        .arg(path)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()?;
    let mut said = Vec::new();
    if let Some(out) = node.stdout.take() {
        out.take(LARGEST + 1).read_to_end(&mut said).await?;
    }
    if said.len() as u64 > LARGEST {
        let problem = "what it gives is longer than 1 MiB";
        return Err(std::io::Error::other(problem));
    }
    match node.wait().await?.success() {
        true => Ok(said),
        false => Err(std::io::Error::other("it ended with an error")),
    }
}

#[cfg(test)]
mod tests;
