//! Whole headers, each of their beginnings, and what is none.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddrV4, SocketAddrV6};

use proptest::{collection::vec, prelude::*};

use super::*;

const DATA: &[u8] = b"GET / HTTP/1.1\r\n\r\n";

fn v2(kind: [u8; 2], rest: &[u8]) -> Vec<u8> {
    let length = u16::try_from(rest.len()).expect("fits");
    [&binary::SIGNATURE, &kind[..], &length.to_be_bytes(), rest].concat()
}

fn body(source: SocketAddr, destination: SocketAddr) -> Vec<u8> {
    let ip = |address: SocketAddr| match address.ip() {
        IpAddr::V4(ip) => ip.octets().to_vec(),
        IpAddr::V6(ip) => ip.octets().to_vec(),
    };
    let ports = [source, destination].map(|address| address.port().to_be_bytes());
    [ip(source), ip(destination), ports.concat()].concat()
}

/// What comes of these bytes with data behind them, however they are cut; all of them are the header.
fn whole(bytes: &[u8]) -> Header {
    for cut in 0..bytes.len() {
        let early = parse(&bytes[..cut]);
        assert_eq!(early, Ok(None), "{:?}", &bytes[..cut].escape_ascii());
    }
    let header = parse(bytes).expect("a header").expect("a whole one");
    assert_eq!(header.length, bytes.len());
    assert_eq!(parse(&[bytes, DATA].concat()), Ok(Some(header)));
    assert_eq!(header.source.is_some(), header.destination.is_some());
    header
}

/// Why not; and it is told once it can be known, and not before all of `sound` has come.
fn not(bytes: &[u8], sound: usize) -> Malformed {
    for cut in 0..=sound {
        assert_eq!(parse(&bytes[..cut]), Ok(None), "{cut}");
    }
    let told = parse(&bytes[..=sound]).expect_err("no header");
    for cut in sound + 1..=bytes.len() {
        assert_eq!(parse(&bytes[..cut]), Err(told), "{cut}");
    }
    told
}

fn source(bytes: &[u8]) -> Option<String> {
    whole(bytes).source.map(|source| source.to_string())
}

#[test]
fn lines_are_read() {
    let lines = [
        (
            "PROXY TCP4 192.168.0.1 192.168.0.11 56324 443",
            Some("192.168.0.1:56324"),
        ),
        (
            "PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535",
            Some("255.255.255.255:65535"),
        ),
        ("PROXY TCP4 0.0.0.0 0.0.0.0 0 0", Some("0.0.0.0:0")),
        ("PROXY TCP6 2001:db8::1 ::1 5 6", Some("[2001:db8::1]:5")),
        (
            "PROXY TCP6 ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff FFFF:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535",
            Some("[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535"),
        ),
        ("PROXY UNKNOWN", None),
        ("PROXY UNKNOWN 1.2.3.4 anything at all", None),
        (
            "PROXY UNKNOWN ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535",
            None,
        ),
    ];
    for (line, client) in lines {
        let line = format!("{line}\r\n");
        assert!(line.len() <= 107);
        assert_eq!(source(line.as_bytes()).as_deref(), client, "{line}");
    }
}

#[test]
fn lines_that_are_none_are_told() {
    for line in [
        "TCP4 1.2.3.4 5.6.7.8 1",
        "TCP4 1.2.3.4 5.6.7.8 1 2 3",
        "TCP4 1.2.3.4 5.6.7.8 1 2 ",
        "TCP4  1.2.3.4 5.6.7.8 1 2",
        "TCP4 1.2.3.4 5.6.7.8 1 65536",
        "TCP4 1.2.3.4 5.6.7.8 01 2",
        "TCP4 1.2.3.4 5.6.7.8 +1 2",
        "TCP4 1.2.3.4 5.6.7.8 -1 2",
        "TCP4 1.2.3.4 5.6.7.8  2",
        "TCP4 1.2.3.04 5.6.7.8 1 2",
        "TCP4 1.2.3.256 5.6.7.8 1 2",
        "TCP4 1.2.3 5.6.7.8 1 2",
        "TCP4 ::1 ::1 1 2",
        "TCP6 1.2.3.4 5.6.7.8 1 2",
        "TCP6 fe80::1%1 ::1 1 2",
        "TCP6 1:2:3:4:5:6:7 ::1 1 2",
        "TCP6 12345::1 ::1 1 2",
        "UDP4 1.2.3.4 5.6.7.8 1 2",
        "tcp4 1.2.3.4 5.6.7.8 1 2",
        "UNKNOWNS",
        "TCP4",
        "",
        " TCP4 1.2.3.4 5.6.7.8 1 2",
        "TCP4 1.2.3.4\u{e9} 5.6.7.8 1 2",
    ] {
        let line = format!("PROXY {line}\r\n");
        assert_eq!(not(line.as_bytes(), line.len() - 1), Malformed::BadLine);
    }
    let garbled = b"PROXY TCP4 \xff\xfe 5.6.7.8 1 2\r\n";
    assert_eq!(not(garbled, garbled.len() - 1), Malformed::BadLine);
}

#[test]
fn lines_without_their_end_are_told() {
    let long = |length: usize, end: &str| {
        let fill = length - end.len();
        format!("{:x<fill$}{end}", "PROXY UNKNOWN ")
    };
    assert_eq!(source(long(107, "\r\n").as_bytes()), None);
    assert_eq!(not(long(108, "\r\n").as_bytes(), 106), Malformed::BadEnd);
    assert_eq!(not(long(300, "").as_bytes(), 106), Malformed::BadEnd);
    let line = "PROXY TCP4 1.2.3.4 5.6.7.8 1 2";
    for end in ["\n", "\rx", "\r\r\n"] {
        let at = line.len() + end.find('\n').unwrap_or(end.len() - 1).min(1);
        let bytes = format!("{line}{end}");
        assert_eq!(not(bytes.as_bytes(), at), Malformed::BadEnd, "{end:?}");
    }
}

#[test]
fn what_begins_otherwise_is_told_at_once() {
    for (bytes, sound) in [
        (&b"GET / HTTP/1.1\r\n"[..], 0),
        (b"\x16\x03\x01\x02\x00", 0),
        (b"\0", 0),
        (b"proxy TCP4", 0),
        (b"POST / HTTP/1.1\r\n", 1),
        (b"PROXY\r\n", 5),
        (b"PROXYTCP4", 5),
        (b"PROXY\tTCP4", 5),
        (b"\r\n\r\nGET /", 4),
        (b"\r\n\r\n\0\r\nQUIX\n", 10),
    ] {
        assert_eq!(not(bytes, sound), Malformed::NoHeader);
    }
}

#[test]
fn bytes_are_read() {
    let v4 = body("1.2.3.4:5".parse().unwrap(), "6.7.8.9:10".parse().unwrap());
    let v6 = body("[1::2]:3".parse().unwrap(), "[4::5]:6".parse().unwrap());
    let unix = [0x2f; 216];
    let tlv = [4, 0, 3, 1, 2, 3, 0xe0, 0, 0];
    let all: [(&[u8], [u8; 2], Option<&str>); 15] = [
        (&v4, [0x21, 0x11], Some("1.2.3.4:5")),
        (&v4, [0x21, 0x12], Some("1.2.3.4:5")),
        (&v6, [0x21, 0x21], Some("[1::2]:3")),
        (&v6, [0x21, 0x22], Some("[1::2]:3")),
        (&unix, [0x21, 0x31], None),
        (&unix, [0x21, 0x32], None),
        (&[], [0x21, 0x00], None),
        (&v4, [0x21, 0x00], None),
        (&v4, [0x21, 0x10], None),
        (&v4, [0x21, 0x01], None),
        (&[], [0x20, 0x00], None),
        // The proxy's own connection, whatever it says.
        (&v4, [0x20, 0x11], None),
        (&[], [0x20, 0x11], None),
        (&[], [0x20, 0xff], None),
        (&[], [0x20, 0x31], None),
    ];
    for (rest, kind, client) in all {
        for tlvs in [&[][..], &tlv, &[0; 1000]] {
            let bytes = v2(kind, &[rest, tlvs].concat());
            assert_eq!(source(&bytes).as_deref(), client, "{kind:?}");
        }
    }
    let header = whole(&v2([0x21, 0x21], &v6));
    assert_eq!(header.destination, Some("[4::5]:6".parse().unwrap()));
}

#[test]
fn bytes_that_are_no_header_are_told() {
    let v4 = [7; 12];
    for (kind, sound) in [
        ([0x11, 0x11], 12),
        ([0x31, 0x11], 12),
        ([0x22, 0x11], 12),
        ([0x2f, 0x11], 12),
        ([0x00, 0x00], 12),
        ([0x21, 0x41], 13),
        ([0x21, 0xf0], 13),
        ([0x21, 0x13], 13),
        ([0x21, 0x0f], 13),
    ] {
        assert_eq!(not(&v2(kind, &v4), sound), Malformed::BadKind, "{kind:?}");
    }
    for (family, least) in [(0x11, 12), (0x12, 12), (0x21, 36), (0x31, 216)] {
        let bytes = v2([0x21, family], &vec![0; least - 1]);
        assert_eq!(not(&bytes, 15), Malformed::TooShort);
        assert!(parse(&v2([0x21, family], &vec![0; least])).is_ok());
    }
    let longest = LONGEST - 16;
    assert_eq!(whole(&v2([0x21, 0x11], &vec![0; longest])).length, LONGEST);
    let bytes = v2([0x21, 0x11], &vec![0; longest + 1]);
    assert_eq!(not(&bytes, 15), Malformed::TooLong);
}

fn address() -> impl Strategy<Value = SocketAddr> {
    prop_oneof![
        any::<(u32, u16)>()
            .prop_map(|(ip, port)| SocketAddrV4::new(Ipv4Addr::from(ip), port).into()),
        any::<(u128, u16)>().prop_map(|(ip, port)| SocketAddrV6::new(
            Ipv6Addr::from(ip),
            port,
            0,
            0
        )
        .into()),
    ]
}

fn same_family() -> impl Strategy<Value = (SocketAddr, SocketAddr)> {
    (address(), address()).prop_filter("of one family", |(a, b)| a.is_ipv4() == b.is_ipv4())
}

/// What looks like a header to a greater or lesser part.
fn nearly() -> impl Strategy<Value = Vec<u8>> {
    let start = prop_oneof![
        Just(b"PROXY ".to_vec()),
        Just(b"PROXY TCP4 1.2.3.4 ".to_vec()),
        Just(b"PROXY TCP6 ::1 ".to_vec()),
        Just(b"PROXY UNKNOWN".to_vec()),
        Just(binary::SIGNATURE.to_vec()),
        Just([&binary::SIGNATURE[..], &[0x21]].concat()),
        Just([&binary::SIGNATURE[..], &[0x21, 0x11, 0]].concat()),
        Just(Vec::new()),
    ];
    let rest = prop_oneof![
        vec(any::<u8>(), 0..300),
        vec(prop::sample::select(b" .:0159afTCPU\r\n".to_vec()), 0..120),
    ];
    (start, rest).prop_map(|(start, rest)| [start, rest].concat())
}

proptest! {
    #[test]
    fn what_is_written_is_read_in_both_versions((from, to) in same_family(), data in vec(any::<u8>(), 0..64)) {
        let family = if from.is_ipv4() { 4 } else { 6 };
        let line = format!(
            "PROXY TCP{family} {} {} {} {}\r\n",
            from.ip(), to.ip(), from.port(), to.port()
        );
        let kind = if from.is_ipv4() { 0x11 } else { 0x21 };
        for bytes in [line.into_bytes(), v2([0x21, kind], &body(from, to))] {
            let header = whole(&bytes);
            prop_assert_eq!((header.source, header.destination), (Some(from), Some(to)));
            let behind = [&bytes[..], &data].concat();
            prop_assert_eq!(parse(&behind), Ok(Some(header)));
        }
    }

    /// It panics at nothing, and never thinks better of what it has said: more bytes change nothing but `None`.
    #[test]
    fn whatever_comes_is_judged_once(bytes in nearly()) {
        let mut verdict = Ok(None);
        for cut in 0..=bytes.len() {
            let now = parse(&bytes[..cut]);
            prop_assert!(verdict == Ok(None) || verdict == now, "{:?} then {:?}", verdict, now);
            if let Ok(Some(header)) = now {
                prop_assert!(header.length <= cut && header.length <= LONGEST);
            }
            verdict = now;
        }
        // Text at least is decided soon.
        if bytes.len() >= 107 && bytes.first() != Some(&b'\r') {
            prop_assert_ne!(verdict, Ok(None));
        }
    }
}
