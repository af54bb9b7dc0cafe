//! What the core's tests have in common.

use std::{collections::BTreeMap, time::Duration};

use ostler_bus::{
    OpId, WorkerId,
    vocab::{
        control::{
            Answer, AppReload, AppScale, AppStart, AppStop, MasterKill, Outcome, RefusalKind,
            ScaleTo,
        },
        status::AppStatus,
        worker::ExitStatus,
    },
};

use super::{
    Action, Command, Exit, Fleet, FleetEvent, Input, Moment, RequestToken, SpawnOrder, WorkerNews,
};
use crate::config::app::{
    AppDefinition, AppName, Backoff, Readiness, Rung,
    given::Given,
    hooks::Hooks,
    life::Life,
    log::LogSettings,
    overlay::Overlay,
    probe::{Check, Probe, Target},
    process::ProcessAttributes,
    recycle::Recycle,
    stop::Stop,
    update::UpdateRules,
};

/// An app with every default, whose workers say on the bus when they are ready.
pub(crate) fn definition(name: &str, instances: u32) -> AppDefinition {
    AppDefinition {
        name: AppName::new(name).expect("a name"),
        command: vec!["app".into()],
        cwd: None,
        env: BTreeMap::new(),
        inherits: Default::default(),
        start: Default::default(),
        namespace: None,
        instances,
        listen: Vec::new(),
        ready: Readiness::Auto,
        start_timeout: Duration::from_secs(30),
        min_healthy: None,
        canary_healthy: None,
        min_uptime: Duration::from_secs(5),
        max_draining: None,
        kill_ladder: vec![
            Rung {
                signal: 15,
                wait: Some(Duration::from_secs(30)),
            },
            Rung {
                signal: 9,
                wait: None,
            },
        ],
        backoff: Backoff {
            first: Duration::from_millis(100),
            max: Duration::from_secs(30),
            factor: 1.5,
        },
        max_restarts: 16,
        restart_window: Duration::from_secs(600),
        stop_exit_codes: Vec::new(),
        listen_pid: true,
        auto_reload: None,
        life: Life::default(),
        recycle: Recycle::default(),
        stop: Stop::default(),
        hooks: Hooks::default(),
        bus: Vec::new(),
        process: ProcessAttributes::default(),
        given: Given::default(),
        log: LogSettings::default(),
        update: UpdateRules::default(),
        overlay: Overlay::default(),
        places: Default::default(),
    }
}

/// A probe that asks this often, and waits this long, in milliseconds.
pub(crate) fn probe(interval: u64, timeout: u64) -> Probe {
    Probe {
        check: Check::Tcp {
            at: Target::Port(8100),
        },
        interval: Duration::from_millis(interval),
        timeout: Duration::from_millis(timeout),
    }
}

/// A fleet with its clock, for tests that play the shell by hand.
pub(crate) struct Stage {
    pub(crate) fleet: Fleet,
    pub(crate) now: Moment,
    /// What the fleet wanted done since this was last looked at.
    pub(crate) actions: Vec<Action>,
    requests: u64,
}

impl Stage {
    /// A fleet of one app that has just been defined.
    pub(crate) fn of(definition: AppDefinition) -> Self {
        Self::of_all(vec![definition])
    }

    /// A fleet of these apps, defined together.
    pub(crate) fn of_all(definitions: Vec<AppDefinition>) -> Self {
        let mut stage = Self {
            fleet: Fleet::new(1),
            now: Moment::default(),
            actions: Vec::new(),
            requests: 0,
        };
        stage.input(Input::DefineAll(definitions));
        stage
    }

    /// A fleet of one app whose workers all serve, long enough to be stable.
    pub(crate) fn serving(definition: AppDefinition) -> Self {
        let instances = definition.instances;
        let mut stage = Self::of(definition);
        for _ in 0..instances {
            let id = stage.spawned();
            stage.says_ready(id);
        }
        stage.wait(10_000);
        stage.actions.clear();
        stage
    }

    pub(crate) fn input(&mut self, input: Input) {
        let actions = self.fleet.step(self.now, input);
        self.actions.extend(actions);
    }

    pub(crate) fn news(&mut self, id: WorkerId, news: WorkerNews) {
        self.input(Input::Worker { id, news });
    }

    /// Lets so many milliseconds pass, deadline by deadline.
    pub(crate) fn wait(&mut self, ms: u64) {
        let then = self.now + Duration::from_millis(ms);
        while let Some(at) = self.fleet.next_deadline().filter(|at| *at <= then) {
            self.now = at;
            self.input(Input::Tick);
        }
        self.now = then;
    }

    /// Lets time pass while nothing is taken in, and says so afterwards.
    pub(crate) fn stand_still(&mut self, ms: u64) {
        let time = Duration::from_millis(ms);
        self.now = self.now + time;
        self.input(Input::Paused(time));
    }

    /// The workers ordered since the last look, all other actions being forgotten.
    pub(crate) fn orders(&mut self) -> Vec<SpawnOrder> {
        let order = |action| match action {
            Action::Spawn(order) => Some(order),
            _ => None,
        };
        std::mem::take(&mut self.actions)
            .into_iter()
            .filter_map(order)
            .collect()
    }

    /// The workers ordered since the last look, all other actions being kept.
    pub(crate) fn orders_only(&mut self) -> Vec<SpawnOrder> {
        let (orders, others) = std::mem::take(&mut self.actions)
            .into_iter()
            .partition(|action| matches!(action, Action::Spawn(_)));
        self.actions = others;
        let order = |action| match action {
            Action::Spawn(order) => Some(order),
            _ => None,
        };
        let orders: Vec<Action> = orders;
        orders.into_iter().filter_map(order).collect()
    }

    /// The one worker ordered since the last look; its process runs now.
    pub(crate) fn spawned(&mut self) -> WorkerId {
        let orders = self.orders();
        assert_eq!(orders.len(), 1, "one worker is ordered: {orders:?}");
        let id = orders[0].id;
        self.news(id, WorkerNews::Spawned { pid: 1000 });
        id
    }

    pub(crate) fn says_ready(&mut self, id: WorkerId) {
        self.news(id, WorkerNews::BusConnected);
        self.news(id, WorkerNews::SdkReady);
    }

    pub(crate) fn exits(&mut self, id: WorkerId, code: i32) {
        let stderr_tail = vec!["Traceback".into(), "ImportError: no module".into()];
        let status = ExitStatus::Code(code);
        self.news(
            id,
            WorkerNews::Exited(Exit {
                status,
                stderr_tail,
                hint: None,
                core_dumped: false,
            }),
        );
    }

    /// Asks for something; the answer.
    pub(crate) fn ask(&mut self, command: Command) -> Answer {
        self.requests += 1;
        let request = RequestToken(self.requests);
        let before = self.actions.len();
        self.input(Input::Command { request, command });
        let answers = self.actions[before..]
            .iter()
            .filter_map(|action| match action {
                Action::Answer {
                    request: to,
                    answer,
                } if *to == request => Some(answer.clone()),
                _ => None,
            });
        let answers: Vec<Answer> = answers.collect();
        assert_eq!(answers.len(), 1, "answered once: {answers:?}");
        answers[0].clone()
    }

    /// Asks for something that is accepted; its number.
    pub(crate) fn op(&mut self, command: Command) -> OpId {
        match self.ask(command) {
            Answer::Accepted { op } => op,
            Answer::Refused { reason, .. } => panic!("refused: {reason}"),
        }
    }

    /// Asks for something that is refused; how.
    pub(crate) fn refused(&mut self, command: Command) -> RefusalKind {
        match self.ask(command) {
            Answer::Accepted { op } => panic!("accepted as {op}"),
            Answer::Refused { kind, .. } => kind,
        }
    }

    /// How this operation ended, if it has since the last look.
    pub(crate) fn outcome(&self, op: OpId) -> Option<Outcome> {
        self.events().find_map(|event| match event {
            FleetEvent::OperationFinished(event) if event.op == op => Some(event.outcome.clone()),
            _ => None,
        })
    }

    /// What was told everyone since the last look.
    pub(crate) fn events(&self) -> impl Iterator<Item = &FleetEvent> {
        self.actions.iter().filter_map(|action| match action {
            Action::Publish(event) => Some(event.as_ref()),
            _ => None,
        })
    }

    /// The signals sent to this worker since the last look; 0 is the drain message.
    pub(crate) fn signals(&self, to: WorkerId) -> Vec<i32> {
        let signal = |action: &Action| match action {
            Action::Signal { id, signal, .. } if *id == to => Some(*signal),
            Action::Drain { id, .. } if *id == to => Some(0),
            _ => None,
        };
        self.actions.iter().filter_map(signal).collect()
    }

    /// The states of workers and empty slots, in order.
    pub(crate) fn states(&self) -> Vec<String> {
        self.fleet
            .snapshot(self.now)
            .workers
            .into_iter()
            .map(|worker| worker.state)
            .collect()
    }

    /// The state of the first app.
    pub(crate) fn app(&self) -> AppStatus {
        self.fleet.snapshot(self.now).apps.remove(0)
    }
}

pub(crate) fn reload(now: bool) -> Command {
    Command::Reload(AppReload {
        app: None,
        reason: None,
        now,
        env: None,
        inherit: None,
    })
}

pub(crate) fn scale(to: ScaleTo) -> Command {
    Command::Scale(AppScale {
        app: "web".into(),
        to,
    })
}

pub(crate) fn start() -> Command {
    Command::Start(AppStart { app: None })
}

pub(crate) fn stop() -> Command {
    Command::Stop(AppStop { app: None })
}

pub(crate) fn kill(force: bool) -> Command {
    Command::Kill(MasterKill { force })
}
