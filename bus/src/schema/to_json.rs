//! Bytes to JSON, and the same walk without output.

use std::io;

use serde::Serialize;

use super::budget::Budget;
use super::error::ConvertError;
use super::owned::TypeSchema;
use super::walk::{Full, Sink, Walk};

/// Shows postcard bytes as the JSON that `serde_json` would make of the value.
///
/// ```
/// use ostler_bus::schema::{Budget, TypeSchema, to_json};
///
/// let schema = TypeSchema::of::<Vec<(u8, Option<char>)>>();
/// let bytes = [2, 7, 0, 8, 1, 1, b'x'];
/// assert_eq!(to_json(&schema, &bytes, &Budget::default()).unwrap(), r#"[[7,null],[8,"x"]]"#);
/// ```
///
/// # Errors
/// If the bytes don't fit the schema to the last one, or exceed the budget.
pub fn to_json(schema: &TypeSchema, bytes: &[u8], budget: &Budget) -> Result<String, ConvertError> {
    let sink = JsonSink::new(budget.output);
    let sink = Walk::new(schema, bytes, sink, budget)
        .run()
        .map_err(|failure| failure.into_error())?;
    Ok(String::from_utf8(sink.into_bytes()).expect("all that is written is text"))
}

/// Checks that postcard bytes fit their schema, without making anything of them.
///
/// # Errors
/// If they don't fit to the last byte, or exceed the budget.
pub fn validate(schema: &TypeSchema, bytes: &[u8], budget: &Budget) -> Result<(), ConvertError> {
    Walk::new(schema, bytes, Nothing, budget)
        .run()
        .map(|Nothing| ())
        .map_err(|failure| failure.into_error())
}

/// JSON text, up to a limit.
pub(super) struct JsonSink {
    out: Vec<u8>,
    limit: usize,
}

impl JsonSink {
    pub(super) const fn new(limit: usize) -> Self {
        Self {
            out: Vec::new(),
            limit,
        }
    }

    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.out
    }
}

impl Sink for JsonSink {
    const TEXT_KEYS: bool = true;

    fn raw(&mut self, text: &str) -> Result<(), Full> {
        if self.out.len() + text.len() > self.limit {
            return Err(Full);
        }
        self.out.extend_from_slice(text.as_bytes());
        Ok(())
    }

    /// By `serde_json` itself, so that no number is ever printed otherwise. Only the limit can fail.
    fn leaf<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Full> {
        serde_json::to_writer(self, value).map_err(|_| Full)
    }
}

impl io::Write for JsonSink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.write_all(bytes).map(|()| bytes.len())
    }

    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        if self.out.len() + bytes.len() > self.limit {
            return Err(io::ErrorKind::WriteZero.into());
        }
        self.out.extend_from_slice(bytes);
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Takes everything and keeps nothing.
pub(super) struct Nothing;

impl Sink for Nothing {
    const TEXT_KEYS: bool = false;

    fn raw(&mut self, _: &str) -> Result<(), Full> {
        Ok(())
    }

    fn leaf<T: Serialize + ?Sized>(&mut self, _: &T) -> Result<(), Full> {
        Ok(())
    }
}
