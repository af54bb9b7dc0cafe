//! A response's body that tells when it is complete.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use axum::{Error, body::Body};
use hyper::body::{Body as HttpBody, Bytes, Frame, SizeHint};
use tokio::{sync::watch, time::Instant};

use super::connection::Talk;
use crate::RequestUnderWay;

/// A body; when it is dropped (sent whole, or given up) the connection is idle.
#[derive(Debug)]
pub(super) struct Watched {
    body: Body,
    talk: watch::Sender<Talk>,
    /// Ends with it.
    _under_way: RequestUnderWay,
}

impl Watched {
    pub(super) fn new(body: Body, talk: watch::Sender<Talk>, under_way: RequestUnderWay) -> Self {
        Self {
            body,
            talk,
            _under_way: under_way,
        }
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        self.talk.send_replace(Talk::Idle(Instant::now()));
    }
}

impl HttpBody for Watched {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
