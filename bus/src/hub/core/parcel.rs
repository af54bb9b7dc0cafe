//! Events on their way to several subscriptions: as they came, or in the form that each of them reads.

use std::rc::Rc;

use bytes::Bytes;

use super::{
    edge::{Forms, How, Text, json_frame, typed_frame},
    item::{Announced, Item, Mark, Run, RunTypes, Whole},
    path::{Path, Target},
    queue::copied,
};
use crate::{
    Topic,
    wire::{data, flags, frame, headers::Headers, json},
};

/// One event of a parcel.
struct Single {
    forms: Forms,
    /// As they travel.
    headers: Bytes,
}

/// Events of one publisher on their way, with what was made of them so far.
pub(super) struct Parcel {
    pub(super) run: Run,
    pub(super) topic: Topic,
    /// The only type there is, where a payload changes its form.
    pub(super) ty: Option<Rc<Announced>>,
    pub(super) urgent: bool,
    /// What an event of the control lane stands for.
    pub(super) stands_for: Option<(Topic, Vec<u8>)>,
    /// What any payload may have, in bytes.
    most: usize,
    /// Each event by itself.
    events: Vec<Single>,
    /// The frames in memory of their own, once a subscription needs them so.
    copy: Option<Bytes>,
}

impl Parcel {
    /// Events that take `path`. `most`: what any payload may have, in bytes.
    pub(super) fn new(run: Run, path: &Path, most: usize) -> Self {
        Self::of(run, path.topic.clone(), path.ty.clone(), most)
    }

    /// Events of the lane that their flags say.
    pub(super) fn of(run: Run, topic: Topic, ty: Option<Rc<Announced>>, most: usize) -> Self {
        Self {
            urgent: run.flags & flags::CONTROL_LANE != 0,
            run,
            topic,
            ty,
            most,
            stands_for: None,
            events: Vec::new(),
            copy: None,
        }
    }

    /// Some of its events.
    pub(super) fn part(&self, run: Run) -> Self {
        Self {
            stands_for: self.stands_for.clone(),
            ..Self::of(run, self.topic.clone(), self.ty.clone(), self.most)
        }
    }

    /// Each event by itself, with what can be made of it; taken apart when first asked for.
    fn events(&mut self) -> &mut [Single] {
        if self.events.is_empty() {
            self.events = data::frames(self.run.frames.clone())
                .filter_map(|(flags, body)| {
                    let head = data::emit(&body, flags).ok()?;
                    let payload = body.slice(head.payload_at..);
                    Some(Single {
                        forms: Forms::new(head.kind, payload, self.ty.clone(), self.most),
                        headers: body.slice_ref(head.headers),
                    })
                })
                .collect();
        }
        &mut self.events
    }

    /// The run itself, for a queue that may or may not keep the read buffer alive.
    pub(super) fn run(&mut self, copy: bool) -> Run {
        let mut run = self.run.clone();
        if copy {
            let frames = &self.run.frames;
            run.frames = self.copy.get_or_insert_with(|| copied(frames)).clone();
            run.pins = None;
        }
        run
    }

    /// The items for one subscription.
    pub(super) fn items(&mut self, target: &Target, copy: bool) -> Vec<Item> {
        // Only the data lane's numbers say where a reader is.
        let urgent = self.urgent;
        let told = |seq: u64| if urgent { 0 } else { seq };
        match &target.how {
            How::AsIs => vec![Item::Run(self.run(copy))],
            How::Misfit(reason) => vec![Item::Misfit {
                missed: u64::from(self.run.count),
                last_seq: told(self.run.last_seq()),
                topic: self.topic.clone(),
                reason: Rc::clone(reason),
            }],
            How::Typed(reader) => {
                let (base, topic) = (self.run.clone(), self.topic.clone());
                let convert = |(event, seq): (&mut Single, u64)| match event.forms.typed(reader) {
                    Ok(payload) => Item::Run(Run {
                        first_seq: seq,
                        count: 1,
                        frames: typed_frame(topic.as_str(), &event.headers, &payload),
                        types: RunTypes::default(),
                        pins: None,
                        ..base.clone()
                    }),
                    Err(reason) => misfit(&topic, told(seq), reason),
                };
                let seqs = base.first_seq..;
                self.events().iter_mut().zip(seqs).map(convert).collect()
            }
            How::Text(reader) => {
                let (base, topic) = (self.run.clone(), self.topic.clone());
                let convert =
                    |(event, seq): (&mut Single, u64)| match event.forms.text(reader.as_ref()) {
                        Ok(text) => {
                            let headers = &event.headers;
                            let object =
                                event_object(target.sub, seq, &base, &topic, &text, headers);
                            Item::Whole(object)
                        }
                        Err(reason) => misfit(&topic, told(seq), reason),
                    };
                let seqs = base.first_seq..;
                self.events().iter_mut().zip(seqs).map(convert).collect()
            }
        }
    }
}

fn misfit(topic: &Topic, seq: u64, reason: Rc<str>) -> Item {
    Item::Misfit {
        missed: 1,
        last_seq: seq,
        topic: topic.clone(),
        reason,
    }
}

/// An event for a connection that speaks JSON.
fn event_object(
    sub: u32,
    seq: u64,
    run: &Run,
    topic: &Topic,
    text: &Text,
    headers: &[u8],
) -> Whole {
    // Checked when they came.
    let headers = Headers::parse(headers).unwrap_or_default();
    let body = json::Event {
        sub,
        seq,
        origin: run.card.origin.clone(),
        topic: topic.to_string(),
        payload: text.json(),
        bytes: text.base64(),
        headers: json::header_texts(&headers),
    };
    let mut whole = Whole::plain(json_frame(frame::FrameType::Run, run.flags, &body));
    whole.event = Some(Mark {
        seq,
        flags: run.flags,
        until: run.until,
    });
    whole
}
