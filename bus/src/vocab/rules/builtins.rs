//! The types of what the master says and hears.

use crate::{
    Event, Request, SchemaTrait, Topic,
    schema::TypeSchema,
    vocab::{
        bus::{BusLagged, BusStats},
        commands::{AppAdd, AppAwait, AppDelete, AppRestart, AppSignal, WorkerReleased},
        control::{AppReload, AppScale, AppSend, AppStart, AppStop, MasterKill, OperationFinished},
        describe::AppDescribe,
        log::{AppFlush, AppLogs},
        plan::{MasterPlan, MasterReload},
        saved::{MasterResurrect, MasterSave},
        status::{MasterStatus, StatusReport},
        update::{
            AppFailed, AppResized, ConfigChanged, ConnectionsLost, ListenerShut,
            SystemRestartNeeded, UpdateAborted, UpdateFinished, UpdateProgress, UpdateRolledBack,
            UpdateStarted, UpdateSuspended, WorkerRestartNeeded,
        },
        worker::{
            AppErrors, Disconnect, Holding, Ready, WorkerDisconnected, WorkerDraining,
            WorkerExited, WorkerHook, WorkerListening, WorkerOnline, WorkerReady, WorkerSpawned,
        },
    },
};

/// The built-in topics with their types: nothing else may be published on them.
#[must_use]
pub fn builtins() -> Vec<(Topic, TypeSchema)> {
    fn named<T: SchemaTrait + 'static>(topic: &str) -> (Topic, TypeSchema) {
        (
            Topic::new(topic).expect("checked when the vocabulary was compiled"),
            TypeSchema::of::<T>(),
        )
    }
    fn event<E: Event>() -> (Topic, TypeSchema) {
        named::<E>(E::TOPIC)
    }
    fn request<R: Request>() -> (Topic, TypeSchema) {
        named::<R>(R::TOPIC)
    }
    vec![
        event::<MasterStatus>(),
        event::<StatusReport>(),
        event::<WorkerRestartNeeded>(),
        event::<SystemRestartNeeded>(),
        event::<WorkerSpawned>(),
        event::<WorkerOnline>(),
        event::<WorkerReady>(),
        event::<WorkerDraining>(),
        event::<WorkerDisconnected>(),
        event::<WorkerExited>(),
        event::<WorkerHook>(),
        event::<WorkerListening>(),
        event::<WorkerReleased>(),
        event::<UpdateStarted>(),
        event::<UpdateProgress>(),
        event::<UpdateFinished>(),
        event::<UpdateAborted>(),
        event::<UpdateRolledBack>(),
        event::<UpdateSuspended>(),
        event::<AppResized>(),
        event::<AppFailed>(),
        event::<ConnectionsLost>(),
        event::<ListenerShut>(),
        event::<AppErrors>(),
        event::<ConfigChanged>(),
        event::<OperationFinished>(),
        event::<BusLagged>(),
        request::<AppReload>(),
        request::<AppScale>(),
        request::<AppSend>(),
        request::<AppLogs>(),
        request::<AppFlush>(),
        request::<AppStop>(),
        request::<AppStart>(),
        request::<AppRestart>(),
        request::<AppDelete>(),
        request::<AppAwait>(),
        request::<AppAdd>(),
        request::<AppSignal>(),
        request::<MasterKill>(),
        request::<MasterReload>(),
        request::<MasterPlan>(),
        request::<AppDescribe>(),
        request::<MasterSave>(),
        request::<MasterResurrect>(),
        request::<BusStats>(),
        request::<Ready>(),
        request::<Holding>(),
        request::<Disconnect>(),
    ]
}
