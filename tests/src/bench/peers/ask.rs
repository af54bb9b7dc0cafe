//! How long an answer takes: a request of a hub's, a command of Redis's, and bytes there and back again.

use std::{
    io::{Read, Write},
    os::unix::net::UnixListener,
    time::Instant,
};

use bytes::BytesMut;
use ostler_bus::{
    Request, TypeSchema,
    vocab::status::MasterStatus,
    wire::{
        FrameType, HEADER_BYTES, codec,
        control::{ClientControl, ClientOp},
        data::{self, Payload, READERS_TYPE},
        frame,
        hello::Codec,
    },
};

use super::{
    latency::{Latency, now},
    line::{Address, Line},
    wire::{Wire, ostler},
};
use crate::bench::roles::end_with_stdin;

/// Requests under way at once, where it is their rate that is measured.
pub const IN_FLIGHT: usize = 64;

/// The index under which the question's type is announced.
const QUESTION: u32 = 1;

/// Somebody who asks one and the same thing again and again.
#[derive(Debug)]
pub struct Asker {
    line: Line,
    question: Vec<u8>,
    /// Bytes of the answer, if all are of one size; a hub's are frames.
    answer: Option<usize>,
}

impl Asker {
    /// Asks a master for its status.
    ///
    /// # Errors
    /// If it can't be reached.
    pub fn status(hub: &Address) -> Result<Self, String> {
        let mut line = Wire::Ostler.connect(hub, true)?;
        let op = ClientOp::Announce {
            index: QUESTION,
            topic: String::new(),
            schema: TypeSchema::of::<MasterStatus>().encoded().to_vec(),
        };
        let announcement = ClientControl { r#ref: 1, op };
        let body = codec::encode(Codec::Postcard, &announcement).map_err(|e| e.to_string())?;
        line.write(&ostler::framed(FrameType::Control, &body))?;
        ostler::frame(&mut line)?;
        let mut question = BytesMut::new();
        let at = frame::begin(&mut question, FrameType::Request, 0);
        let (kind, topic) = (
            Payload::Postcard(QUESTION),
            <MasterStatus as Request>::TOPIC,
        );
        data::put_request(&mut question, kind, topic, 2, READERS_TYPE, 5000);
        let asked = MasterStatus::default();
        question.extend(codec::encode(Codec::Postcard, &asked).map_err(|e| e.to_string())?);
        frame::end(&mut question, at);
        Ok(Self {
            line,
            question: question.to_vec(),
            answer: None,
        })
    }

    /// Asks Redis for a value of so many bytes.
    ///
    /// # Errors
    /// If it can't be reached.
    pub fn redis(at: &Address, value: usize) -> Result<Self, String> {
        let mut line = Line::connect(at)?;
        let set = format!("SET k {}\r\n", "x".repeat(value));
        line.write(set.as_bytes())?;
        line.expect("+OK")?;
        Ok(Self {
            line,
            question: b"*2\r\n$3\r\nGET\r\n$1\r\nk\r\n".to_vec(),
            answer: Some(format!("${value}\r\n").len() + value + 2),
        })
    }

    /// Sends so many bytes to [`echo`], which answers with so many.
    ///
    /// # Errors
    /// If it can't be reached.
    pub fn raw(at: &Address, question: usize, answer: usize) -> Result<Self, String> {
        Ok(Self {
            line: Line::connect(at)?,
            question: vec![b'x'; question],
            answer: Some(answer),
        })
    }

    /// Bytes of the question, and of the answer it gets just now.
    ///
    /// # Errors
    /// If there is none.
    pub fn sizes(&mut self) -> Result<(usize, usize), String> {
        self.line.write(&self.question)?;
        let answer = match self.answer {
            Some(size) => self
                .line
                .until(|came| Ok((came.len() >= size).then_some((size, size))))?,
            None => loop {
                let (kind, body) = ostler::frame(&mut self.line)?;
                if kind == FrameType::Answer as u8 {
                    break HEADER_BYTES + body.len();
                }
            },
        };
        Ok((self.question.len(), answer))
    }

    /// One question after the other: how long each answer took.
    ///
    /// # Errors
    /// If one stays away.
    pub fn one_by_one(&mut self, count: usize) -> Result<Latency, String> {
        let mut took = Vec::with_capacity(count);
        let mut buffer = vec![0; 64 << 10];
        for _ in 0..count {
            let began = now();
            self.line.write(&self.question)?;
            self.answers(&mut buffer, 1, |_| Ok(()))?;
            took.push(now() - began);
        }
        Latency::of(took)
    }

    /// So many questions, [`IN_FLIGHT`] at once: answers a second.
    ///
    /// # Errors
    /// If one stays away.
    pub fn many(&mut self, count: usize) -> Result<f64, String> {
        let began = Instant::now();
        let first = self.question.repeat(IN_FLIGHT);
        self.line.write(&first)?;
        let (mut asked, mut writer) = (IN_FLIGHT, self.line.again()?);
        let question = self.question.clone();
        let mut buffer = vec![0; 64 << 10];
        self.answers(&mut buffer, count, |came| {
            let more = came.min(count - asked);
            asked += more;
            if more == 0 {
                return Ok(());
            }
            writer.write(&question.repeat(more))
        })?;
        Ok(count as f64 / began.elapsed().as_secs_f64())
    }

    /// Reads so many answers; after each reading `came` is told how many came.
    fn answers(
        &mut self,
        buffer: &mut [u8],
        count: usize,
        mut came: impl FnMut(usize) -> Result<(), String>,
    ) -> Result<(), String> {
        let (mut filled, mut got) = (0, 0);
        while got < count {
            filled += self.line.read(&mut buffer[filled..])?;
            let (mut at, mut now) = (0, 0);
            while let Some(size) = self.size(&buffer[at..filled])? {
                now +=
                    usize::from(buffer[at + 4] == FrameType::Answer as u8 || self.answer.is_some());
                at += size;
            }
            buffer.copy_within(at..filled, 0);
            filled -= at;
            got += now;
            came(now)?;
        }
        Ok(())
    }

    /// The size of what `bytes` begin with, if all of it is there.
    fn size(&self, bytes: &[u8]) -> Result<Option<usize>, String> {
        let size = match self.answer {
            Some(size) => Some(size),
            None => frame::peek(bytes, bytes.len().max(1 << 20)).map_err(|e| e.to_string())?,
        };
        Ok(size.filter(|size| bytes.len() >= *size))
    }
}

/// A role: on a socket, answers each so many bytes with so many.
pub(super) fn echo(args: &[String]) -> Result<(), String> {
    let [socket, question, answer] = args else {
        return Err("usage: SOCKET QUESTION ANSWER".into());
    };
    end_with_stdin();
    let number = |text: &String| text.parse::<usize>().map_err(|e| e.to_string());
    let (question, answer) = (number(question)?, number(answer)?);
    let listener = UnixListener::bind(socket).map_err(|e| e.to_string())?;
    println!("listening");
    let (mut stream, _) = listener.accept().map_err(|e| e.to_string())?;
    let (mut buffer, mut filled) = (vec![0; 64 << 10], 0);
    let answer = vec![b'x'; answer];
    loop {
        filled += match stream.read(&mut buffer).map_err(|e| e.to_string())? {
            0 => return Ok(()),
            read => read,
        };
        let count = filled / question;
        filled %= question;
        stream
            .write_all(&answer.repeat(count))
            .map_err(|e| e.to_string())?;
    }
}
