//! PM2 in cluster mode, with the same program.

use std::{
    net::SocketAddr,
    process::Command,
    thread::park_timeout,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use super::{
    Absent,
    cluster::{free_port, script},
    owned::asked,
};
use crate::{
    bench::{roles::Role, system::found},
    harness::PrivateDir,
};

/// How long it may take for anything.
const PATIENCE: Duration = Duration::from_secs(30);

/// A running PM2 and its workers. Ended on drop: the kernel ends the first, and without it the others end themselves.
#[derive(Debug)]
pub struct Pm2 {
    _role: Role,
    /// Where it serves.
    pub address: SocketAddr,
    dir: PrivateDir,
}

impl Pm2 {
    /// Starts so many workers, with these variables, and waits until they answer.
    ///
    /// # Errors
    /// If PM2 isn't installed, or doesn't answer.
    pub fn start(workers: u32, variables: &[(&str, &str)]) -> Result<Self, Absent> {
        let (dir, script) = script();
        let address = free_port()?;
        let mut env = json!({ "PORT": address.port().to_string() });
        for (name, value) in variables {
            env[name] = Value::from(*value);
        }
        let app = json!({
            "name": "web", "script": script, "exec_mode": "cluster", "instances": workers, "env": env,
        });
        let file = dir.write("pm2.json", &json!({ "apps": [app] }).to_string());
        let home = format!("PM2_HOME={}", dir.at("pm2").display());
        let runtime = found("pm2-runtime")?;
        let words = ["env", &home, &runtime, "start", &file.to_string_lossy()];
        let pm2 = Self {
            _role: Role::start("server", &words)?,
            address,
            dir,
        };
        let until = Instant::now() + PATIENCE;
        while let Err(why) = asked(address) {
            if Instant::now() > until {
                return Err(format!("PM2 doesn't answer: {why}"));
            }
            park_timeout(Duration::from_millis(20));
        }
        Ok(pm2)
    }

    /// Replaces all workers, one by one.
    ///
    /// # Errors
    /// If PM2 says so.
    pub fn update(&self) -> Result<(), String> {
        let output = Command::new(found("pm2")?)
            .args(["reload", "all"])
            .env("PM2_HOME", self.dir.at("pm2"))
            .output()
            .map_err(|e| e.to_string())?;
        match output.status.success() {
            true => Ok(()),
            false => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
        }
    }
}
