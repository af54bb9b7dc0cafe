//! A WebSocket that its handler shares with whoever tells its client to go.

use std::{
    convert::Infallible,
    future::poll_fn,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Wake, Waker},
};

use axum::{
    Error,
    extract::ws::{CloseFrame, Message, WebSocket, close_code},
    http::HeaderValue,
};
use futures::{Sink, SinkExt, Stream, StreamExt, task::AtomicWaker};
use tokio::sync::oneshot;

/// Goes off when the handler has dropped its socket.
pub(super) type Dropped = oneshot::Receiver<Infallible>;

/// What a handler has of a WebSocket: axum's, but for its end. A stream and a sink of messages, too.
#[derive(Debug)]
pub struct Socket {
    line: Arc<Line>,
    _kept: oneshot::Sender<Infallible>,
}

/// The WebSocket, for both.
#[derive(Debug)]
pub(super) struct Line {
    state: Mutex<State>,
    waiting: Arc<Waiting>,
}

#[derive(Debug)]
struct State {
    /// `None` when it was cut.
    socket: Option<WebSocket>,
    /// The handler waits for a message.
    waits: bool,
    /// Wants to know when it does.
    watcher: Option<Waker>,
    /// The client is being told to go: meanwhile the handler begins no other message, or a slow client might never be told.
    is_told: bool,
}

/// Who waits. The WebSocket itself wakes one writer, whoever tried last; but the handler's may be another task than the one that tells the
/// client to go. So it is given what wakes both.
#[derive(Debug, Default)]
struct Waiting {
    reader: AtomicWaker,
    writer: AtomicWaker,
    teller: AtomicWaker,
}

impl Wake for Waiting {
    fn wake(self: Arc<Self>) {
        self.writer.wake();
        self.teller.wake();
    }
}

pub(super) fn share(socket: WebSocket) -> (Socket, Arc<Line>, Dropped) {
    let line = Arc::new(Line {
        state: Mutex::new(State {
            socket: Some(socket),
            waits: false,
            watcher: None,
            is_told: false,
        }),
        waiting: Arc::default(),
    });
    let (kept, dropped) = oneshot::channel();
    let socket = Socket {
        line: Arc::clone(&line),
        _kept: kept,
    };
    (socket, line, dropped)
}

impl Line {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the client is just being told to go.
    fn is_told(&self) -> bool {
        let state = self.state();
        state.is_told && state.socket.is_some()
    }

    /// Does something with the WebSocket, if it was not cut.
    fn with<T>(&self, act: impl FnOnce(&mut WebSocket) -> T) -> Result<T, Error> {
        const CUT: &str =
            "the WebSocket was cut: the time to drain is over, or what served it was dropped";
        let mut state = self.state();
        state
            .socket
            .as_mut()
            .map(act)
            .ok_or_else(|| Error::new(CUT))
    }

    /// The same, with what can only be tried.
    fn poll<T>(
        &self,
        act: impl FnOnce(&mut WebSocket) -> Poll<Result<T, Error>>,
    ) -> Poll<Result<T, Error>> {
        self.with(act).unwrap_or_else(|cut| Poll::Ready(Err(cut)))
    }

    /// The same, with what may wait for room to write.
    fn poll_write(
        &self,
        who: &AtomicWaker,
        cx: &Context<'_>,
        act: impl FnOnce(&mut WebSocket, &mut Context<'_>) -> Poll<Result<(), Error>>,
    ) -> Poll<Result<(), Error>> {
        who.register(cx.waker());
        let both = Waker::from(Arc::clone(&self.waiting));
        self.poll(|socket| act(socket, &mut Context::from_waker(&both)))
    }

    /// Waits until the handler waits for a message.
    pub(super) async fn waits(&self) {
        poll_fn(|cx| {
            let mut state = self.state();
            match state.waits {
                true => Poll::Ready(()),
                false => {
                    state.watcher = Some(cx.waker().clone());
                    Poll::Pending
                }
            }
        })
        .await;
    }

    /// Tells the client that this worker goes; of no effect if either has said Close before.
    pub(super) async fn close(&self) -> Result<(), Error> {
        self.state().is_told = true;
        let told = self.say_close().await;
        self.state().is_told = false;
        self.waiting.writer.wake();
        told
    }

    async fn say_close(&self) -> Result<(), Error> {
        let teller = &self.waiting.teller;
        poll_fn(|cx| self.poll_write(teller, cx, |socket, cx| socket.poll_ready_unpin(cx))).await?;
        let close = Message::Close(Some(CloseFrame {
            code: close_code::RESTART,
            reason: "service restart".into(),
        }));
        self.with(|socket| socket.start_send_unpin(close))??;
        poll_fn(|cx| self.poll_write(teller, cx, |socket, cx| socket.poll_flush_unpin(cx))).await
    }

    /// Reads until the client has said Close, or gone.
    pub(super) async fn read_out(&self) {
        let next = |cx: &mut Context<'_>| self.poll(|socket| socket.poll_next_unpin(cx).map(Ok));
        while let Ok(Some(Ok(_unread))) = poll_fn(next).await {}
    }

    /// Closes the connection without a word.
    fn cut(&self) {
        self.state().socket = None;
        self.waiting.reader.wake();
        self.waiting.writer.wake();
    }
}

/// Cuts the WebSocket when this is dropped, whoever still has it.
#[derive(Debug)]
pub(super) struct Cut(pub(super) Arc<Line>);

impl Drop for Cut {
    fn drop(&mut self) {
        self.0.cut();
    }
}

impl Socket {
    /// The next message; `None` when the WebSocket has closed.
    pub async fn recv(&mut self) -> Option<Result<Message, Error>> {
        self.next().await
    }

    /// Sends a message.
    ///
    /// # Errors
    /// If the connection broke, or either side has said Close: as this worker does when it drains.
    pub async fn send(&mut self, message: Message) -> Result<(), Error> {
        SinkExt::send(self, message).await
    }

    /// The chosen subprotocol.
    #[must_use]
    pub fn protocol(&self) -> Option<HeaderValue> {
        let state = self.line.state();
        state.socket.as_ref()?.protocol().cloned()
    }
}

impl Stream for Socket {
    type Item = Result<Message, Error>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.line.waiting.reader.register(cx.waker());
        let mut state = self.line.state();
        let Some(socket) = &mut state.socket else {
            return Poll::Ready(None);
        };
        let next = socket.poll_next_unpin(cx);
        state.waits = next.is_pending();
        if state.waits
            && let Some(watcher) = state.watcher.take()
        {
            watcher.wake();
        }
        next
    }
}

impl Sink<Message> for Socket {
    type Error = Error;

    fn poll_ready(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        let Line { waiting, .. } = &*self.line;
        waiting.writer.register(cx.waker());
        if self.line.is_told() {
            return Poll::Pending;
        }
        self.line.poll_write(&waiting.writer, cx, |socket, cx| {
            socket.poll_ready_unpin(cx)
        })
    }

    fn start_send(self: Pin<&mut Self>, message: Message) -> Result<(), Error> {
        // One that waited beside other things has found something to say.
        self.line.state().waits = false;
        self.line.with(|socket| socket.start_send_unpin(message))?
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        let writer = &self.line.waiting.writer;
        self.line
            .poll_write(writer, cx, |socket, cx| socket.poll_flush_unpin(cx))
    }

    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        let writer = &self.line.waiting.writer;
        self.line
            .poll_write(writer, cx, |socket, cx| socket.poll_close_unpin(cx))
    }
}
