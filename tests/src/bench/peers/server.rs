//! Brokers of the system, each started for the benchmark and ended with it.

use std::{
    os::unix::process::CommandExt,
    process::{Child, Command, Stdio},
    thread::park_timeout,
    time::{Duration, Instant},
};

use nix::{
    sys::{prctl::set_pdeathsig, signal::Signal},
    unistd::getppid,
};

use super::{
    line::{Address, Line},
    wire::{Wire, zmtp},
};
use crate::{
    bench::{
        fleet::Process,
        roles::{self, Role, end_with_stdin},
        system::found,
    },
    harness::PrivateDir,
};

/// How long a broker may take until it can be connected to.
const PATIENCE: Duration = Duration::from_secs(10);

/// How often that is tried: brokers don't say when they are ready.
const AGAIN: Duration = Duration::from_millis(10);

/// A ZeroMQ proxy: libzmq's own, which needs a program to be called from. The high-water marks (where libzmq drops) are off.
const PROXY: &str = "
import ctypes, ctypes.util, sys
zmq = ctypes.CDLL('libzmq.so.5')
for name in ('zmq_ctx_new', 'zmq_socket'):
    getattr(zmq, name).restype = ctypes.c_void_p
context = ctypes.c_void_p(zmq.zmq_ctx_new())
def bound(kind, path):
    socket = ctypes.c_void_p(zmq.zmq_socket(context, kind))
    none = ctypes.c_int(0)
    for option in (23, 24):
        assert zmq.zmq_setsockopt(socket, option, ctypes.byref(none), ctypes.sizeof(none)) == 0
    assert zmq.zmq_bind(socket, ('ipc://' + path).encode()) == 0
    return socket
XPUB, XSUB = 9, 10
subscribers = bound(XPUB, sys.argv[2])
zmq.zmq_proxy(bound(XSUB, sys.argv[1]), subscribers, None)
";

/// A running broker. Ended on drop.
#[derive(Debug)]
pub struct Server {
    /// What it speaks.
    pub wire: Wire,
    /// Where publishers connect to.
    pub publishers: Address,
    /// Where subscribers connect to.
    pub subscribers: Address,
    /// Its process.
    pub process: Process,
    /// Another build of the benchmark, whose hub it is.
    build: Option<String>,
    _role: Role,
    dir: PrivateDir,
}

/// Why a broker takes no part.
pub type Absent = String;

impl Server {
    /// Starts the broker that speaks `wire`, as the system has it.
    ///
    /// # Errors
    /// If it isn't installed, with how to install it; or doesn't start.
    pub fn start(wire: Wire) -> Result<Self, Absent> {
        let dir = PrivateDir::new();
        let path = |name: &str| dir.at(name).to_string_lossy().into_owned();
        let socket = path("socket");
        let mut beside = Address::Unix(socket.clone());
        let words: Vec<String> = match wire {
            Wire::Ostler => {
                let role = Role::start("hub", &[&socket])?;
                return Self::of_role(role, dir, socket);
            }
            Wire::Nats => nats(&dir)?,
            Wire::Redis => redis(&socket)?,
            Wire::Mqtt => {
                let config = format!(
                    "listener 0 {socket}\nallow_anonymous true\nmax_queued_messages 0\nuser root\n"
                );
                dir.write("config", &config);
                let program = found("mosquitto")?;
                vec![program, "-c".into(), path("config")]
            }
            Wire::Zmtp => {
                found("python3")?;
                beside = zmtp::publishers_of(&beside);
                let words = ["python3", "-c", PROXY, &path("socket.in"), &socket];
                words.map(str::to_owned).to_vec()
            }
            Wire::Dbus => {
                dir.write("config", &dbus_config(&socket));
                let program = found("dbus-daemon")?;
                let file = format!("--config-file={}", path("config"));
                vec![program, file, "--nofork".into(), "--nopidfile".into()]
            }
            Wire::Raw => return Err("the relay is started for each run".into()),
        };
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let mut role = Role::start("server", &words)?;
        let pid = role.line()?.parse().map_err(|_| "no process id")?;
        let began = Instant::now();
        let mut server = Self {
            wire,
            publishers: beside,
            subscribers: Address::Unix(socket),
            process: Process(pid),
            build: None,
            _role: role,
            dir,
        };
        while let Err(why) = server.find().and_then(|()| server.try_out()) {
            if began.elapsed() > PATIENCE {
                return Err(format!("{} doesn't start: {why}", words[0]));
            }
            park_timeout(AGAIN);
        }
        Ok(server)
    }

    /// Starts the hub of another build of this benchmark.
    ///
    /// # Errors
    /// If it doesn't start.
    pub fn hub_of(program: &str) -> Result<Self, Absent> {
        let dir = PrivateDir::new();
        let socket = dir.at("socket").to_string_lossy().into_owned();
        let role = Role::start_of(program, "hub", &[&socket])?;
        let build = Some(program.to_owned());
        let server = Self::of_role(role, dir, socket)?;
        Ok(Self { build, ..server })
    }

    /// Another one of the same, that has done nothing yet.
    ///
    /// # Errors
    /// If it doesn't start.
    pub fn another(&self) -> Result<Self, Absent> {
        match &self.build {
            Some(program) => Self::hub_of(program),
            None => Self::start(self.wire),
        }
    }

    fn of_role(mut role: Role, dir: PrivateDir, socket: String) -> Result<Self, Absent> {
        role.line()?;
        Ok(Self {
            wire: Wire::Ostler,
            publishers: Address::Unix(socket.clone()),
            subscribers: Address::Unix(socket),
            process: Process(role.id()),
            build: None,
            _role: role,
            dir,
        })
    }

    /// Where it listens, if it has chosen that itself.
    fn find(&mut self) -> Result<(), String> {
        if self.wire == Wire::Nats {
            let file = self
                .dir
                .at(&format!("nats-server_{}.ports", self.process.0));
            let ports = std::fs::read(file).map_err(|e| e.to_string())?;
            let ports: serde_json::Value =
                serde_json::from_slice(&ports).map_err(|e| e.to_string())?;
            let url = ports["nats"][0].as_str().ok_or("no port")?;
            let host = url.trim_start_matches("nats://").to_owned();
            (self.publishers, self.subscribers) = (Address::Tcp(host.clone()), Address::Tcp(host));
        }
        Ok(())
    }

    fn try_out(&self) -> Result<(), String> {
        Line::connect(&self.publishers)?;
        let mut line = self.wire.connect(&self.subscribers, false)?;
        match self.wire {
            Wire::Redis => {
                line.write(b"PING\r\n")?;
                line.expect("+PONG").map(drop)
            }
            _ => Ok(()),
        }
    }
}

fn nats(dir: &PrivateDir) -> Result<Vec<String>, Absent> {
    let program = found("nats-server")?;
    let ports = dir.path().to_string_lossy().into_owned();
    let words = ["-a", "127.0.0.1", "-p", "-1", "--ports_file_dir", &ports];
    Ok([&program[..]]
        .into_iter()
        .chain(words)
        .map(str::to_owned)
        .collect())
}

fn redis(socket: &str) -> Result<Vec<String>, Absent> {
    let program = found("redis-server")?;
    let words = [
        "--port",
        "0",
        "--unixsocket",
        socket,
        "--save",
        "",
        "--appendonly",
        "no",
        "--client-output-buffer-limit",
        "pubsub 0 0 0",
    ];
    Ok([&program[..]]
        .into_iter()
        .chain(words)
        .map(str::to_owned)
        .collect())
}

/// A bus as a session has it, without the limits of one.
fn dbus_config(socket: &str) -> String {
    let limits = [
        "max_incoming_bytes",
        "max_outgoing_bytes",
        "max_message_size",
    ];
    let limits: String = limits
        .iter()
        .map(|name| format!("<limit name=\"{name}\">134217728</limit>"))
        .collect();
    format!(
        "<!DOCTYPE busconfig PUBLIC \"-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN\" \
         \"http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd\">\n<busconfig><type>session</type>\
         <listen>unix:path={socket}</listen><auth>EXTERNAL</auth><policy context=\"default\">\
         <allow send_destination=\"*\" eavesdrop=\"true\"/><allow eavesdrop=\"true\"/><allow own=\"*\"/>\
         </policy>{limits}</busconfig>\n"
    )
}

/// A role: starts a program that listens, says its process id, and ends it when the benchmark ends, however that does;
/// should this process be killed itself, the kernel ends the program.
pub(super) fn play(args: &[String]) -> Result<(), String> {
    let [program, ..] = args else {
        return Err("usage: PROGRAM ARGUMENTS".into());
    };
    let broker = roles::command("broker")?;
    let child = Command::new(&broker[0])
        .args(&broker[1..])
        .arg(std::process::id().to_string())
        .args(args)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|e| format!("{program}: {e}"))?;
    let child = Ended(child);
    println!("{}", child.0.id());
    // To its end, or should it break: both mean that nobody is there any more.
    std::io::copy(&mut std::io::stdin(), &mut std::io::sink()).ok();
    Ok(())
}

/// A role: becomes another program, that is killed when the process that started it has ended.
pub(super) fn become_program(args: &[String]) -> Result<(), String> {
    let [parent, program, args @ ..] = args else {
        return Err("usage: PARENT PROGRAM ARGUMENTS".into());
    };
    set_pdeathsig(Signal::SIGKILL).map_err(|e| e.to_string())?;
    // It may have ended before.
    if getppid().to_string() != *parent {
        return Err("whoever started it has gone".into());
    }
    Err(Command::new(program).args(args).exec().to_string())
}

struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

/// The least that a role does that waits for its end.
pub(super) fn linger() {
    end_with_stdin();
    loop {
        std::thread::park();
    }
}
