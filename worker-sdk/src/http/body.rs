//! A response's body that tells when it is complete.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use axum::{Error, body::Body};
use hyper::body::{Body as HttpBody, Bytes, Frame, SizeHint};

use super::talk::UnderWay;

/// A body; when it is dropped (sent whole, or given up) its request has ended.
#[derive(Debug)]
pub(super) struct Watched {
    body: Body,
    _under_way: Arc<UnderWay>,
}

impl Watched {
    pub(super) fn new(body: Body, under_way: Arc<UnderWay>) -> Self {
        Self {
            body,
            _under_way: under_way,
        }
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
