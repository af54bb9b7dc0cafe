//! How each fleet is started.

use std::process::Command;

use serde_json::json;

use super::Kind;
use crate::{
    bench::{
        roles,
        supervisors::{
            Absent,
            site::{GUNICORN, NODE},
        },
        system::found,
    },
    harness::PrivateDir,
};

/// How long a worker may take to get ready, in seconds; PM2's own default.
const START_TIMEOUT: u32 = 3;

/// The command that starts a fleet of so many workers at this port, with what it needs in its directory.
pub(super) fn command(
    kind: Kind,
    dir: &PrivateDir,
    port: u16,
    workers: usize,
) -> Result<Command, Absent> {
    let version = dir.at(super::VERSION);
    match kind {
        Kind::Ostler {
            program,
            min_healthy,
        } => {
            let mut words = roles::command("site")?;
            words.push(version.to_string_lossy().into_owned());
            let words = serde_json::to_string(&words).map_err(|e| e.to_string())?;
            let watched =
                min_healthy.map_or_else(String::new, |time| format!("min_healthy = {time:?}\n"));
            let file = format!(
                "name = \"{name}\"\n[app.web]\ncommand = {words}\ninstances = {workers}\nready = \"sdk\"\n{watched}\
                 start_timeout = \"{START_TIMEOUT}s\"\nlisten = {{ http = \"127.0.0.1:{port}\" }}\n",
                name = super::MASTER,
            );
            let mut command = Command::new(program);
            command
                .arg("run")
                .arg(dir.write("ostler.toml", &file))
                .env("OSTLER_HOME", dir.at("home"));
            Ok(command)
        }
        Kind::Gunicorn => {
            dir.write("service.py", GUNICORN);
            let mut command = Command::new(found("gunicorn")?);
            command
                .args(["--workers", &workers.to_string()])
                .args(["--timeout", &START_TIMEOUT.to_string()])
                .args(["--bind", &format!("127.0.0.1:{port}"), "service:app"])
                .env("SITE", version)
                .current_dir(dir.path());
            Ok(command)
        }
        Kind::Nginx => {
            let mut command = Command::new(found("nginx")?);
            let file = nginx(&dir.path().to_string_lossy(), port, workers);
            command.arg("-c").arg(dir.write("nginx.conf", &file));
            Ok(command)
        }
        Kind::Pm2 => {
            found("node")?;
            let script = dir.write("server.js", NODE);
            let app = json!({
                "name": "web", "script": script, "exec_mode": "cluster", "instances": workers,
                "listen_timeout": START_TIMEOUT * 1000,
                "env": { "PORT": port.to_string(), "SITE": version },
            });
            let file = dir.write("pm2.json", &json!({ "apps": [app] }).to_string());
            let mut command = Command::new(found("pm2-runtime")?);
            command
                .arg("start")
                .arg(file)
                .env("PM2_HOME", dir.at("pm2"));
            Ok(command)
        }
    }
}

fn nginx(home: &str, port: u16, workers: usize) -> String {
    format!(
        "daemon off;\npid {home}/pid;\nerror_log /dev/null;\nworker_processes {workers};\nevents {{}}\n\
         http {{\n access_log off;\n client_body_temp_path {home}/body;\n proxy_temp_path {home}/proxy;\n\
          fastcgi_temp_path {home}/fastcgi;\n uwsgi_temp_path {home}/uwsgi;\n scgi_temp_path {home}/scgi;\n\
          server {{ listen 127.0.0.1:{port}; location / {{ return 200 \"$pid\"; }} }}\n}}\n"
    )
}
