//! A benchmark's other processes: the benchmark itself, started again in a role.
//!
//! Whoever publishes, relays and reads has a process of its own, as in real life. A benchmark begins with [`play`], which
//! takes over if it was started in a role; [`Role`] starts one. Every role ends when its standard input does, so none
//! outlives the benchmark, however that ends.

use std::{
    io::{BufRead, BufReader, Read, Write},
    process::{Child, ChildStdin, ChildStdout, Command, ExitCode, Stdio},
};

/// What a role prints.
pub type Pipe = ChildStdout;

/// The first argument of a process in a role; cargo passes nothing like it.
const MARK: &str = "in-the-role-of";

/// What a role does: with its arguments, to its end.
pub type Play = fn(&[String]) -> Result<(), String>;

/// Plays the role this process was started in; `None` if it is the benchmark itself.
#[must_use]
pub fn play(roles: &[(&str, Play)]) -> Option<ExitCode> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [mark, name, args @ ..] = words.as_slice() else {
        return None;
    };
    if mark != MARK {
        return None;
    }
    let done = match roles.iter().find(|(known, _)| known == name) {
        Some((_, play)) => play(args),
        None => Err("there is no such role".into()),
    };
    Some(match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("{name}: {why}");
            ExitCode::FAILURE
        }
    })
}

/// The words that start this program in a role.
///
/// # Errors
/// If the system doesn't say where this program is.
pub fn command(name: &str) -> Result<Vec<String>, String> {
    let program = std::env::current_exe().map_err(|e| e.to_string())?;
    let program = program.to_str().ok_or("a program path that is not UTF-8")?;
    Ok(vec![program.into(), MARK.into(), name.into()])
}

/// Ends this process when its standard input does.
pub fn end_with_stdin() {
    std::thread::spawn(|| {
        // At its end, or should it break: both mean that nobody is there.
        std::io::copy(&mut std::io::stdin(), &mut std::io::sink()).ok();
        std::process::exit(0);
    });
}

/// A running role; killed and reaped on drop.
#[derive(Debug)]
pub struct Role {
    child: Child,
    stdin: ChildStdin,
    stdout: Option<BufReader<ChildStdout>>,
}

impl Role {
    /// Starts this program in a role.
    ///
    /// # Errors
    /// If it can't be started.
    pub fn start(name: &str, args: &[&str]) -> Result<Self, String> {
        let words = command(name)?;
        Self::start_of(&words[0], name, args)
    }

    /// Starts another build of a benchmark in a role.
    ///
    /// # Errors
    /// If it can't be started.
    pub fn start_of(program: &str, name: &str, args: &[&str]) -> Result<Self, String> {
        let mut child = Command::new(program)
            .args([MARK, name])
            .args(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|e| format!("{name}: {e}"))?;
        let stdin = child.stdin.take().ok_or("no pipe")?;
        let stdout = child.stdout.take().map(BufReader::new);
        Ok(Self {
            child,
            stdin,
            stdout,
        })
    }

    /// Its next line.
    ///
    /// # Errors
    /// If it has ended.
    pub fn line(&mut self) -> Result<String, String> {
        let mut line = String::new();
        match self.stdout.as_mut().map(|out| out.read_line(&mut line)) {
            Some(Ok(n)) if n > 0 => Ok(line.trim_end().into()),
            Some(Ok(_)) | None => Err("the role has ended".into()),
            Some(Err(e)) => Err(e.to_string()),
        }
    }

    /// Says a line to it, and takes the line it answers.
    ///
    /// # Errors
    /// If it has ended.
    pub fn ask(&mut self, question: &str) -> Result<String, String> {
        writeln!(self.stdin, "{question}").map_err(|e| e.to_string())?;
        self.line()
    }

    /// Waits until it has printed so many bytes; what it prints from then on is read and forgotten.
    ///
    /// # Errors
    /// If it has ended before.
    pub fn forget_output_after(&mut self, count: usize) -> Result<(), String> {
        let mut stdout = self.stdout.take().ok_or("somebody else reads it")?;
        let mut bytes = vec![0; count];
        stdout.read_exact(&mut bytes).map_err(|e| e.to_string())?;
        std::thread::spawn(move || std::io::copy(&mut stdout, &mut std::io::sink()));
        Ok(())
    }

    /// Its process id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Says some bytes to it.
    ///
    /// # Errors
    /// If it has ended.
    pub fn tell(&mut self, bytes: &[u8]) -> Result<(), String> {
        self.stdin.write_all(bytes).map_err(|e| e.to_string())
    }

    /// What it prints, for somebody else to wait for; before its first line was read.
    pub fn take_pipe(&mut self) -> Option<Pipe> {
        self.stdout.take().map(BufReader::into_inner)
    }

    /// What it prints, for somebody else to read.
    pub fn take_output(&mut self) -> Option<impl Read + Send + use<>> {
        self.stdout.take()
    }
}

impl Drop for Role {
    fn drop(&mut self) {
        // It may have ended by itself.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}
