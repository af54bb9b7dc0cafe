//! The control plane: requests of operators, and what workers say of themselves, become inputs of the fleet.
//!
//! Each kind of request has a loop of its own, so that one that waits doesn't hold up the others. The hub has already
//! checked who may ask.

use futures::future::try_join_all;
use ostler_bus::{
    Origin, Request, WorkerId,
    client::{Bus, SubscribeError},
    vocab::{
        commands::{AppAdd, AppAwait, AppDelete, AppRestart, AppSignal},
        control::{Answer, AppReload, AppReset, AppScale, AppSend, AppStart, AppStop, MasterKill},
        plan::{MasterPlan, MasterReload},
        worker::{Accepted, Disconnect, Heartbeat, Holding, Ready, Served},
    },
};

use crate::{
    features::Settling,
    fleet::{Command, WorkerNews},
    shell::{ShellHandle, Which},
};

/// The most sockets that a worker may tell of at once: as many as descriptors that a process may have by default. What is told goes
/// through the shell's one queue, which is not to hold what no worker means.
const MOST_NAMED: usize = 1024;

/// Serves all of it until the bus goes.
///
/// # Errors
/// If the hub refuses a subscription.
pub async fn run(
    bus: Bus,
    shell: ShellHandle,
    settling: Option<Settling>,
) -> Result<(), SubscribeError> {
    type Loop = std::pin::Pin<Box<dyn Future<Output = Result<(), SubscribeError>> + Send>>;
    let loops: [Loop; 20] = [
        Box::pin(commands::<AppReload>(
            bus.clone(),
            shell.clone(),
            Command::Reload,
            settling.clone(),
        )),
        Box::pin(commands::<AppScale>(
            bus.clone(),
            shell.clone(),
            Command::Scale,
            settling.clone(),
        )),
        Box::pin(commands::<AppReset>(
            bus.clone(),
            shell.clone(),
            Command::Reset,
            settling.clone(),
        )),
        Box::pin(commands::<AppStop>(
            bus.clone(),
            shell.clone(),
            Command::Stop,
            settling.clone(),
        )),
        Box::pin(commands::<AppStart>(
            bus.clone(),
            shell.clone(),
            Command::Start,
            settling.clone(),
        )),
        Box::pin(commands::<MasterKill>(
            bus.clone(),
            shell.clone(),
            Command::Kill,
            settling.clone(),
        )),
        Box::pin(commands::<AppRestart>(
            bus.clone(),
            shell.clone(),
            Command::Restart,
            settling.clone(),
        )),
        Box::pin(commands::<AppDelete>(
            bus.clone(),
            shell.clone(),
            Command::Delete,
            settling.clone(),
        )),
        Box::pin(commands::<AppAwait>(
            bus.clone(),
            shell.clone(),
            Command::Await,
            settling.clone(),
        )),
        Box::pin(add(bus.clone(), shell.clone(), settling.clone())),
        Box::pin(signal(bus.clone(), shell.clone(), settling.clone())),
        Box::pin(lines(bus.clone(), shell.clone(), settling.clone())),
        Box::pin(take_up(bus.clone(), shell.clone(), settling.clone())),
        Box::pin(plan(bus.clone(), shell.clone(), settling.clone())),
        Box::pin(news::<Ready>(
            bus.clone(),
            shell.clone(),
            |_| WorkerNews::SdkReady,
            settling.clone(),
        )),
        Box::pin(news::<Holding>(
            bus.clone(),
            shell.clone(),
            |holding| WorkerNews::Holds(*holding),
            settling.clone(),
        )),
        Box::pin(news::<Heartbeat>(
            bus.clone(),
            shell.clone(),
            |_| WorkerNews::Heartbeat,
            settling.clone(),
        )),
        Box::pin(news::<Served>(
            bus.clone(),
            shell.clone(),
            |served| WorkerNews::Served {
                requests: served.requests,
                under_way: served.under_way,
            },
            settling.clone(),
        )),
        Box::pin(accepted(bus.clone(), shell.clone(), settling.clone())),
        Box::pin(disconnect(bus, shell, settling)),
    ];
    try_join_all(loops).await.map(drop)
}

async fn commands<R>(
    bus: Bus,
    shell: ShellHandle,
    command: fn(R) -> Command,
    settling: Option<Settling>,
) -> Result<(), SubscribeError>
where
    R: Request<Reply = Answer> + Clone + Sync,
{
    let mut calls = bus.serve::<R>().await?;
    drop(settling);
    while let Some(call) = calls.next().await {
        let answer = shell.command(command(call.request().clone())).await;
        if let Err(error) = call.reply(&answer).await {
            tracing::debug!("{} was done but not answered: {error}", R::TOPIC);
        }
    }
    Ok(())
}

async fn add(
    bus: Bus,
    shell: ShellHandle,
    settling: Option<Settling>,
) -> Result<(), SubscribeError> {
    let mut calls = bus.serve::<AppAdd>().await?;
    drop(settling);
    while let Some(call) = calls.next().await {
        let answer = shell.add(call.request().clone(), Which::All).await;
        if let Err(error) = call.reply(&answer).await {
            tracing::debug!("{} was done but not answered: {error}", AppAdd::TOPIC);
        }
    }
    Ok(())
}

async fn signal(
    bus: Bus,
    shell: ShellHandle,
    settling: Option<Settling>,
) -> Result<(), SubscribeError> {
    let mut calls = bus.serve::<AppSignal>().await?;
    drop(settling);
    while let Some(call) = calls.next().await {
        let answer = shell.signal_workers(call.request().clone()).await;
        let _gone = call.reply(&answer).await;
    }
    Ok(())
}

async fn lines(
    bus: Bus,
    shell: ShellHandle,
    settling: Option<Settling>,
) -> Result<(), SubscribeError> {
    let mut calls = bus.serve::<AppSend>().await?;
    drop(settling);
    while let Some(call) = calls.next().await {
        let answer = shell.send_line(call.request().clone()).await;
        let _gone = call.reply(&answer).await;
    }
    Ok(())
}

async fn take_up(
    bus: Bus,
    shell: ShellHandle,
    settling: Option<Settling>,
) -> Result<(), SubscribeError> {
    let mut calls = bus.serve::<MasterReload>().await?;
    drop(settling);
    while let Some(call) = calls.next().await {
        let answer = shell.take_up(call.request().environment.clone()).await;
        if let Err(error) = call.reply(&answer).await {
            tracing::debug!("{} was done but not answered: {error}", MasterReload::TOPIC);
        }
    }
    Ok(())
}

async fn plan(
    bus: Bus,
    shell: ShellHandle,
    settling: Option<Settling>,
) -> Result<(), SubscribeError> {
    let mut calls = bus.serve::<MasterPlan>().await?;
    drop(settling);
    while let Some(call) = calls.next().await {
        let answer = shell.plan(call.request().environment.clone()).await;
        let _gone = call.reply(&answer).await;
    }
    Ok(())
}

/// What a worker says of itself.
async fn news<R>(
    bus: Bus,
    shell: ShellHandle,
    news: fn(&R) -> WorkerNews,
    settling: Option<Settling>,
) -> Result<(), SubscribeError>
where
    R: Request<Reply = ()> + Sync,
{
    let mut calls = bus.serve::<R>().await?;
    drop(settling);
    while let Some(call) = calls.next().await {
        match worker(call.origin()) {
            Ok(id) => {
                shell.news(id, news(call.request())).await;
                let _gone = call.reply(&()).await;
            }
            Err(reason) => call.decline(reason),
        }
    }
    Ok(())
}

async fn accepted(
    bus: Bus,
    shell: ShellHandle,
    settling: Option<Settling>,
) -> Result<(), SubscribeError> {
    let mut calls = bus.serve::<Accepted>().await?;
    drop(settling);
    while let Some(call) = calls.next().await {
        match worker(call.origin()) {
            Ok(_) if call.request().sockets.len() > MOST_NAMED => {
                call.decline("it names more sockets than a worker can have");
            }
            Ok(id) => {
                shell.accepted(id, call.request().clone()).await;
                let _gone = call.reply(&()).await;
            }
            Err(reason) => call.decline(reason),
        }
    }
    Ok(())
}

async fn disconnect(
    bus: Bus,
    shell: ShellHandle,
    settling: Option<Settling>,
) -> Result<(), SubscribeError> {
    let mut calls = bus.serve::<Disconnect>().await?;
    drop(settling);
    while let Some(call) = calls.next().await {
        match worker(call.origin()) {
            Ok(id) => {
                shell.disconnecting(id).await;
                let _gone = call.reply(&()).await;
            }
            Err(reason) => call.decline(reason),
        }
    }
    Ok(())
}

fn worker(origin: &Origin) -> Result<WorkerId, &'static str> {
    match origin {
        Origin::Worker { id, .. } => Ok(*id),
        Origin::Master | Origin::Client { .. } => Err("only a worker can say this of itself"),
    }
}
