//! A program in another language that does on the bus what a test asks of it, one JSON line each way.

use std::{
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines},
    process::{Child, ChildStdin, ChildStdout, Command},
};

use super::{deadline, installed};

/// Starting an interpreter, and taking thousands of events with it, takes its time on a busy machine.
const SLOW: Duration = Duration::from_secs(60);

/// A language with a client of its own in `worker-sdk/`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Language {
    /// `worker-sdk/python`.
    Python,
    /// `worker-sdk/node`.
    Node,
}

impl Language {
    /// The interpreter's command.
    ///
    /// # Panics
    /// If it is not on the path.
    #[must_use]
    pub fn interpreter(self) -> &'static str {
        installed(match self {
            Self::Python => "python3",
            Self::Node => "node",
        })
    }

    /// The folder of its client.
    #[must_use]
    pub fn client(self) -> PathBuf {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let root = root.canonicalize().expect("the workspace");
        root.join("worker-sdk").join(match self {
            Self::Python => "python",
            Self::Node => "node",
        })
    }

    /// The command of its client's example worker.
    #[must_use]
    pub fn example_worker(self) -> [String; 2] {
        let name = match self {
            Self::Python => "example_worker.py",
            Self::Node => "example_worker.mjs",
        };
        let script = self.client().join(name);
        [self.interpreter().into(), script.display().to_string()]
    }

    /// The command that starts `tests/interop/agent.*`; one argument is left to say.
    #[must_use]
    pub fn agent(self) -> std::process::Command {
        let name = match self {
            Self::Python => "agent.py",
            Self::Node => "agent.mjs",
        };
        let script = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("interop")
            .join(name);
        let mut command = std::process::Command::new(self.interpreter());
        command.arg(script).arg(self.client());
        command
    }
}

/// A running agent; killed on drop.
#[derive(Debug)]
pub struct Agent {
    _child: Child,
    input: ChildStdin,
    output: Lines<BufReader<ChildStdout>>,
}

impl Agent {
    /// Starts one, connected to the hub at `socket`.
    ///
    /// # Panics
    /// If it doesn't connect in time.
    pub async fn start(language: Language, socket: impl AsRef<Path>) -> Self {
        let mut command = Command::from(language.agent());
        command.arg(socket.as_ref()).kill_on_drop(true);
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("an interpreter");
        let output = BufReader::new(child.stdout.take().expect("piped")).lines();
        let mut agent = Self {
            input: child.stdin.take().expect("piped"),
            output,
            _child: child,
        };
        assert_eq!(agent.answer().await, "connected");
        agent
    }

    /// Asks for something, and waits for nothing.
    pub async fn ask(&mut self, what: Value) {
        let line = format!("{what}\n");
        let sent = self.input.write_all(line.as_bytes()).await;
        sent.expect("an agent that lives");
    }

    /// What came of what was asked first and not answered yet.
    ///
    /// # Panics
    /// If it has ended, or doesn't answer in time.
    pub async fn answer(&mut self) -> Value {
        let line = deadline("the agent's answer", SLOW, self.output.next_line()).await;
        let line = line.expect("a line").expect("an agent that lives");
        serde_json::from_str(&line).expect("JSON")
    }

    /// Asks for something, and gives what came of it.
    pub async fn told(&mut self, what: Value) -> Value {
        self.ask(what).await;
        self.answer().await
    }

    /// Asks for something that must be done.
    ///
    /// # Panics
    /// If it wasn't.
    pub async fn done(&mut self, what: Value) -> Value {
        let told = self.told(what.clone()).await;
        match told.get("ok") {
            Some(result) => result.clone(),
            None => panic!("{what}: {told}"),
        }
    }
}
