//! Connections passed from worker to worker.

use std::sync::{Mutex, PoisonError};

use ostler_tests::words::Pass;
use ostler_worker_sdk::{
    Connection, Received,
    bus::{Slot, WorkerId},
};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    net::{TcpStream, UnixStream},
    task::JoinHandle,
};

use super::{Asker, Failure};

/// The task that receives, while there is one.
#[derive(Default)]
pub(super) struct Receiving(Mutex<Option<JoinHandle<()>>>);

impl Receiving {
    fn set(&self, task: Option<JoinHandle<()>>) -> Option<JoinHandle<()>> {
        let mut there = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::replace(&mut *there, task)
    }
}

impl Asker {
    pub(super) async fn receive(&self) -> Result<String, Failure> {
        let mut connections = self.worker.receive_connections::<Pass>().await?;
        let id = self.worker.identity().id;
        let task = tokio::spawn(async move {
            while let Some(received) = connections.next().await {
                tokio::spawn(converse(received, id));
            }
        });
        self.receiving.set(Some(task));
        Ok("receiving".into())
    }

    pub(super) async fn plain(&self) -> Result<String, Failure> {
        let mut calls = self.worker.serve_direct::<Pass>().await?;
        let task = tokio::spawn(async move {
            while let Some(call) = futures::StreamExt::next(&mut calls).await {
                let _gone = call.reply(&()).await;
            }
        });
        self.receiving.set(Some(task));
        Ok("answering".into())
    }

    pub(super) async fn deaf(&self) -> Result<String, Failure> {
        let task = self.receiving.set(None).ok_or("nothing was received")?;
        task.abort();
        let _aborted = task.await;
        Ok("deaf".into())
    }

    pub(super) async fn pass(
        &self,
        to: &str,
        target: &str,
        length: &str,
    ) -> Result<String, Failure> {
        let connection: Connection = match to.strip_prefix("unix:") {
            Some(path) => UnixStream::connect(path).await?.into(),
            None => TcpStream::connect(to).await?.into(),
        };
        let text = "x".repeat(length.parse()?);
        let sent = self.worker.send_connection(connection, &Pass { text });
        let sent = match target.split_once(':') {
            Some(("worker", id)) => sent.to_worker(WorkerId(id.parse()?)),
            Some(("slot", slot)) => sent.to_slot("web", Slot(slot.parse()?)),
            Some(("app", app)) => sent.to_app(app),
            _ => sent,
        };
        let error = match sent.send().await {
            Ok(()) => return Ok("sent".into()),
            Err(error) => error,
        };
        let text = error.to_string();
        // It is still good for something.
        let mut kept = error.connection.ok_or("the connection is lost")?;
        kept.write_all(b"kept\n").await?;
        Err(text.into())
    }
}

/// Says who has it and with what it came, then gives back what comes.
async fn converse(received: Received<Pass>, id: WorkerId) {
    let Received {
        message,
        connection,
        origin,
    } = received;
    let from = match origin {
        ostler_worker_sdk::bus::Origin::Worker { id, .. } => id.to_string(),
        other => format!("{other:?}"),
    };
    let whole = message.text.bytes().all(|byte| byte == b'x');
    let (reader, mut writer) = tokio::io::split(connection);
    let hello = format!("{id} from {from}: {} {whole}\n", message.text.len());
    let mut lines = BufReader::new(reader).lines();
    let mut said = writer.write_all(hello.as_bytes()).await;
    while let (Ok(()), Ok(Some(line))) = (&said, lines.next_line().await) {
        said = writer
            .write_all(format!("{id} heard {line}\n").as_bytes())
            .await;
    }
}
