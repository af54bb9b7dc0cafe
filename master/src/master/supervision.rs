//! The shell with all that it works with. It knows its apps before anyone can ask: nobody is shown a master without them, or
//! told that there is no such app.

use ostler_bus::{client::Bus, hub::Hub};
use tokio::sync::watch;

use super::{MasterOptions, Stay, features::feature, ground::Tools, reread::reread};
use crate::{
    cli::error::CliError,
    config::app::AppDefinition,
    features::{keep::keep, logs::Lines, watch::run::Watched},
    fleet::Fleet,
    home::MasterHome,
    log,
    process::{Cgroups, LogFiles, Releases},
    shell::{
        Shell, Watches, Workshop,
        alarm::{self, Schedules},
    },
    sockets::{balance::Balancer, slots::Groups},
};

/// A fleet that is looked after, once the shell runs.
pub(super) struct Supervision {
    pub(super) shell: Shell,
    /// Where the shell speaks.
    pub(super) voice: watch::Receiver<Bus>,
    /// The apps whose files are watched.
    pub(super) watched: watch::Receiver<Watched>,
    /// The apps with a schedule.
    pub(super) hours: watch::Receiver<Schedules>,
    pub(super) log_files: LogFiles,
    pub(super) all_lines: Lines,
}

impl Supervision {
    /// `managed`: who started the master is told how it is, and starts it again.
    pub(super) async fn begin(
        options: &MasterOptions,
        hub: &Hub,
        home: &MasterHome,
        tools: Tools,
        managed: bool,
    ) -> Result<Self, CliError> {
        let wants = |app: &&AppDefinition| app.auto_reload.is_some();
        let (auto_reload, watched) = watch::channel(Watched {
            apps: options.apps.iter().filter(wants).cloned().collect(),
            ..Watched::default()
        });
        let (schedules, hours) = watch::channel(alarm::schedules(&options.apps));
        let (log_files, all_lines) = (LogFiles::default(), Lines::default());
        let workshop = Workshop {
            spawner: tools.spawner,
            hub: hub.clone(),
            home: home.clone(),
            sockets: tools.sockets,
            balancer: Balancer::default(),
            groups: Groups::default(),
            accepts: Default::default(),
            lookouts: Default::default(),
            watches: Watches::default(),
            cgroups: Cgroups::default(),
            log: tools.lines,
            log_is_file: matches!(options.log_to, log::Destination::File(_)),
            log_files: log_files.clone(),
            all_lines: all_lines.outlets(),
            releases: Releases::default(),
            environment: tools.environment,
            open_files: tools.open_files.and_then(|files| files.before),
            rights: tools.rights,
            tokens: options.bus.tcp.as_ref().map(|tcp| tcp.tokens.clone()),
            auto_reload,
            kept: Default::default(),
            schedules,
        };
        let bus = feature(hub, "shell").await?;
        let file = options.file.clone().map(|file| reread(file, options));
        let kind = |fleet| kind(fleet, options.stay, managed);
        let shell = Shell::new(kind, workshop, bus.clone(), tools.signals, file);
        let shell = match options.signals {
            true => shell,
            false => shell.deaf(),
        };
        shell.handle().define(options.apps.clone()).await;
        let handle = shell.handle();
        let voice = keep(hub.clone(), "shell's voice", bus, move |bus| {
            let handle = handle.clone();
            async move { handle.speak_through(bus).await }
        });
        Ok(Self {
            shell,
            voice,
            watched,
            hours,
            log_files,
            all_lines,
        })
    }
}

/// A fleet that ends when the master should.
fn kind(fleet: Fleet, stay: Stay, managed: bool) -> Fleet {
    let fleet = match stay {
        Stay::WhileBusy => fleet.leaving_when_done(),
        Stay::Foreground => fleet,
        Stay::Background => fleet.carrying_on(),
    };
    match managed {
        true => fleet.managed(),
        false => fleet,
    }
}
