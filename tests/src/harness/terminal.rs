//! A command on a terminal of the test's own.

use std::{
    fs::File,
    io::{Read as _, Write as _},
    os::fd::{AsFd as _, OwnedFd},
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex, PoisonError},
};

use nix::{
    pty::{OpenptyResult, Winsize, openpty},
    sys::termios::{LocalFlags, tcgetattr},
};
use rustix::process::{Pid, Signal, kill_process};

use super::{Cli, Exit, PATIENCE, eventually};

/// A command whose input and output are a terminal of 80 columns and 24 lines. On drop it is killed and reaped.
#[derive(Debug)]
pub struct Terminal {
    child: Child,
    keyboard: File,
    /// The other end, as the command has it.
    line: OwnedFd,
    shown: Arc<Mutex<Vec<u8>>>,
}

impl Cli {
    /// Starts it on a terminal.
    ///
    /// # Panics
    /// If there is none, or it can't be started.
    #[must_use]
    pub fn on_terminal(self) -> Terminal {
        Terminal::start(self.env("TERM", "xterm-256color").into_command())
    }
}

impl Terminal {
    fn start(mut command: Command) -> Self {
        let size = Winsize {
            ws_row: 24,
            ws_col: 80,
            ws_xpixel: 0,
            ws_ypixel: 0,
        };
        let OpenptyResult { master, slave } = openpty(&size, None).expect("a terminal");
        let end = || Stdio::from(slave.try_clone().expect("a descriptor"));
        let child = command.stdin(end()).stdout(end()).stderr(end()).spawn();
        let shown: Arc<Mutex<Vec<u8>>> = Arc::default();
        let (mut screen, seen) = (
            File::from(master.try_clone().expect("a descriptor")),
            Arc::clone(&shown),
        );
        // Ends with the last who holds the other end.
        std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(count @ 1..) = screen.read(&mut bytes) {
                let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
                seen.extend_from_slice(&bytes[..count]);
            }
        });
        Self {
            child: child.expect("it starts"),
            keyboard: File::from(master),
            line: slave,
            shown,
        }
    }

    /// Types.
    ///
    /// # Panics
    /// If the terminal is gone.
    pub fn press(&mut self, keys: &str) {
        self.keyboard
            .write_all(keys.as_bytes())
            .expect("a terminal");
    }

    /// How much was written so far.
    #[must_use]
    pub fn written(&self) -> usize {
        self.shown
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .len()
    }

    /// Waits until this is written to the terminal, after its first `after` bytes.
    ///
    /// # Panics
    /// If it isn't in time; with all that was.
    pub async fn shows(&self, text: &str, after: usize) {
        let wanted = text.as_bytes();
        let has = || {
            let shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
            let rest = shown.get(after..).unwrap_or_default();
            let found = rest.windows(wanted.len()).any(|part| part == wanted);
            found.then_some(())
        };
        let waited = tokio::time::timeout(PATIENCE, eventually(text, PATIENCE * 2, has)).await;
        assert!(waited.is_ok(), "no {text:?} in\n{}", self.text());
    }

    /// All that was written, without the bytes that are no text.
    #[must_use]
    pub fn text(&self) -> String {
        let shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8_lossy(&shown).replace('\x1b', "␛")
    }

    /// Whether lines are edited and echoed, as a shell expects it of its terminal.
    ///
    /// # Panics
    /// If the terminal is gone.
    #[must_use]
    pub fn is_as_it_was(&self) -> bool {
        let flags = tcgetattr(self.line.as_fd())
            .expect("a terminal")
            .local_flags;
        flags.contains(LocalFlags::ICANON | LocalFlags::ECHO | LocalFlags::ISIG)
    }

    /// Sends it a signal.
    ///
    /// # Panics
    /// If it is gone.
    pub fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        kill_process(pid.expect("a process id"), signal).expect("it is not reaped yet");
    }

    /// Waits until it has ended.
    ///
    /// # Panics
    /// If it doesn't in time.
    pub async fn ended(&mut self) -> Exit {
        let status = eventually("the command to end", PATIENCE, || {
            self.child.try_wait().expect("a child of ours")
        });
        let status = status.await;
        match std::os::unix::process::ExitStatusExt::signal(&status) {
            Some(signal) => Exit::Signal(signal),
            None => Exit::Code(status.code().unwrap_or_default()),
        }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // It may have ended already.
        let _ended = self.child.kill();
        let _reaped = self.child.wait();
    }
}
