//! Asking, and waiting for the answer.

use std::time::Duration;

use tokio::sync::oneshot;

use super::{
    announce::{Scope, TypeRef},
    emit::{Form, json_text, sendable},
    error::RequestError,
    handle::Bus,
    ledger::{Answer, Pending},
    link::Link,
    payload::Encoded,
    scratch::Scratch,
    state::Purpose,
};
use crate::{
    Request,
    wire::{
        FrameType,
        control::{Refusal, RefusalKind},
        data,
    },
};

/// How long [`Bus::request`] waits.
const DEFAULT_WAIT: Duration = Duration::from_secs(5);

/// What the hub gets beyond the asker's patience to say itself that time is up: it knows better why.
const HUB_GRACE: Duration = Duration::from_millis(500);

impl Bus {
    /// Asks, and waits up to 5 s for the answer.
    ///
    /// # Errors
    /// Why there is none.
    pub async fn request<R: Request>(&self, request: &R) -> Result<R::Reply, RequestError> {
        self.request_within(request, DEFAULT_WAIT).await
    }

    /// Asks, and waits up to `timeout` for the answer.
    ///
    /// # Errors
    /// Why there is none.
    pub async fn request_within<R: Request>(
        &self,
        request: &R,
        timeout: Duration,
    ) -> Result<R::Reply, RequestError> {
        self.request_to(R::TOPIC, request, timeout).await
    }

    /// Asks on a topic chosen at run time.
    ///
    /// # Errors
    /// Why there is no answer.
    pub async fn request_to<R: Request>(
        &self,
        topic: &str,
        request: &R,
        timeout: Duration,
    ) -> Result<R::Reply, RequestError> {
        let form = Form::Typed(TypeRef::request::<R>(), topic);
        let reads = Some(TypeRef::reply::<R>());
        let answer = ask(
            &self.handle.link,
            &form,
            Scratch::postcard(request),
            reads,
            timeout,
        )
        .await?;
        Encoded::new(&answer.publisher, answer.kind, &answer.payload)
            .typed()
            .map_err(|reason| misfit(topic, reason))
    }

    /// Asks in JSON, and gets the answer as JSON, whatever it was written as.
    ///
    /// # Errors
    /// Why there is none.
    pub async fn request_json(
        &self,
        topic: &str,
        json: &str,
        timeout: Duration,
    ) -> Result<String, RequestError> {
        let answer = ask(
            &self.handle.link,
            &Form::Json(topic),
            json_text(json),
            None,
            timeout,
        )
        .await?;
        Encoded::new(&answer.publisher, answer.kind, &answer.payload)
            .raw()
            .and_then(|payload| payload.to_json().map_err(|e| e.to_string()))
            .map_err(|reason| misfit(topic, reason))
    }
}

async fn ask(
    link: &Link,
    form: &Form<'_>,
    payload: Result<Scratch, String>,
    reads: Option<TypeRef>,
    timeout: Duration,
) -> Result<Answer, RequestError> {
    let payload = sendable(link, form, payload)?;
    let timeout_ms = u32::try_from(timeout.as_millis()).unwrap_or(u32::MAX);
    let (r#ref, answer) = link
        .put(Purpose::Begin, |state| {
            let (kind, topic) = state.address_request(form)?;
            let reply_type = match &reads {
                Some(reply) => state.announced(reply, Scope::Free, topic)?.0,
                None => data::READERS_TYPE,
            };
            let (answer, answered) = oneshot::channel();
            let r#ref = state.ledger.open(Pending::Request(answer));
            let head =
                |out: &mut _| data::put_request(out, kind, topic, r#ref, reply_type, timeout_ms);
            state.outbox.frame(FrameType::Request, 0, head, &payload);
            Ok((r#ref, answered))
        })
        .await?;
    let _waits = Waits { link, r#ref };
    match tokio::time::timeout(timeout.saturating_add(HUB_GRACE), answer).await {
        Ok(Ok(Ok(answer))) => Ok(answer),
        Ok(Ok(Err(refusal))) => Err(unanswered(form.topic(), refusal, timeout)),
        Ok(Err(_)) => Err(RequestError::Disconnected(link.why_closed())),
        Err(_) => Err(RequestError::TimedOut {
            topic: form.topic().into(),
            after: timeout,
        }),
    }
}

/// An asker that waits; gone, its reference is forgotten, and a late answer dropped.
struct Waits<'a> {
    link: &'a Link,
    r#ref: u64,
}

impl Drop for Waits<'_> {
    fn drop(&mut self) {
        self.link.lock().ledger.close(self.r#ref);
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
