//! The site that a fleet serves, and its versions: what the file says of which a worker is told the path.
//!
//! The same in three languages, as each supervisor's users would have it: here with the SDK, for Gunicorn in Python, for
//! PM2 in JavaScript. A bad version notes its birth beside that file, so that births are counted alike for all.

use std::{
    io::Write,
    path::{Path, PathBuf},
    time::Duration,
};

use axum::{Router, routing::get};
use ostler_worker_sdk::Worker;

/// How long the version that crashes lives.
const LIFE: Duration = Duration::from_secs(1);

/// A version of the site.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// Serves.
    Good,
    /// Exits at once.
    Exits,
    /// Lives, and is never ready.
    Never,
    /// Serves, and crashes after a second.
    Crashes,
}

impl Version {
    /// All bad ones.
    pub const BAD: [Self; 3] = [Self::Exits, Self::Never, Self::Crashes];

    /// As it stands in the file.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Exits => "exits",
            Self::Never => "never",
            Self::Crashes => "crashes",
        }
    }

    /// What it does, in words.
    #[must_use]
    pub fn does(self) -> &'static str {
        match self {
            Self::Good => "serves",
            Self::Exits => "exits",
            Self::Never => "is never ready",
            Self::Crashes => "crashes after 1 s",
        }
    }

    fn read(file: &Path) -> Result<Self, String> {
        let text = std::fs::read_to_string(file).map_err(|e| format!("{}: {e}", file.display()))?;
        let all = [Self::Good, Self::Exits, Self::Never, Self::Crashes];
        let named = all.into_iter().find(|version| version.name() == text);
        named.ok_or(format!("{text:?} is no version"))
    }
}

/// Where bad versions note their births, a line each.
#[must_use]
pub fn births(file: &Path) -> PathBuf {
    file.with_extension("births")
}

/// A role: a worker of the site, with the SDK.
pub(super) fn site(args: &[String]) -> Result<(), String> {
    let [file] = args else {
        return Err("usage: VERSION_FILE".into());
    };
    let file = Path::new(file);
    let version = Version::read(file)?;
    if version != Version::Good {
        let mut births = std::fs::File::options()
            .append(true)
            .create(true)
            .open(births(file))
            .map_err(|e| e.to_string())?;
        writeln!(births, "{}", std::process::id()).map_err(|e| e.to_string())?;
    }
    if version == Version::Exits {
        return Err("this version can't start".into());
    }
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|e| e.to_string())?
        .block_on(serve(version))
}

async fn serve(version: Version) -> Result<(), String> {
    let worker = Worker::start().await.map_err(|e| e.to_string())?;
    let listener = worker
        .listen("http", "127.0.0.1:0")
        .map_err(|e| e.to_string())?;
    if version == Version::Never {
        worker.draining().begun().await;
        return Ok(());
    }
    if version == Version::Crashes {
        tokio::spawn(async {
            tokio::time::sleep(LIFE).await;
            std::process::exit(101);
        });
    }
    let router = Router::new().route("/", get(async || std::process::id().to_string()));
    worker.ready().await.map_err(|e| e.to_string())?;
    worker
        .serve(listener, router)
        .await
        .map_err(|e| e.to_string())
}

/// The site for Gunicorn. `SITE` is the file.
pub(super) const GUNICORN: &str = r"
import os, threading, time
file = os.environ['SITE']
version = open(file).read()
if version != 'good':
    with open(os.path.splitext(file)[0] + '.births', 'a') as births:
        print(os.getpid(), file=births)
if version == 'exits':
    raise RuntimeError('this version can not start')
if version == 'never':
    time.sleep(600)
if version == 'crashes':
    threading.Timer(1, lambda: os._exit(101)).start()
def app(environ, start):
    body = str(os.getpid()).encode()
    start('200 OK', [('Content-Length', str(len(body)))])
    return [body]
";

/// The site for Node. `SITE` is the file.
pub(super) const NODE: &str = r"
const { appendFileSync, readFileSync } = require('fs');
const file = process.env.SITE;
const version = readFileSync(file, 'utf8');
if (version !== 'good') appendFileSync(file.replace(/\.[^.]*$/, '.births'), process.pid + '\n');
if (version === 'exits') throw new Error('this version can not start');
const server = require('http').createServer((_, answer) => answer.end(String(process.pid)));
process.on('SIGINT', () => server.close(() => process.exit(0)));
if (version === 'never') setInterval(() => {}, 1000);
else server.listen(Number(process.env.PORT), '127.0.0.1');
if (version === 'crashes') setTimeout(() => process.exit(101), 1000);
";
