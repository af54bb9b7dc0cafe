//! Events on their way to several subscriptions: as they came, or in the form that each of them reads.

use std::rc::Rc;

use bytes::Bytes;

use super::{
    edge::{Forms, How, Text, json_frame, typed_frame},
    item::{Announced, Card, Item, Run, RunTypes, Whole},
    path::{Path, Target},
    queue::copied,
};
use crate::{
    Topic,
    wire::{data, frame, json},
};

/// Events of one publisher on their way, with what was made of them so far.
pub(super) struct Parcel {
    pub(super) run: Run,
    pub(super) topic: Topic,
    /// The only type there is, where a payload changes its form.
    pub(super) ty: Option<Rc<Announced>>,
    pub(super) urgent: bool,
    /// What an event of the control lane stands for.
    pub(super) stands_for: Option<(Topic, Vec<u8>)>,
    /// For each event.
    forms: Vec<Forms>,
    /// The frames in memory of their own, once a subscription needs them so.
    copy: Option<Bytes>,
}

impl Parcel {
    pub(super) fn new(run: Run, path: &Path) -> Self {
        Self::of(run, path.topic.clone(), path.ty.clone(), path.urgent)
    }

    pub(super) fn of(run: Run, topic: Topic, ty: Option<Rc<Announced>>, urgent: bool) -> Self {
        Self {
            run,
            topic,
            ty,
            urgent,
            stands_for: None,
            forms: Vec::new(),
            copy: None,
        }
    }

    /// What can be made of each event; made when first asked for.
    fn forms(&mut self) -> &mut [Forms] {
        if self.forms.is_empty() {
            self.forms = data::frames(self.run.frames.clone())
                .filter_map(|(flags, body)| {
                    let head = data::emit(&body, flags).ok()?;
                    let (kind, at) = (head.kind, head.payload_at);
                    Some(Forms::new(kind, body.slice(at..), self.ty.clone()))
                })
                .collect();
        }
        &mut self.forms
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
        match &target.how {
            How::AsIs => vec![Item::Run(self.run(copy))],
            How::Misfit(reason) => vec![Item::Misfit {
                missed: u64::from(self.run.count),
                topic: self.topic.clone(),
                reason: Rc::clone(reason),
            }],
            How::Typed(reader) => {
                let (base, topic) = (self.run.clone(), self.topic.clone());
                let convert = |(i, forms): (usize, &mut Forms)| match forms.typed(reader) {
                    Ok(payload) => Item::Run(Run {
                        first_seq: base.first_seq + i as u64,
                        count: 1,
                        frames: typed_frame(topic.as_str(), &payload),
                        types: RunTypes::default(),
                        pins: None,
                        ..base.clone()
                    }),
                    Err(reason) => misfit(&topic, reason),
                };
                self.forms().iter_mut().enumerate().map(convert).collect()
            }
            How::Text(reader) => {
                let (base, topic) = (self.run.clone(), self.topic.clone());
                let convert = |(i, forms): (usize, &mut Forms)| match forms.text(reader.as_ref()) {
                    Ok(text) => {
                        let seq = base.first_seq + i as u64;
                        Item::Whole(event_object(
                            target.sub, seq, &base.card, base.flags, &topic, &text,
                        ))
                    }
                    Err(reason) => misfit(&topic, reason),
                };
                self.forms().iter_mut().enumerate().map(convert).collect()
            }
        }
    }
}

fn misfit(topic: &Topic, reason: Rc<str>) -> Item {
    Item::Misfit {
        missed: 1,
        topic: topic.clone(),
        reason,
    }
}

/// An event for a connection that speaks JSON.
fn event_object(
    sub: u32,
    seq: u64,
    card: &Rc<Card>,
    flags: u8,
    topic: &Topic,
    text: &Text,
) -> Whole {
    let body = json::Event {
        sub,
        seq,
        origin: card.origin.clone(),
        topic: topic.to_string(),
        payload: text.json(),
        bytes: text.base64(),
        headers: json::HeaderTexts::new(),
    };
    Whole::plain(json_frame(frame::FrameType::Run, flags, &body))
}
