//! What a worker and its master say on the channel by which descriptors travel: one JSON object in each packet.
//!
//! The worker numbers what it asks, with numbers that it uses once; an answer has the number of its question.
//! `docs/protocol.md` describes it for other languages.

use serde::{Deserialize, Serialize};

use crate::tickets::SecretSet;

/// The variable that names the channel's descriptor.
pub const VARIABLE: &str = "OSTLER_PASSING";

/// The longest packet, in bytes: a path, and what stands around it.
pub const LONGEST: usize = 16 << 10;

/// Descriptors in one packet at most.
pub const MOST: usize = 2;

/// What a worker says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WorkerWord {
    /// It wants a socket. Answered by [`MasterWord::Listening`] or [`MasterWord::Failed`].
    Listen(Listen),
    /// It has closed what it got for that question, or doesn't want it any more. Not answered.
    Close {
        /// Of the question.
        id: u64,
    },
    /// It gives a connection away, whose descriptor comes with this. Answered by [`MasterWord::Held`] or
    /// [`MasterWord::Failed`].
    Give {
        /// Of this question.
        id: u64,
    },
    /// It wants back what it gave; or no longer cares, if nobody has taken it. Answered by [`MasterWord::Back`] or
    /// [`MasterWord::Taken`], with the number of the gift.
    TakeBack {
        /// Of the gift.
        id: u64,
    },
    /// It was told by this token that there is a connection for it. Answered by [`MasterWord::Connection`] or
    /// [`MasterWord::Failed`].
    Take {
        /// Of this question.
        id: u64,
        /// Which connection.
        token: String,
    },
    /// The connection that came with this number is its own from now on. Not answered.
    Took {
        /// Of the question.
        id: u64,
    },
    /// It could not use the connection: it is closed here. Not answered.
    Refuse {
        /// Of the question.
        id: u64,
    },
    /// It wants the secrets for session tickets of a declared socket, and to hear of each rotation. Answered by
    /// [`MasterWord::TicketSecrets`] or [`MasterWord::Failed`].
    TicketSecrets {
        /// Of this question.
        id: u64,
        /// The socket's name.
        socket: String,
    },
}

impl WorkerWord {
    /// The number under which it is answered, if it is.
    #[must_use]
    pub fn asks(&self) -> Option<u64> {
        match self {
            Self::Listen(Listen { id, .. })
            | Self::Give { id }
            | Self::TakeBack { id }
            | Self::Take { id, .. }
            | Self::TicketSecrets { id, .. } => Some(*id),
            Self::Close { .. } | Self::Took { .. } | Self::Refuse { .. } => None,
        }
    }
}

/// Which socket a worker wants.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listen {
    /// Of this question.
    pub id: u64,
    /// Where: `127.0.0.1:8080`, `[::1]:0`, `udp:127.0.0.1:53`, `unix:/run/app.sock`.
    pub address: String,
    /// How many connections may wait; `None`: as the master has it for others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backlog: Option<u32>,
    /// IPv6 alone.
    #[serde(default)]
    pub v6_only: bool,
    /// The permissions of a Unix socket's file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub permissions: Option<u32>,
}

/// What the master says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MasterWord {
    /// Here is the socket, as a descriptor; a second one is the channel by which its connections may be handed over.
    Listening {
        /// Of the question.
        id: u64,
        /// Where it is: with the port that was found.
        address: String,
    },
    /// It can't be had.
    Failed {
        /// Of the question.
        id: u64,
        /// The system's number for it, such as 98 (`EADDRINUSE`).
        errno: i32,
        /// In words.
        reason: String,
    },
    /// The master holds the gift.
    Held {
        /// Of the gift.
        id: u64,
        /// By which whoever is told of it can take it.
        token: String,
    },
    /// The gift is the giver's again: nobody has it, and nobody will.
    Back {
        /// Of the gift.
        id: u64,
    },
    /// Somebody has taken the gift.
    Taken {
        /// Of the gift.
        id: u64,
    },
    /// Here is the connection, as a descriptor: to be [`WorkerWord::Took`] before it is used.
    Connection {
        /// Of the question.
        id: u64,
    },
    /// The secrets for session tickets of a socket; said again, with the same number, whenever they have rotated.
    TicketSecrets {
        /// Of the question.
        id: u64,
        /// The socket's name.
        socket: String,
        /// As they are from now on.
        secrets: SecretSet,
    },
}

impl MasterWord {
    /// The question that it answers.
    #[must_use]
    pub fn id(&self) -> u64 {
        match self {
            Self::Listening { id, .. }
            | Self::Failed { id, .. }
            | Self::Held { id, .. }
            | Self::Back { id }
            | Self::Taken { id }
            | Self::Connection { id }
            | Self::TicketSecrets { id, .. } => *id,
        }
    }
}

impl MasterWord {
    /// By which a gift can be taken, if it is held.
    pub(super) fn token(self) -> Option<String> {
        match self {
            Self::Held { token, .. } => Some(token),
            Self::Listening { .. }
            | Self::Failed { .. }
            | Self::Back { .. }
            | Self::Taken { .. }
            | Self::Connection { .. }
            | Self::TicketSecrets { .. } => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_are_these() {
        let listen = Listen {
            id: 1,
            address: "127.0.0.1:0".into(),
            ..Listen::default()
        };
        let text = r#"{"listen":{"id":1,"address":"127.0.0.1:0","v6_only":false}}"#;
        assert_eq!(
            serde_json::to_string(&WorkerWord::Listen(listen.clone())).unwrap(),
            text
        );
        let short = r#"{"listen":{"id":1,"address":"127.0.0.1:0","later":true}}"#;
        let read: WorkerWord = serde_json::from_str(short).unwrap();
        assert_eq!(read, WorkerWord::Listen(listen));
        let read: WorkerWord = serde_json::from_str(r#"{"take_back":{"id":2}}"#).unwrap();
        assert_eq!(read, WorkerWord::TakeBack { id: 2 });
        let failed = MasterWord::Failed {
            id: 3,
            errno: 98,
            reason: "in use".into(),
        };
        assert_eq!(
            serde_json::to_string(&failed).unwrap(),
            r#"{"failed":{"id":3,"errno":98,"reason":"in use"}}"#
        );
        let secrets = WorkerWord::TicketSecrets {
            id: 4,
            socket: "https".into(),
        };
        assert_eq!(
            serde_json::to_string(&secrets).unwrap(),
            r#"{"ticket_secrets":{"id":4,"socket":"https"}}"#
        );
        let secret = "0f".repeat(48);
        let told = format!(
            r#"{{"ticket_secrets":{{"id":4,"socket":"https","secrets":{{"rotation_s":43200,"previous":"{secret}","current":"{secret}","next":"{secret}"}}}}}}"#
        );
        let read: MasterWord = serde_json::from_str(&told).unwrap();
        assert_eq!(serde_json::to_string(&read).unwrap(), told);
        assert!(serde_json::from_str::<WorkerWord>(r#"{"sing":{"id":1}}"#).is_err());
    }
}
