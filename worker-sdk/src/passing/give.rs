//! Giving a connection to another worker, with a message.

use std::{fmt, io, os::fd::AsFd, time::Duration};

use ostler_bus::{
    Request, Slot, WorkerId,
    client::{One, Question, RequestError},
};

use super::{
    HEADER,
    client::Passing,
    words::{MasterWord, WorkerWord},
};
use crate::Connection;

/// A connection to be sent: to whoever receives connections with messages of this type
/// ([`Worker::receive_connections`](crate::Worker::receive_connections)), of any app, unless it is said to whom.
#[derive(Debug)]
#[must_use = "nothing is sent before `send`"]
pub struct SendConnection<'a, R> {
    passing: Option<&'a Passing>,
    connection: Connection,
    question: Question<'a, R, One>,
}

/// A connection that was not sent.
#[derive(Debug)]
pub struct SendError {
    /// The connection, as it was. `None` only if the master is gone, or has let go of this worker, and it can't be known who has it: it was
    /// closed here.
    pub connection: Option<Connection>,
    /// Why.
    pub why: NotSent,
}

/// Why a connection was not sent.
#[derive(Debug)]
#[non_exhaustive]
pub enum NotSent {
    /// The message was not answered: nobody receives such connections there, or whoever does has gone, or declined.
    Message(Box<RequestError>),
    /// The message was answered by somebody who did not take the connection.
    NotTaken,
    /// The descriptor could not travel.
    Descriptor(io::Error),
}

impl<'a, R: Request<Reply = ()>> SendConnection<'a, R> {
    pub(crate) fn new(
        passing: Option<&'a Passing>,
        connection: Connection,
        question: Question<'a, R, One>,
    ) -> Self {
        Self {
            passing,
            connection,
            question,
        }
    }

    /// To one worker alone.
    pub fn to_worker(mut self, id: WorkerId) -> Self {
        self.question = self.question.to_worker(id);
        self
    }

    /// To whichever worker of an app has a slot.
    pub fn to_slot(mut self, app: &str, slot: Slot) -> Self {
        self.question = self.question.to_slot(app, slot);
        self
    }

    /// To one of an app's workers; it may be this one.
    pub fn to_app(mut self, app: &str) -> Self {
        self.question = self.question.to_app(app);
        self
    }

    /// How long it may take until the message is answered. Default 5 s. If whoever got it hangs while it takes the
    /// connection, [`send`](Self::send) returns 5 s later: the connection is that worker's.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.question = self.question.timeout(timeout);
        self
    }

    /// Sends it: returns when the other worker has it. Dropped before, it is closed, unless somebody has taken it by then.
    ///
    /// # Errors
    /// With the connection, if nobody has taken it, and nobody will.
    pub async fn send(self) -> Result<(), SendError> {
        let Self {
            passing,
            connection,
            question,
        } = self;
        let failed = |connection, why| {
            let connection = Some(connection);
            Err(SendError { connection, why })
        };
        let Some(passing) = passing else {
            return failed(connection, NotSent::Descriptor(unsupported()));
        };
        let (gift, token) = match Gift::of(passing, &connection).await {
            Ok(given) => given,
            Err(error) => return failed(connection, NotSent::Descriptor(error)),
        };
        let answer = question.header(HEADER, &token).ask().await;
        match (gift.fate().await, answer) {
            (Ok(Fate::Taken), _) => Ok(()),
            (Ok(Fate::Back), Ok(_)) => failed(connection, NotSent::NotTaken),
            (Ok(Fate::Back), Err(why)) => failed(connection, NotSent::Message(Box::new(why))),
            (Err(error), _) => Err(SendError {
                connection: None,
                why: NotSent::Descriptor(error),
            }),
        }
    }
}

/// A connection that the master holds until somebody takes it.
struct Gift<'a> {
    passing: &'a Passing,
    id: u64,
    /// The master need not be asked any more.
    settled: bool,
}

/// What became of it.
enum Fate {
    Taken,
    Back,
}

impl<'a> Gift<'a> {
    /// Puts it into the master's hands; gives the token by which it can be taken.
    async fn of(passing: &'a Passing, connection: &Connection) -> io::Result<(Self, String)> {
        let id = passing.number();
        let mut gift = Self {
            passing,
            id,
            settled: false,
        };
        let word = WorkerWord::Give { id };
        match passing.ask(id, &word, &[connection.as_fd()]).await {
            Ok(answer) => match answer.word.token() {
                Some(token) => Ok((gift, token)),
                None => Err(unsupported()),
            },
            Err(error) => {
                gift.settled = true;
                Err(error)
            }
        }
    }

    async fn fate(mut self) -> io::Result<Fate> {
        let id = self.id;
        let word = WorkerWord::TakeBack { id };
        let answer = self.passing.ask(id, &word, &[]).await;
        self.settled = true;
        match answer?.word {
            MasterWord::Back { .. } => Ok(Fate::Back),
            MasterWord::Taken { .. } => Ok(Fate::Taken),
            MasterWord::Listening { .. }
            | MasterWord::Failed { .. }
            | MasterWord::Held { .. }
            | MasterWord::Connection { .. }
            | MasterWord::TicketSecrets { .. } => Err(unsupported()),
        }
    }
}

impl Drop for Gift<'_> {
    fn drop(&mut self) {
        if !self.settled {
            self.passing.tell(WorkerWord::TakeBack { id: self.id });
        }
    }
}

pub(super) fn unsupported() -> io::Error {
    let text = "this process has no master that passes descriptors";
    io::Error::new(io::ErrorKind::Unsupported, text)
}

impl fmt::Display for NotSent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Message(why) => why.fmt(f),
            Self::NotTaken => f.write_str(
                "the message was answered by a program that doesn't take connections with it: it must use `receive_connections`",
            ),
            Self::Descriptor(error) => error.fmt(f),
        }
    }
}

impl fmt::Display for SendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the connection was not sent: {}", self.why)
    }
}

impl std::error::Error for SendError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.why {
            NotSent::Message(why) => Some(&**why),
            NotSent::NotTaken => None,
            NotSent::Descriptor(error) => Some(error),
        }
    }
}
