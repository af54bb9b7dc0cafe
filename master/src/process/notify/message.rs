//! What a worker says in the sd_notify protocol: lines of `NAME=VALUE`, several to a datagram. Whatever is not
//! understood is passed over, as the protocol wants it.

use std::time::Duration;

use crate::process::clip::clip;

/// A status longer than this is cut: it is shown in tables.
const STATUS_BYTES: usize = 256;

/// One thing that a worker has said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notification {
    /// `READY=1`: ready to serve.
    Ready,
    /// `STOPPING=1`: it is going of its own accord.
    Stopping,
    /// `RELOADING=1`: it reads its configuration again. It stays ready all the same.
    Reloading,
    /// `STATUS=…`: what it does, in words, at most 256 bytes.
    Status(String),
    /// `WATCHDOG=1`: it is alive.
    Watchdog,
    /// `WATCHDOG=trigger`: it finds itself broken.
    WatchdogTrigger,
    /// `EXTEND_TIMEOUT_USEC=…`: it needs this much longer for what it is doing.
    ExtendTimeout(Duration),
    /// `MAINPID=…`: this process is the worker from now on.
    MainPid(u32),
    /// `BARRIER=1`: it waits until all before this has been taken note of. Its descriptor was closed on receipt.
    Barrier,
}

/// Everything understood in a datagram, in order.
#[must_use]
pub fn parse_notifications(datagram: &[u8]) -> Vec<Notification> {
    datagram
        .split(|&byte| byte == b'\n')
        .filter_map(parse)
        .collect()
}

fn parse(line: &[u8]) -> Option<Notification> {
    let at = line.iter().position(|&byte| byte == b'=')?;
    let (name, value) = (&line[..at], &line[at + 1..]);
    match (name, value) {
        (b"READY", b"1") => Some(Notification::Ready),
        (b"STOPPING", b"1") => Some(Notification::Stopping),
        (b"RELOADING", b"1") => Some(Notification::Reloading),
        (b"WATCHDOG", b"1") => Some(Notification::Watchdog),
        (b"WATCHDOG", b"trigger") => Some(Notification::WatchdogTrigger),
        (b"BARRIER", b"1") => Some(Notification::Barrier),
        (b"STATUS", text) => Some(Notification::Status(status(text))),
        (b"EXTEND_TIMEOUT_USEC", number) => Some(Notification::ExtendTimeout(
            Duration::from_micros(decimal(number)?),
        )),
        (b"MAINPID", number) => match u32::try_from(decimal(number)?) {
            Ok(pid @ 1..) => Some(Notification::MainPid(pid)),
            Ok(_) | Err(_) => None,
        },
        _ => None,
    }
}

fn status(text: &[u8]) -> String {
    let text = String::from_utf8_lossy(text);
    clip(&text, STATUS_BYTES).to_owned()
}

fn decimal(bytes: &[u8]) -> Option<u64> {
    // `parse` would take a sign.
    let digits = bytes.iter().all(u8::is_ascii_digit);
    digits
        .then(|| std::str::from_utf8(bytes).ok()?.parse().ok())
        .flatten()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn several_in_one_datagram_in_order() {
        let said = parse_notifications(
            b"READY=1\nSTATUS=Serving 3 requests\nMAINPID=4711\nEXTEND_TIMEOUT_USEC=1500000\n",
        );
        assert_eq!(
            said,
            [
                Notification::Ready,
                Notification::Status("Serving 3 requests".into()),
                Notification::MainPid(4711),
                Notification::ExtendTimeout(Duration::from_millis(1500)),
            ]
        );
    }

    #[test]
    fn every_word_of_the_protocol_that_we_know() {
        let said = parse_notifications(
            b"STOPPING=1\nRELOADING=1\nWATCHDOG=1\nWATCHDOG=trigger\nBARRIER=1",
        );
        assert_eq!(
            said,
            [
                Notification::Stopping,
                Notification::Reloading,
                Notification::Watchdog,
                Notification::WatchdogTrigger,
                Notification::Barrier,
            ]
        );
    }

    #[test]
    fn what_is_not_understood_is_passed_over() {
        let garbage: [&[u8]; 10] = [
            b"",
            b"\n\n",
            b"READY",
            b"READY=0",
            b"ready=1",
            b" READY=1",
            b"MAINPID=0",
            b"MAINPID=-3",
            b"MAINPID=99999999999999999999999",
            b"X_OTHER=1\nEXTEND_TIMEOUT_USEC=+5\nFDSTORE=1",
        ];
        for datagram in garbage {
            assert_eq!(parse_notifications(datagram), [], "{datagram:?}");
        }
        assert_eq!(
            parse_notifications(b"\xff\xfe=1\nREADY=1"),
            [Notification::Ready]
        );
    }

    #[test]
    fn a_status_is_bounded_and_stays_text() {
        let said =
            parse_notifications(&[b"STATUS=".as_slice(), "é".repeat(500).as_bytes()].concat());
        let [Notification::Status(text)] = said.as_slice() else {
            panic!("one status, not {said:?}");
        };
        assert_eq!(text.len(), STATUS_BYTES);
    }

    proptest! {
        #[test]
        fn any_bytes_are_taken(datagram in prop::collection::vec(any::<u8>(), 0..5000)) {
            let lines = datagram.split(|&byte| byte == b'\n').count();
            prop_assert!(parse_notifications(&datagram).len() <= lines);
        }

        #[test]
        fn garbage_before_and_after_hides_nothing(
            before in "[^\n]{0,40}", after in "[^\n]{0,40}"
        ) {
            let datagram = format!("#{before}\nREADY=1\n#{after}");
            prop_assert_eq!(parse_notifications(datagram.as_bytes()), [Notification::Ready]);
        }
    }
}
