//! The worker: its bus, its sockets, its word that it is ready, and the word that it should go.

mod run_time;
mod tickets;

use std::{
    sync::{Mutex, Once, PoisonError},
    time::Duration,
};

use axum::Router;
use ostler_bus::{
    Event, Request,
    client::{Bus, ConnectionState, DrainError, RequestError},
    hub::Hub,
    vocab::worker::{Disconnect, Drain, Ready},
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::UdpSocket,
    time::Instant,
};

use crate::{
    Connection, DirectCalls, DirectEvents, DrainSignal, Identity, Listener, RequestCounter,
    StartError,
    accepted::{self, Accepts},
    alone, count, drain, hear, heartbeat,
    holding::{self, Held},
    http::{self, End},
    identity::Inheritance,
    inherited::{self, Inherited, Sockets},
    passing::Passing,
    tickets::Own,
    udp,
};

/// How long [`Worker::finish`] waits for the hub.
const LAST_EVENTS: Duration = Duration::from_secs(2);

/// A worker of Ostler; or, if it was started by itself, a stand-in whose bus reaches no further than this process.
#[derive(Debug)]
pub struct Worker {
    bus: Bus,
    identity: Identity,
    sockets: Mutex<Sockets>,
    draining: DrainSignal,
    requests: RequestCounter,
    /// What its listeners accept themselves.
    accepts: Accepts,
    /// What it has open, whatever it serves.
    held: Held,
    /// The master is told of that from the first server on.
    tells: Once,
    /// By which descriptors travel.
    passing: Option<Passing>,
    /// For session tickets, where the master gives none.
    own_secrets: Own,
    /// The hub of a worker that was started by itself; `None` under Ostler.
    alone: Option<Hub>,
}

impl Worker {
    /// Takes over what the master handed to this process, and connects to the bus. Outside Ostler a hub in this process
    /// stands in for the master's: the app's own events still work. TERM and INT are caught from here on: both drain.
    /// Where the app has a `watchdog`, the master hears from now on that this process's runtime still turns.
    ///
    /// # Errors
    /// See [`StartError`].
    pub async fn start() -> Result<Self, StartError> {
        // First: a signal that comes while this goes on waits to be heard.
        let signals = hear::Signals::catch()?;
        let inheritance = Inheritance::from_env()?;
        let sockets = Mutex::new(inherited::sockets(
            inheritance.sockets,
            inheritance.channels,
            &inheritance.strips,
        )?);
        let (watchdog, counted) = (inheritance.watchdog, inheritance.counts_requests);
        let passing = inheritance.managed.as_ref().and_then(inherited::passing);
        let (bus, identity, alone) = match inheritance.managed {
            Some(managed) => (inherited::bus(&managed).await?, managed.identity, None),
            None => {
                let (bus, identity, hub) = alone::stand_in().await?;
                (bus, identity, Some(hub))
            }
        };
        let (trigger, draining) = drain::signal();
        let passing = passing
            .map(|end| Passing::begin(end, draining.clone()))
            .transpose()
            .map_err(StartError::System)?;
        let words = bus
            .serve_to::<Drain>(&Drain::topic(identity.id))
            .await
            .map_err(StartError::Subscribe)?;
        tokio::spawn(hear::the_master(words, trigger.clone()));
        tokio::spawn(hear::signals(signals, trigger));
        if let (Some(limit), None) = (watchdog, &alone) {
            tokio::spawn(heartbeat::beat(bus.clone(), limit));
        }
        let requests = RequestCounter::default();
        if counted && alone.is_none() {
            count::say_hello(&bus, &requests).await;
            tokio::spawn(count::tell(bus.clone(), requests.clone()));
        }
        let accepts = Accepts::default();
        if alone.is_none() {
            let (accepts, draining) = (accepts.clone(), draining.clone());
            tokio::spawn(accepted::tell(bus.clone(), accepts, draining));
        }
        Ok(Self {
            bus,
            identity,
            sockets,
            draining,
            requests,
            accepts,
            held: Held::default(),
            tells: Once::new(),
            passing,
            own_secrets: Own::default(),
            alone,
        })
    }

    /// The bus.
    #[must_use]
    pub fn bus(&self) -> &Bus {
        &self.bus
    }

    /// Who this worker is.
    #[must_use]
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// Whether a master started this process.
    #[must_use]
    pub fn is_managed(&self) -> bool {
        self.alone.is_none()
    }

    /// The socket that the master bound under this name; outside Ostler, where none was inherited, `fallback`
    /// (`127.0.0.1:8080`, `unix:PATH`) is bound.
    ///
    /// # Errors
    /// Under Ostler if no such socket was declared, or it was taken before; else if the fallback can't be bound.
    pub fn listen(&self, name: &str, fallback: &str) -> Result<Listener, StartError> {
        match self.inherited(name)? {
            Some(it) => {
                let listener = Listener::inherited(name, it.socket, it.channel)?
                    .counted(self.accepts.counter(name));
                Ok(if it.strips {
                    listener.stripping()
                } else {
                    listener
                })
            }
            None => Listener::bind(name, fallback),
        }
    }

    /// The UDP socket that the master bound under this name, which all workers share: each datagram goes to one of them.
    /// Outside Ostler, where none was inherited, `fallback` (`127.0.0.1:53`) is bound.
    ///
    /// # Errors
    /// As [`Worker::listen`].
    pub fn udp(&self, name: &str, fallback: &str) -> Result<UdpSocket, StartError> {
        match self.inherited(name)? {
            Some(it) => udp::inherited(name, it.socket),
            None => udp::bind(name, fallback),
        }
    }

    /// The master's socket of this name, once; `None` outside Ostler.
    fn inherited(&self, name: &str) -> Result<Option<Inherited>, StartError> {
        let mut sockets = self.sockets.lock().unwrap_or_else(PoisonError::into_inner);
        match sockets.get_mut(name) {
            Some(socket) => match socket.take() {
                Some(socket) => Ok(Some(socket)),
                None => Err(StartError::Taken(name.into())),
            },
            None if self.is_managed() => Err(StartError::Undeclared {
                name: name.into(),
                declared: sockets.keys().cloned().collect(),
            }),
            None => Ok(None),
        }
    }

    /// Says that this worker is ready to serve. Until then the master starts no further one and takes no old one away.
    ///
    /// # Errors
    /// If the master did not take it.
    pub async fn ready(&self) -> Result<(), StartError> {
        self.announce(&Ready {}).await
    }

    /// Says that this worker is going of its own accord, so that its exit is not taken for a crash. Returns when the master
    /// has noted it.
    ///
    /// # Errors
    /// If the master did not take it.
    pub async fn disconnect(&self) -> Result<(), StartError> {
        self.announce(&Disconnect {}).await?;
        if let Some(passing) = &self.passing {
            passing.leave();
        }
        Ok(())
    }

    /// Tells the master. Twice does no harm, so it is said again if the connection was lost at it and is made again.
    async fn announce<R: Request<Reply = ()>>(&self, what: &R) -> Result<(), StartError> {
        if !self.is_managed() {
            return Ok(());
        }
        loop {
            match self.bus.request(what).await {
                Err(RequestError::Disconnected(_)) if self.has_a_bus() => {}
                said => return said.map_err(StartError::Announce),
            }
        }
    }

    fn has_a_bus(&self) -> bool {
        match &*self.bus.state().borrow() {
            ConnectionState::Connected | ConnectionState::Reconnecting { .. } => true,
            ConnectionState::Draining | ConnectionState::Closed(_) => false,
        }
    }

    /// Subscribes to events of a type that are sent to this worker: by its id, its slot or its app
    /// ([`Emission::to_worker`](ostler_bus::client::Emission::to_worker) and its siblings).
    ///
    /// # Errors
    /// If the hub refuses, or is gone.
    pub async fn subscribe_direct<E: Event>(&self) -> Result<DirectEvents<E>, StartError> {
        DirectEvents::subscribe(&self.bus, &self.identity)
            .await
            .map_err(StartError::Subscribe)
    }

    /// Answers requests of a type that are sent to this worker: by its id, its slot or its app
    /// ([`Question::to_worker`](ostler_bus::client::Question::to_worker) and its siblings).
    ///
    /// # Errors
    /// If the hub refuses, or is gone.
    pub async fn serve_direct<R: Request>(&self) -> Result<DirectCalls<R>, StartError> {
        DirectCalls::serve(&self.bus, &self.identity)
            .await
            .map_err(StartError::Subscribe)
    }

    /// Tells when to drain.
    #[must_use]
    pub fn draining(&self) -> DrainSignal {
        self.draining.clone()
    }

    /// Counts what is served otherwise than by [`serve`](Self::serve), for a master that recycles workers by it
    /// (`max_requests`, `idle_timeout`). Under any other it counts all the same, and nobody is told.
    #[must_use]
    pub fn requests(&self) -> RequestCounter {
        self.requests.clone()
    }

    /// Serves HTTP/1.1 and HTTP/2 until this worker is to drain and everything begun has been answered, and counts the requests. While it drains the
    /// master hears how many connections and requests are left, and shows it to whoever waits for the update. See [`http`].
    ///
    /// # Errors
    /// If the listener fails.
    pub async fn serve(&self, listener: Listener, router: Router) -> std::io::Result<()> {
        self.serve_with(listener, http::as_it_is, router).await
    }

    /// The same over what `accept` makes of each connection, as with TLS:
    ///
    /// ```no_run
    /// # use {ostler_worker_sdk::{Listener, Worker}, std::{io, sync::Arc}, tokio_rustls::rustls::ServerConfig};
    /// # async fn serve(worker: Worker, listener: Listener, router: axum::Router, config: Arc<ServerConfig>) -> io::Result<()> {
    /// let tls = tokio_rustls::TlsAcceptor::from(config);          // with ALPN "h2", "http/1.1"
    /// worker.serve_with(listener, move |connection| tls.accept(connection), router).await
    /// # }
    /// ```
    ///
    /// Each is accepted beside all others; one that fails is dropped.
    ///
    /// # Errors
    /// If the listener fails.
    pub async fn serve_with<S, F>(
        &self,
        listener: Listener,
        accept: impl Fn(Connection) -> F,
        router: Router,
    ) -> std::io::Result<()>
    where
        F: Future<Output = std::io::Result<S>> + Send + 'static,
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let (drain, held, counter) = (self.draining(), self.held.clone(), self.requests());
        if self.is_managed() {
            let tell = || holding::tell(self.bus.clone(), held.clone(), drain.clone());
            self.tells.call_once(|| drop(tokio::spawn(tell())));
        }
        let end = http::serve_holding(listener, accept, router, drain, counter, held).await?;
        // After a cut there is no time left to wait for answers: the next rung of the kill ladder comes.
        if self.is_managed() && end == End::Done {
            holding::say(&self.bus, self.held.now()).await;
            self.accepts.say_last(&self.bus).await;
        }
        Ok(())
    }

    /// Leaves the bus in good order: returns when everything emitted so far is at the hub, or after 2 s. A program that
    /// ends without it may take its very last events with it.
    ///
    /// # Errors
    /// If the hub had not taken everything.
    pub async fn finish(self) -> Result<(), DrainError> {
        let began = Instant::now();
        self.accepts.say_last(&self.bus).await;
        let left = LAST_EVENTS.saturating_sub(began.elapsed());
        self.bus.drain(left).await
    }
}
