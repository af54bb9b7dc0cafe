//! One question, many answers: how it ended is known to whoever sees that there are no more.

use std::{future::poll_fn, sync::Arc};

use bytes::Bytes;

use super::{block_on, explore, join, spawn};
use crate::{
    Origin,
    client::{ledger::Answered, publishers::Publishers, request::many::Gathering},
    wire::data,
};

#[test]
fn the_end_is_known_when_there_are_no_more_answers() {
    explore(|| {
        let (gathering, mut gathered) = Gathering::new(1);
        let owning = spawn(move || {
            let mut publishers = Publishers::default();
            publishers.origin_is(1, Origin::Master);
            for _ in 0..2 {
                gathering.add(Answered {
                    publisher: Arc::clone(publishers.get(1).expect("just introduced")),
                    kind: data::Payload::Bytes,
                    headers: Bytes::new(),
                    payload: Bytes::new(),
                });
            }
            gathering.end(Ok(()));
        });
        let mut got = 0;
        while block_on(poll_fn(|cx| gathered.poll_next(cx))).is_some() {
            got += 1;
        }
        let (end, dropped) = gathered.outcome();
        assert_eq!(end, Some(&Ok(())));
        assert_eq!(got + dropped, 2);
        join(owning);
    });
}
