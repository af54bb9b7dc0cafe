//! Events on their way to several subscriptions: as they came, or in the form that each of them reads.

use std::rc::Rc;

use bytes::Bytes;

use super::{
    edge::{Converted, Forms, How, Text, json_frame, typed_frame},
    item::{Announced, Item, Mark, Run, RunTypes, Whole},
    later::{Later, Subject},
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
    /// Others take the events as they are: whoever wants another form gets it when it is written.
    waits: bool,
    /// What those that wait for another form are.
    subject: Option<Rc<Subject>>,
}

impl Parcel {
    /// Events that take `path`. `most`: what any payload may have, in bytes.
    pub(super) fn new(run: Run, path: &Path, most: usize) -> Self {
        Self {
            waits: path.is_plain && !path.urgent,
            ..Self::of(run, path.topic.clone(), path.ty.clone(), most)
        }
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
            waits: false,
            subject: None,
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

    /// The run for a subscription that takes its events in another form, to change it when they are written; nothing if
    /// that is to be done at once.
    pub(super) fn later(&mut self, how: &How, copy: bool) -> Option<Run> {
        match how {
            How::Typed(_) | How::Text(_) if self.waits => {}
            How::AsIs | How::Typed(_) | How::Text(_) | How::Misfit(_) => return None,
        }
        let subject = self.subject.get_or_insert_with(|| {
            Rc::new(Subject {
                topic: self.topic.clone(),
                ty: self.ty.clone(),
                most: self.most,
            })
        });
        let later = Later {
            subject: Rc::clone(subject),
            how: how.clone(),
        };
        Some(Run {
            later: Some(Rc::new(later)),
            ..self.run(copy)
        })
    }

    /// The items for one subscription.
    pub(super) fn items(&mut self, target: &Target, copy: bool) -> Vec<Item> {
        match &target.how {
            How::AsIs => vec![Item::Run(self.run(copy))],
            How::Misfit(reason) => {
                let told = told(&self.run, self.run.last_seq());
                vec![Item::Misfit {
                    missed: u64::from(self.run.count),
                    last_seq: told,
                    topic: self.topic.clone(),
                    reason: Rc::clone(reason),
                }]
            }
            How::Typed(reader) => {
                let (base, topic) = (self.run.clone(), self.topic.clone());
                let convert = |(event, seq): (&mut Single, u64)| {
                    typed_item(
                        &base,
                        seq,
                        &topic,
                        &event.headers,
                        event.forms.typed(reader),
                    )
                };
                let seqs = base.first_seq..;
                self.events().iter_mut().zip(seqs).map(convert).collect()
            }
            How::Text(reader) => {
                let (base, topic) = (self.run.clone(), self.topic.clone());
                let convert = |(event, seq): (&mut Single, u64)| {
                    let text = event.forms.text(reader.as_ref());
                    text_item(target.sub, &base, seq, &topic, &event.headers, text)
                };
                let seqs = base.first_seq..;
                self.events().iter_mut().zip(seqs).map(convert).collect()
            }
        }
    }
}

/// The number that says where a reader is: only the data lane's do.
fn told(run: &Run, seq: u64) -> u64 {
    match run.flags & flags::CONTROL_LANE {
        0 => seq,
        _ => 0,
    }
}

/// An event of `run` as postcard of the reader's type.
pub(super) fn typed_item(
    run: &Run,
    seq: u64,
    topic: &Topic,
    headers: &[u8],
    made: Converted<Bytes>,
) -> Item {
    match made {
        Ok(payload) => Item::Run(Run {
            first_seq: seq,
            count: 1,
            frames: typed_frame(topic.as_str(), headers, &payload),
            types: RunTypes::default(),
            pins: None,
            later: None,
            ..run.clone()
        }),
        Err(reason) => misfit(run, topic, seq, reason),
    }
}

/// An event of `run` as an object for subscription `sub`.
pub(super) fn text_item(
    sub: u32,
    run: &Run,
    seq: u64,
    topic: &Topic,
    headers: &[u8],
    made: Converted<Rc<Text>>,
) -> Item {
    match made {
        Ok(text) => Item::Whole(event_object(sub, seq, run, topic, &text, headers)),
        Err(reason) => misfit(run, topic, seq, reason),
    }
}

/// An event of `run` that its reader can't read.
pub(super) fn misfit(run: &Run, topic: &Topic, seq: u64, reason: Rc<str>) -> Item {
    Item::Misfit {
        missed: 1,
        last_seq: told(run, seq),
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
