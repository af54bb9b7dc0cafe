//! An event that is encoded and not yet emitted.

use std::time::Duration;

use super::{Extras, Form};
use crate::{
    Slot, WorkerId,
    client::{
        direct,
        error::EmitError,
        link::Link,
        scratch::Scratch,
        state::{Purpose, PutError, State},
    },
    topic,
    wire::{control::Refusal, flags, headers::Headers},
};

/// An event that is encoded and not yet emitted: for everything that is not said by one of [`Bus`](crate::Bus)'s shorthands.
///
/// ```no_run
/// # use ostler_bus::client::{Bus, EmitError};
/// # use std::time::Duration;
/// # async fn example(bus: Bus) -> Result<(), EmitError> {
/// let matched = bus.json("orders.hint", &[1, 2, 3]).retained().acked().await?;
/// bus.json("cache.drop", "users").to_app("web").ttl(Duration::from_secs(2)).header("reason", "renamed").send().await?;
/// # Ok(()) }
/// ```
#[derive(Debug)]
#[must_use = "nothing is emitted before `send`, `try_send` or `acked`"]
pub struct Emission<'a> {
    link: &'a Link,
    form: Form<'a>,
    /// Where to, if not where the form says.
    to: Option<String>,
    payload: Result<Scratch, EmitError>,
    extras: Extras,
}

impl<'a> Emission<'a> {
    pub(super) fn new(
        link: &'a Link,
        form: Form<'a>,
        payload: Result<Scratch, EmitError>,
        headers: Headers,
    ) -> Self {
        Self {
            link,
            form,
            to: None,
            payload,
            extras: Extras {
                flags: 0,
                ttl_ms: None,
                headers,
            },
        }
    }

    /// The hub keeps it as its topic's last value, for those who subscribe later.
    pub fn retained(mut self) -> Self {
        self.extras.flags |= flags::RETAIN;
        self
    }

    /// Nobody wants it any more when so much time has passed since it came to the hub: what waits longer is dropped, and
    /// not told as lost. To the millisecond; at most 49 days.
    pub fn ttl(mut self, ttl: Duration) -> Self {
        self.extras.ttl_ms = Some(u32::try_from(ttl.as_millis()).unwrap_or(u32::MAX));
        self
    }

    /// Puts a header beside it. A name is 1 to 64 of `a`–`z`, `0`–`9`, `_` and `-`; all together take at most 4 KiB, or emitting
    /// fails.
    pub fn header(mut self, name: &str, value: &str) -> Self {
        if let Err(bad) = self.extras.headers.insert(name, value)
            && self.payload.is_ok()
        {
            self.payload = Err(EmitError::BadHeader {
                topic: self.topic().into(),
                reason: bad.to_string(),
            });
        }
        self
    }

    /// To one worker alone, which hears it where it [subscribes](super::super::direct_topics) to what is meant for it.
    pub fn to_worker(self, id: WorkerId) -> Self {
        let to = direct::to_worker(id, self.form.topic());
        self.to(to)
    }

    /// To whichever worker of an app has a slot.
    pub fn to_slot(self, app: &str, slot: Slot) -> Self {
        let to = direct::to_slot(app, slot, self.form.topic());
        self.to(to)
    }

    /// To the workers of one app.
    pub fn to_app(self, app: &str) -> Self {
        let to = direct::to_app(app, self.form.topic());
        self.to(to)
    }

    fn to(mut self, topic: String) -> Self {
        if let Err(bad) = topic::check(&topic)
            && self.payload.is_ok()
        {
            self.payload = Err(EmitError::BadTopic(bad));
        }
        self.to = Some(topic);
        self
    }

    fn topic(&self) -> &str {
        self.to.as_deref().unwrap_or_else(|| self.form.topic())
    }

    /// Emits it. Returns when the outgoing buffer took it, having waited for room if need be.
    ///
    /// # Errors
    /// As [`Bus::emit`](crate::Bus::emit).
    pub async fn send(self) -> Result<(), EmitError> {
        let payload = self.payload?;
        let (form, extras) = (self.form.to(self.to.as_deref()), &self.extras);
        let put = |state: &mut State| state.emit(&form, extras, &payload);
        self.link.put(Purpose::Begin, form.topic(), put).await
    }

    /// Emits it if there is room now, and nobody holds the topic.
    ///
    /// # Errors
    /// As [`Bus::try_emit`](crate::Bus::try_emit).
    pub fn try_send(self) -> Result<(), EmitError> {
        let payload = self.payload?;
        let form = self.form.to(self.to.as_deref());
        let put = |state: &mut State| state.emit(&form, &self.extras, &payload);
        let waited = Duration::ZERO;
        self.link.try_put(Purpose::Begin, put).map_err(|e| match e {
            PutError::Full => EmitError::Full { waited },
            PutError::Held => EmitError::Held {
                topic: form.topic().into(),
                waited,
            },
            PutError::Never(why) => why,
        })
    }

    /// Emits it, and waits until the hub took it: the number of subscriptions it matched. Over lost connections too:
    /// see [`Bus::emit_acked`](crate::Bus::emit_acked).
    ///
    /// # Errors
    /// As [`Bus::emit_acked`](crate::Bus::emit_acked).
    pub async fn acked(self) -> Result<u64, EmitError> {
        let payload = self.payload?;
        let (form, extras) = (self.form.to(self.to.as_deref()), &self.extras);
        let put = |state: &mut State| state.emit_acked(&form, extras, &payload);
        let answer = self.link.put(Purpose::Begin, form.topic(), put).await?;
        let after = self.link.answer_timeout();
        let topic = || form.topic().to_owned();
        let refused = |refusal: Refusal| EmitError::Refused {
            topic: topic(),
            refusal,
        };
        match tokio::time::timeout(after, answer).await {
            Ok(Ok(answer)) => answer.map_err(refused),
            Ok(Err(_)) => Err(EmitError::Disconnected(self.link.why_closed())),
            Err(_) => Err(EmitError::Unanswered {
                topic: topic(),
                after,
            }),
        }
    }
}
