//! Sockets asked for at run time.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
};

use ostler_worker_sdk::{Listener, SharedUdp};
use tokio::{io::AsyncWriteExt, task::JoinHandle};

use super::{Asker, Failure};

/// What is open, by its number.
#[derive(Default)]
pub(super) struct Open(Mutex<Sockets>);

#[derive(Default)]
struct Sockets {
    last: u32,
    /// Each ends with how much it has served.
    serving: BTreeMap<u32, JoinHandle<u64>>,
}

impl Open {
    fn add(&self, serving: JoinHandle<u64>) -> u32 {
        let mut sockets = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        sockets.last += 1;
        let number = sockets.last;
        sockets.serving.insert(number, serving);
        number
    }

    fn remove(&self, number: &str) -> Result<JoinHandle<u64>, Failure> {
        let mut sockets = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let serving = sockets.serving.remove(&number.parse()?);
        serving.ok_or_else(|| format!("there is no {number}").into())
    }
}

impl Asker {
    pub(super) async fn listen(&self, address: &str, how: &[&str]) -> Result<String, Failure> {
        let mut asked = self.worker.listen_at(address).permissions(0o777);
        if how.contains(&"exclusive") {
            asked = asked.exclusive();
        }
        if how.contains(&"v6") {
            asked = asked.v6_only();
        }
        let listener = asked.await?;
        let at = listener.address();
        let serving = tokio::spawn(serve(listener, self.worker.identity().id.to_string()));
        Ok(format!("{} {at}", self.sockets.add(serving)))
    }

    pub(super) async fn tickets(&self, socket: &str) -> Result<String, Failure> {
        let secrets = self.worker.ticket_secrets(socket).await?.all();
        let hex = secrets.map(|secret| {
            let bytes = secret.bytes().iter();
            bytes.map(|byte| format!("{byte:02x}")).collect::<String>()
        });
        Ok(hex.join(" "))
    }

    pub(super) async fn udp(&self, address: &str, count: u64) -> Result<String, Failure> {
        self.answers(self.worker.udp_at(address).await?, count)
    }

    pub(super) async fn own_udp(&self, address: &str) -> Result<String, Failure> {
        let socket = self.worker.udp_at(address).exclusive().await?;
        self.answers(socket, u64::MAX)
    }

    fn answers(&self, socket: SharedUdp, count: u64) -> Result<String, Failure> {
        let at = socket.local_addr()?;
        let id = self.worker.identity().id.to_string();
        let serving = tokio::spawn(answer(socket, id, count));
        Ok(format!("{} {at}", self.sockets.add(serving)))
    }

    pub(super) async fn close(&self, number: &str) -> Result<String, Failure> {
        let serving = self.sockets.remove(number)?;
        serving.abort();
        let _aborted = serving.await;
        Ok("closed".into())
    }

    pub(super) async fn counted(&self, number: &str) -> Result<String, Failure> {
        let count = self.sockets.remove(number)?.await?;
        Ok(count.to_string())
    }

    /// The question is said, and nobody waits for the answer.
    pub(super) async fn forget(&self, address: &str) -> Result<String, Failure> {
        dropped(self.worker.listen_at(address).into_future()).await
    }

    /// The same for UDP.
    pub(super) async fn forget_udp(&self, address: &str) -> Result<String, Failure> {
        dropped(self.worker.udp_at(address).into_future()).await
    }
}

async fn dropped<T>(asked: impl Future<Output = T>) -> Result<String, Failure> {
    let mut asked = std::pin::pin!(asked);
    let soon = futures::poll!(asked.as_mut());
    match soon {
        std::task::Poll::Pending => Ok("forgotten".into()),
        std::task::Poll::Ready(_) => Err("it was answered at once".into()),
    }
}

async fn serve(mut listener: Listener, id: String) -> u64 {
    let mut served = 0;
    while let Ok(mut connection) = listener.accept().await {
        served += 1;
        let _gone = connection.write_all(id.as_bytes()).await;
        let _gone = connection.shutdown().await;
    }
    served
}

async fn answer(socket: SharedUdp, id: String, most: u64) -> u64 {
    let mut served = 0;
    let mut bytes = [0; 64];
    while served < most {
        let Ok((_, from)) = socket.recv_from(&mut bytes).await else {
            break;
        };
        served += 1;
        let _gone = socket.send_to(id.as_bytes(), from).await;
    }
    served
}
