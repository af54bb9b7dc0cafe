//! Tests that need a second process run this program again, with one of its ignored tests as the whole of it.

use std::{
    io::{BufRead, BufReader, Lines, Write},
    os::unix::process::CommandExt,
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
};

/// Precedes each line that is meant for the test: the test harness prints others.
const MARK: &str = "##";

/// A process that answers lines with lines; killed at the end.
pub(super) struct Other {
    child: Child,
    stdin: ChildStdin,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Other {
    /// Runs the ignored test `name` as a process that leads its own group.
    pub(super) fn run(name: &str) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args([
                "--exact",
                name,
                "--ignored",
                "--nocapture",
                "--test-threads=1",
            ])
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()
            .unwrap();
        let stdin = child.stdin.take().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Self {
            child,
            stdin,
            lines,
        }
    }

    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(super) fn tell(&mut self, line: &str) {
        writeln!(self.stdin, "{line}").unwrap();
    }

    /// What it says next.
    pub(super) fn hear(&mut self) -> String {
        loop {
            let line = self.lines.next().expect("it lives").unwrap();
            // The harness begins a line for the test and leaves it open.
            if let Some((_, said)) = line.split_once(MARK) {
                return said.to_owned();
            }
        }
    }

    pub(super) fn ask(&mut self, line: &str) -> String {
        self.tell(line);
        self.hear()
    }
}

impl Drop for Other {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The other process: answers each line until there are no more.
pub(super) fn answer(mut reply: impl FnMut(&str) -> String) {
    for line in std::io::stdin().lines() {
        let reply = reply(&line.unwrap());
        println!("{MARK}{reply}");
    }
}
