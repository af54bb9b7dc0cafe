use super::{Answer, End, Malformed, Reader};

/// Feeds `bytes` in pieces of `step`.
fn read(bytes: &[u8], step: usize) -> Result<Option<Answer>, Malformed> {
    let mut reader = Reader::new();
    let mut answer = None;
    for piece in bytes.chunks(step) {
        answer = reader.push(piece)?;
    }
    Ok(answer)
}

/// However the bytes are cut, the answer is the same.
fn in_all_cuts(bytes: &str) -> Result<Option<Answer>, Malformed> {
    let whole = read(bytes.as_bytes(), bytes.len());
    for step in 1..bytes.len() {
        assert_eq!(read(bytes.as_bytes(), step), whole, "in pieces of {step}");
    }
    whole
}

#[test]
fn a_body_by_length() {
    let answer = in_all_cuts("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello").unwrap();
    let answer = answer.expect("complete");
    assert_eq!((answer.status, answer.text()), (200, "hello".into()));
    assert!(answer.keep_alive);
}

#[test]
fn a_body_in_chunks_with_extension_and_trailer() {
    let answer = in_all_cuts(
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n6;x=y\r\n world\r\n0\r\nA: b\r\n\r\n",
    );
    assert_eq!(answer.unwrap().expect("complete").text(), "hello world");
}

#[test]
fn a_body_until_close_ends_with_the_stream_only() {
    let mut reader = Reader::new();
    assert_eq!(reader.push(b"HTTP/1.0 200 OK\r\n\r\nhel"), Ok(None));
    assert_eq!(reader.push(b"lo"), Ok(None));
    let End::Complete(answer) = reader.end() else {
        panic!("complete");
    };
    assert_eq!(answer.text(), "hello");
    assert!(!answer.keep_alive);
}

#[test]
fn an_end_inside_a_head_a_length_or_a_chunk_is_early() {
    for part in [
        "",
        "HTTP/1.1 200",
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhell",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n",
    ] {
        let mut reader = Reader::new();
        assert_eq!(reader.push(part.as_bytes()), Ok(None), "{part:?}");
        assert_eq!(reader.taken(), part.len());
        assert_eq!(reader.end(), End::Early, "{part:?}");
    }
}

#[test]
fn interim_answers_are_passed_over_and_204_has_no_body() {
    let answer = in_all_cuts("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n");
    assert_eq!(answer.unwrap().expect("complete").status, 204);
}

#[test]
fn persistence_follows_version_and_header() {
    let keeps = |head: &str| {
        let bytes = format!("{head}\r\nContent-Length: 0\r\n\r\n");
        in_all_cuts(&bytes).unwrap().expect("complete").keep_alive
    };
    assert!(keeps("HTTP/1.1 200 OK"));
    assert!(!keeps("HTTP/1.1 200 OK\r\nConnection: Foo, Close"));
    assert!(!keeps("HTTP/1.0 200 OK"));
    assert!(keeps("HTTP/1.0 200 OK\r\nConnection: keep-alive"));
}

#[test]
fn what_is_not_an_answer_is_told() {
    for bytes in [
        "SSH-2.0-x\r\n",
        "HTTP/2.0 200 OK\r\n\r\n",
        "HTTP/1.1 20 OK\r\n\r\n",
        "HTTP/1.1 200 OK\r\nnonsense\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nab\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nab",
    ] {
        assert!(read(bytes.as_bytes(), bytes.len()).is_err(), "{bytes:?}");
    }
}
