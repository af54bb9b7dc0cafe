//! What a worker asks of its master at run time.

use ostler_bus::Request;

use super::Worker;
use crate::{
    AskFor, Connection, Listener, ReceivedConnections, SendConnection, SharedUdp, StartError,
    passing::{at::Way, take},
};

impl Worker {
    /// A socket asked for at run time, by address: `127.0.0.1:8080`, `[::1]:0`, `8080` (on this machine alone), `:8080` (on
    /// every IPv4 address), `unix:PATH`. All workers of the app that
    /// ask for the same share one, which the master binds, and keeps as long as one of them has it, or is being replaced. Ask
    /// for it before saying [`ready`](Self::ready): a successor that has not asked by then is taken not to want it.
    /// Outside Ostler this process binds it.
    ///
    /// ```no_run
    /// # async fn example(worker: ostler_worker_sdk::Worker) -> std::io::Result<()> {
    /// let mut listener = worker.listen_at("0.0.0.0:8080").await?;
    /// let own = worker.listen_at("127.0.0.1:0").exclusive().await?;
    /// # Ok(()) }
    /// ```
    pub fn listen_at(&self, address: impl Into<String>) -> AskFor<'_, Listener> {
        AskFor::new(self.way(), address.into())
    }

    /// The same for UDP: `127.0.0.1:53`, or as the status has it, `udp:127.0.0.1:53`.
    pub fn udp_at(&self, address: impl Into<String>) -> AskFor<'_, SharedUdp> {
        let address = address.into();
        let bare = address.strip_prefix("udp:").unwrap_or(&address);
        AskFor::new(self.way(), bare.to_owned())
    }

    fn way(&self) -> Way<'_> {
        match (&self.passing, &self.alone) {
            (Some(passing), _) => Way::Master(passing),
            (None, Some(_)) => Way::Alone,
            (None, None) => Way::None,
        }
    }

    /// Prepares to send an open connection, with a message, to another worker: one that receives connections with such messages
    /// ([`receive_connections`](Self::receive_connections)).
    ///
    /// ```no_run
    /// use ostler_worker_sdk::{Connection, Request, Worker, bus::Slot};
    /// use serde::{Deserialize, Serialize};
    ///
    /// #[derive(Clone, Request, Serialize, Deserialize)]
    /// #[request(topic = "games.join", reply = ())]
    /// struct Join { game: u64, read_so_far: Vec<u8> }
    ///
    /// # async fn example(worker: Worker, connection: Connection) {
    /// let join = Join { game: 7, read_so_far: vec![] };
    /// let sent = worker.send_connection(connection, &join).to_slot("games", Slot(3)).send().await;
    /// if let Err(error) = sent {
    ///     eprintln!("{error}");
    ///     let still_mine = error.connection;
    /// }
    /// # }
    /// # async fn receiver(worker: Worker) -> Result<(), Box<dyn std::error::Error>> {
    /// let mut connections = worker.receive_connections::<Join>().await?;
    /// while let Some(received) = connections.next().await {
    ///     println!("{} plays {}", received.connection.peer(), received.message.game);
    /// }
    /// # Ok(()) }
    /// ```
    pub fn send_connection<R: Request<Reply = ()>>(
        &self,
        connection: impl Into<Connection>,
        message: &R,
    ) -> SendConnection<'_, R> {
        let question = self.bus.question(message);
        SendConnection::new(self.passing.as_ref(), connection.into(), question)
    }

    /// Receives connections that are sent with messages of a type: to this worker's id, slot or app, or to anybody.
    ///
    /// # Errors
    /// If the hub refuses, or is gone.
    pub async fn receive_connections<R: Request<Reply = ()> + Clone>(
        &self,
    ) -> Result<ReceivedConnections<R>, StartError> {
        let direct = self.serve_direct::<R>().await?;
        let any = self.bus.serve::<R>().await;
        let any = any.map_err(StartError::Subscribe)?;
        let passing = self.passing.clone();
        Ok(take::begin(passing, direct, any, self.draining()))
    }
}
