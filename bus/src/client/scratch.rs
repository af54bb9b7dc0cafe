//! Where an event is encoded before it is copied into the outgoing buffer: one buffer per thread, used again and again.
//!
//! Encoding runs the user's own code (`Serialize`), which may take its time, panic, or emit something itself. So it happens
//! before the link is locked; under the lock there is only a copy.

use std::{cell::Cell, ops::Deref};

use postcard::ser_flavors::Flavor;
use serde::Serialize;

/// A buffer larger than this is given back to the allocator rather than kept for the thread.
const KEPT_BYTES: usize = 64 << 10;

thread_local! {
    static SPARE: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// An encoded payload. Its memory goes back to the thread that drops it.
#[derive(Debug)]
pub(super) struct Scratch(Vec<u8>);

impl Scratch {
    fn empty() -> Self {
        let mut spare = SPARE.try_with(Cell::take).unwrap_or_default();
        spare.clear();
        Self(spare)
    }

    /// Encodes as postcard.
    pub(super) fn postcard<T: Serialize + ?Sized>(value: &T) -> Result<Self, String> {
        let mut scratch = Self::empty();
        postcard::serialize_with_flavor(value, Sink(&mut scratch.0)).map_err(|e| e.to_string())?;
        Ok(scratch)
    }

    /// Encodes as JSON.
    pub(super) fn json<T: Serialize + ?Sized>(value: &T) -> Result<Self, String> {
        let mut scratch = Self::empty();
        serde_json::to_writer(&mut scratch.0, value).map_err(|e| e.to_string())?;
        Ok(scratch)
    }

    /// Copies bytes as they are.
    pub(super) fn bytes(bytes: &[u8]) -> Self {
        let mut scratch = Self::empty();
        scratch.0.extend_from_slice(bytes);
        scratch
    }
}

impl Deref for Scratch {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if self.0.capacity() <= KEPT_BYTES {
            // At thread exit there is no spare any more; then the buffer is simply freed.
            let _ = SPARE.try_with(|spare| spare.set(std::mem::take(&mut self.0)));
        }
    }
}

/// Postcard's way of writing into a `Vec`, whole slices at once.
struct Sink<'a>(&'a mut Vec<u8>);

impl Flavor for Sink<'_> {
    type Output = ();

    fn try_extend(&mut self, data: &[u8]) -> postcard::Result<()> {
        self.0.extend_from_slice(data);
        Ok(())
    }

    fn try_push(&mut self, data: u8) -> postcard::Result<()> {
        self.0.push(data);
        Ok(())
    }

    fn finalize(self) -> postcard::Result<()> {
        Ok(())
    }
}
