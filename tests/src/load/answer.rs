//! Reads one HTTP/1.x answer from bytes as they come. No I/O: the connection feeds it.

/// The longest head that is taken.
const MAX_HEAD: usize = 64 * 1024;
/// The longest body that is taken.
const MAX_BODY: usize = 16 * 1024 * 1024;

/// A complete answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Its status code.
    pub status: u16,
    /// Header names in lower case, and values, as they came.
    pub headers: Vec<(String, String)>,
    /// The body, without its transfer coding.
    pub body: Vec<u8>,
    /// Whether the server keeps the connection open for another request.
    pub keep_alive: bool,
}

impl Answer {
    /// The body as text.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// Bytes that are not an answer, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Malformed(pub(super) String);

/// What is known after an end of stream.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum End {
    /// The end of stream was the end of the body.
    Complete(Answer),
    /// It came too early.
    Early,
}

/// How the end of a body is found.
#[derive(Debug)]
enum Framing {
    Length(usize),
    Chunked(Chunk),
    UntilClose,
}

/// Where a chunked body stands.
#[derive(Debug, Clone, Copy)]
enum Chunk {
    Size,
    Data(usize),
    AfterData,
    Trailers,
}

#[derive(Debug)]
enum State {
    Head,
    Body(Answer, Framing),
    Done,
}

/// Takes bytes until the answer is complete.
#[derive(Debug)]
pub(super) struct Reader {
    unread: Vec<u8>,
    taken: usize,
    state: State,
}

impl Reader {
    pub(super) fn new() -> Self {
        Self {
            unread: Vec::new(),
            taken: 0,
            state: State::Head,
        }
    }

    /// Bytes taken so far, interim answers included.
    pub(super) fn taken(&self) -> usize {
        self.taken
    }

    /// Takes more bytes; gives the answer once it is complete.
    ///
    /// # Errors
    /// If the bytes are not an answer, are too many, or go on after its end.
    pub(super) fn push(&mut self, bytes: &[u8]) -> Result<Option<Answer>, Malformed> {
        self.taken += bytes.len();
        self.unread.extend_from_slice(bytes);
        loop {
            match std::mem::replace(&mut self.state, State::Done) {
                State::Head => match take_head(&mut self.unread)? {
                    None => {
                        self.state = State::Head;
                        return Ok(None);
                    }
                    // An interim answer (100 Continue): the real one follows.
                    Some((answer, _)) if answer.status < 200 => self.state = State::Head,
                    Some((answer, framing)) => self.state = State::Body(answer, framing),
                },
                State::Body(mut answer, mut framing) => {
                    let complete = take_body(&mut self.unread, &mut answer.body, &mut framing)?;
                    if answer.body.len() > MAX_BODY {
                        return Err(Malformed(format!("a body over {MAX_BODY} bytes")));
                    }
                    if !complete {
                        self.state = State::Body(answer, framing);
                        return Ok(None);
                    }
                    if !self.unread.is_empty() {
                        return Err(Malformed("bytes after the end of the answer".into()));
                    }
                    return Ok(Some(answer));
                }
                State::Done => return Err(Malformed("bytes after the end of the answer".into())),
            }
        }
    }

    /// The stream has ended in good order.
    pub(super) fn end(self) -> End {
        match self.state {
            State::Body(answer, Framing::UntilClose) => End::Complete(answer),
            State::Body(..) | State::Head | State::Done => End::Early,
        }
    }
}

/// Takes a complete head from the front of `unread`.
fn take_head(unread: &mut Vec<u8>) -> Result<Option<(Answer, Framing)>, Malformed> {
    const END: &[u8] = b"\r\n\r\n";
    let known = unread.len().min(5);
    if unread[..known] != b"HTTP/"[..known] {
        return Err(Malformed("no HTTP status line".into()));
    }
    let Some(end) = unread.windows(END.len()).position(|w| w == END) else {
        if unread.len() > MAX_HEAD {
            return Err(Malformed(format!("a head over {MAX_HEAD} bytes")));
        }
        return Ok(None);
    };
    let head: Vec<u8> = unread.drain(..end + END.len()).take(end).collect();
    let head = String::from_utf8(head).map_err(|_| Malformed("a head that is not text".into()))?;
    parse_head(&head).map(Some)
}

fn parse_head(head: &str) -> Result<(Answer, Framing), Malformed> {
    let mut lines = head.split("\r\n");
    let line = lines.next().unwrap_or_default();
    let bad = || Malformed(format!("status line {line:?}"));
    let mut words = line.splitn(3, ' ');
    let persistent = match words.next() {
        Some("HTTP/1.1") => true,
        Some("HTTP/1.0") => false,
        _ => return Err(bad()),
    };
    let status = words
        .next()
        .filter(|w| w.len() == 3)
        .and_then(|w| w.parse().ok())
        .filter(|s| (100..600).contains(s))
        .ok_or_else(bad)?;
    let mut headers = Vec::new();
    for line in lines {
        let (name, value) = line
            .split_once(':')
            .ok_or_else(|| Malformed(format!("header line {line:?}")))?;
        headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    let framing = framing(status, &headers)?;
    let keep_alive = match (&framing, connection_option(&headers)) {
        (Framing::UntilClose, _) | (_, Some(Persistence::Close)) => false,
        (_, Some(Persistence::KeepAlive)) => true,
        (_, None) => persistent,
    };
    let answer = Answer {
        status,
        headers,
        body: Vec::new(),
        keep_alive,
    };
    Ok((answer, framing))
}

enum Persistence {
    Close,
    KeepAlive,
}

fn connection_option(headers: &[(String, String)]) -> Option<Persistence> {
    let options = || {
        values(headers, "connection")
            .flat_map(|v| v.split(','))
            .map(|o| o.trim().to_ascii_lowercase())
    };
    if options().any(|o| o == "close") {
        return Some(Persistence::Close);
    }
    options()
        .any(|o| o == "keep-alive")
        .then_some(Persistence::KeepAlive)
}

fn values<'a>(headers: &'a [(String, String)], name: &'a str) -> impl Iterator<Item = &'a str> {
    headers
        .iter()
        .filter(move |(n, _)| n == name)
        .map(|(_, v)| v.as_str())
}

fn framing(status: u16, headers: &[(String, String)]) -> Result<Framing, Malformed> {
    if status < 200 || status == 204 || status == 304 {
        return Ok(Framing::Length(0));
    }
    let mut lengths: Vec<&str> = values(headers, "content-length").collect();
    lengths.dedup();
    let coding = values(headers, "transfer-encoding").last();
    match (coding, lengths.as_slice()) {
        (Some(coding), []) if coding.eq_ignore_ascii_case("chunked") => {
            Ok(Framing::Chunked(Chunk::Size))
        }
        (None, [length]) => match length.parse() {
            Ok(length) if length <= MAX_BODY => Ok(Framing::Length(length)),
            _ => Err(Malformed(format!("content-length {length:?}"))),
        },
        (None, []) => Ok(Framing::UntilClose),
        (coding, lengths) => Err(Malformed(format!(
            "transfer-encoding {coding:?} with content-length {lengths:?}"
        ))),
    }
}

/// Moves what belongs to the body from `unread` to `body`; true once it is complete.
fn take_body(
    unread: &mut Vec<u8>,
    body: &mut Vec<u8>,
    framing: &mut Framing,
) -> Result<bool, Malformed> {
    match framing {
        Framing::UntilClose => {
            body.append(unread);
            Ok(false)
        }
        Framing::Length(left) => {
            let now = unread.len().min(*left);
            body.extend(unread.drain(..now));
            *left -= now;
            Ok(*left == 0)
        }
        Framing::Chunked(chunk) => take_chunks(unread, body, chunk),
    }
}

fn take_chunks(
    unread: &mut Vec<u8>,
    body: &mut Vec<u8>,
    chunk: &mut Chunk,
) -> Result<bool, Malformed> {
    loop {
        match *chunk {
            Chunk::Data(left) => {
                let now = unread.len().min(left);
                body.extend(unread.drain(..now));
                if now < left {
                    *chunk = Chunk::Data(left - now);
                    return Ok(false);
                }
                *chunk = Chunk::AfterData;
            }
            Chunk::Size => {
                let Some(line) = take_line(unread)? else {
                    return Ok(false);
                };
                *chunk = match chunk_size(&line)? {
                    0 => Chunk::Trailers,
                    size => Chunk::Data(size),
                };
            }
            Chunk::AfterData => match take_line(unread)?.as_deref() {
                None => return Ok(false),
                Some("") => *chunk = Chunk::Size,
                Some(line) => return Err(Malformed(format!("{line:?} after a chunk"))),
            },
            Chunk::Trailers => match take_line(unread)?.as_deref() {
                None => return Ok(false),
                Some("") => return Ok(true),
                Some(_) => {}
            },
        }
    }
}

fn chunk_size(line: &str) -> Result<usize, Malformed> {
    let digits = line.split(';').next().unwrap_or_default().trim();
    match usize::from_str_radix(digits, 16) {
        Ok(size) if size <= MAX_BODY => Ok(size),
        _ => Err(Malformed(format!("chunk size {line:?}"))),
    }
}

fn take_line(unread: &mut Vec<u8>) -> Result<Option<String>, Malformed> {
    let Some(end) = unread.windows(2).position(|w| w == b"\r\n") else {
        if unread.len() > MAX_HEAD {
            return Err(Malformed(format!("a line over {MAX_HEAD} bytes")));
        }
        return Ok(None);
    };
    let line: Vec<u8> = unread.drain(..end + 2).take(end).collect();
    String::from_utf8(line)
        .map(Some)
        .map_err(|_| Malformed("a chunk line that is not text".into()))
}

#[cfg(test)]
#[path = "answer_tests.rs"]
mod tests;
