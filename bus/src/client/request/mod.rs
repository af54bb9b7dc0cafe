//! Asking, and waiting for the answer.

pub(super) mod many;
mod question;

use std::{sync::Arc, time::Duration};

use serde::de::DeserializeOwned;

pub use many::Answers;
pub(super) use many::Gathering;
use question::Asking;
pub use question::{Many, One, Question};

use super::{
    emit::{Form, json_text, sendable},
    error::{Disconnected, RequestError},
    handle::{Bus, Handle},
    ledger::Answered,
    payload::Encoded,
    trace::{self, TraceContext},
};
use crate::{
    Origin, Request, SchemaTrait,
    wire::{
        control::{Refusal, RefusalKind},
        headers::Headers,
    },
};

/// How long [`Bus::request`] waits.
const DEFAULT_WAIT: Duration = Duration::from_secs(5);

/// What the hub gets beyond the asker's patience to say itself that time is up: it knows better why.
const HUB_GRACE: Duration = Duration::from_millis(500);

/// An answer, and who gave it.
#[derive(Clone, Debug)]
pub struct Answer<T> {
    /// The answer.
    pub reply: T,
    /// Who answered; stamped by the hub.
    pub origin: Arc<Origin>,
    headers: Headers,
}

impl<T> Answer<T> {
    /// Its headers.
    pub fn headers(&self) -> &Headers {
        &self.headers
    }

    /// The trace it is part of, as a step of its own.
    pub fn trace(&self) -> Option<TraceContext> {
        TraceContext::next_of(&self.headers)
    }
}

impl<T: DeserializeOwned + SchemaTrait + 'static> Answer<T> {
    fn read(answered: Answered, topic: &str) -> Result<Self, RequestError> {
        let reply = Encoded::new(&answered.publisher, answered.kind, &answered.payload)
            .typed()
            .map_err(|reason| misfit(topic, reason))?;
        Ok(Self {
            reply,
            origin: Arc::clone(&answered.publisher.origin),
            // The hub has checked them.
            headers: Headers::parse(&answered.headers).unwrap_or_default(),
        })
    }
}

impl Bus {
    /// Asks, and waits up to 5 s for the answer.
    ///
    /// # Errors
    /// Why there is none. A connection that is lost meanwhile is an error: the question may have been answered, and
    /// is not asked twice.
    pub async fn request<R: Request>(&self, request: &R) -> Result<R::Reply, RequestError> {
        self.request_within(request, DEFAULT_WAIT).await
    }

    /// Asks, and waits up to `timeout` for the answer.
    ///
    /// # Errors
    /// As [`Bus::request`].
    pub async fn request_within<R: Request>(
        &self,
        request: &R,
        timeout: Duration,
    ) -> Result<R::Reply, RequestError> {
        Ok(self.question(request).timeout(timeout).ask().await?.reply)
    }

    /// Asks on a topic chosen at run time.
    ///
    /// # Errors
    /// As [`Bus::request`].
    pub async fn request_to<R: Request>(
        &self,
        topic: &str,
        request: &R,
        timeout: Duration,
    ) -> Result<R::Reply, RequestError> {
        let question = self.question(request).on(topic).timeout(timeout);
        Ok(question.ask().await?.reply)
    }

    /// Prepares a question to one of those who answer it.
    pub fn question<R: Request>(&self, request: &R) -> Question<'_, R, One> {
        Question::new(&self.handle, request, One)
    }

    /// Prepares a question to everybody who answers it.
    pub fn request_many<R: Request>(&self, request: &R) -> Question<'_, R, Many> {
        Question::new(&self.handle, request, Many::all())
    }

    /// Asks in JSON, and gets the answer as JSON, whatever it was written as.
    ///
    /// # Errors
    /// As [`Bus::request`].
    pub async fn request_json(
        &self,
        topic: &str,
        json: &str,
        timeout: Duration,
    ) -> Result<String, RequestError> {
        let form = Form::Json(topic);
        let payload = sendable(&self.handle.link, &form, json_text(json))?;
        let asking = Asking {
            form,
            reads: None,
            timeout,
            headers: &trace::outgoing(),
            limit: None,
        };
        let answer = asking.one(&self.handle, &payload).await?;
        Encoded::new(&answer.publisher, answer.kind, &answer.payload)
            .raw()
            .and_then(|payload| payload.to_json().map_err(|e| e.to_string()))
            .map_err(|reason| misfit(topic, reason))
    }
}

/// An asker that waits; gone, its reference is forgotten, and a late answer dropped.
#[derive(Debug)]
struct Waits {
    handle: Arc<Handle>,
    r#ref: u64,
}

impl Waits {
    fn new(handle: &Arc<Handle>, r#ref: u64) -> Self {
        let handle = Arc::clone(handle);
        Self { handle, r#ref }
    }

    fn why_closed(&self) -> Disconnected {
        self.handle.link.why_closed()
    }
}

impl Drop for Waits {
    fn drop(&mut self) {
        let pending = self.handle.link.lock().ledger.close(self.r#ref);
        drop(pending);
    }
}

fn unanswered(topic: &str, refusal: Refusal, after: Duration) -> RequestError {
    let (topic, reason) = (topic.to_owned(), refusal.reason.clone());
    match refusal.kind {
        RefusalKind::NoResponders => RequestError::NoResponders { topic, reason },
        RefusalKind::TimedOut => RequestError::TimedOut { topic, after },
        RefusalKind::Denied => RequestError::Denied { topic, reason },
        RefusalKind::Declined => RequestError::Declined { topic, reason },
        RefusalKind::Misfit => RequestError::Misfit { topic, reason },
        RefusalKind::BadTopic
        | RefusalKind::BadType
        | RefusalKind::Limit
        | RefusalKind::Malformed => RequestError::Refused { topic, refusal },
    }
}

fn misfit(topic: &str, reason: String) -> RequestError {
    RequestError::Misfit {
        topic: topic.into(),
        reason,
    }
}
