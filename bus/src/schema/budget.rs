//! How much work one conversion may be: a few hostile bytes must not become seconds or gigabytes.

/// The largest payload an event may have by default: 1 MiB.
const PAYLOAD: usize = 1 << 20;

/// How many times larger JSON may be: small numbers and control characters grow so.
const JSON_GROWTH: usize = 4;

/// What one conversion may cost. Exceeding any of the three ends it with an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    /// Values visited, nested ones included. Default: 4 Mi, since every value takes a byte of output.
    pub nodes: usize,
    /// Levels of nesting. Default: 32, the depth a schema may have.
    pub depth: usize,
    /// Bytes written. Default: 4 MiB, four times the payload limit: a full payload of small integers fits as JSON.
    pub output: usize,
}

impl Budget {
    /// What showing payloads of at most so many bytes as JSON may cost, in proportion to the default.
    #[must_use]
    pub const fn for_payloads(bytes: usize) -> Self {
        let most = bytes.saturating_mul(JSON_GROWTH);
        Self {
            nodes: most,
            depth: 32,
            output: most,
        }
    }
}

impl Default for Budget {
    fn default() -> Self {
        Self::for_payloads(PAYLOAD)
    }
}
