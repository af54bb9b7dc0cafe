//! A secret, and the three that are known at a time.

use std::{fmt, io, sync::Arc, time::Duration};

use rustix::{
    io::Errno,
    rand::{GetRandomFlags, getrandom},
};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

/// How many bytes a secret has: what Node (`setTicketKeys`) and nginx (`ssl_session_ticket_key`) take as one key.
pub const LENGTH: usize = 48;

/// What session tickets are made from. Cheap to clone; overwritten when the last clone is dropped.
#[derive(Clone, PartialEq, Eq)]
pub struct TicketSecret(Arc<Zeroizing<[u8; LENGTH]>>);

impl TicketSecret {
    /// A new one, from the system's random numbers.
    ///
    /// # Errors
    /// If the system has none.
    pub fn random() -> io::Result<Self> {
        let mut bytes = Zeroizing::new([0; LENGTH]);
        fill(&mut *bytes)?;
        Ok(Self(Arc::new(bytes)))
    }

    /// Its bytes. Keys are to be derived from them, as the feature `rustls` does.
    #[must_use]
    pub fn bytes(&self) -> &[u8; LENGTH] {
        &self.0
    }
}

impl fmt::Debug for TicketSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TicketSecret(hidden)")
    }
}

/// Fills with random numbers of the system's.
pub(super) fn fill(bytes: &mut [u8]) -> io::Result<()> {
    let mut filled = 0;
    while filled < bytes.len() {
        match getrandom(&mut bytes[filled..], GetRandomFlags::empty()) {
            Ok(count) => filled += count,
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// The secrets of a socket that are known at a time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SecretSet {
    /// How long each is the current one, in seconds.
    pub rotation_s: u32,
    /// Was the current one: its tickets still resume. At first one that nobody has ever used.
    #[serde(with = "hex")]
    pub previous: TicketSecret,
    /// Seals tickets.
    #[serde(with = "hex")]
    pub current: TicketSecret,
    /// Will be the current one.
    #[serde(with = "hex")]
    pub next: TicketSecret,
}

impl SecretSet {
    /// New ones.
    ///
    /// # Errors
    /// If the system has no random numbers.
    pub fn random(rotation: Duration) -> io::Result<Self> {
        Ok(Self {
            rotation_s: seconds(rotation),
            previous: TicketSecret::random()?,
            current: TicketSecret::random()?,
            next: TicketSecret::random()?,
        })
    }

    /// Those that follow.
    ///
    /// # Errors
    /// If the system has no random numbers.
    pub fn rotated(&self) -> io::Result<Self> {
        TicketSecret::random().map(|next| self.followed_by(next))
    }

    /// Those that follow, with this as the last.
    pub(super) fn followed_by(&self, next: TicketSecret) -> Self {
        Self {
            rotation_s: self.rotation_s,
            previous: self.current.clone(),
            current: self.next.clone(),
            next,
        }
    }

    /// The same, said to rotate after another time.
    #[must_use]
    pub fn rotating_each(self, rotation: Duration) -> Self {
        Self {
            rotation_s: seconds(rotation),
            ..self
        }
    }

    /// How long each is the current one.
    #[must_use]
    pub fn rotation(&self) -> Duration {
        Duration::from_secs(self.rotation_s.into())
    }

    /// All of them: the current one first, then the previous, then the next.
    #[must_use]
    pub fn all(&self) -> [TicketSecret; 3] {
        [&self.current, &self.previous, &self.next].map(Clone::clone)
    }
}

fn seconds(time: Duration) -> u32 {
    u32::try_from(time.as_secs()).unwrap_or(u32::MAX).max(1)
}

/// Secrets as hexadecimal digits, written and read without a copy that would stay behind.
mod hex {
    use std::{fmt, sync::Arc};

    use serde::{
        Deserializer, Serializer,
        de::{Error, Visitor},
    };
    use zeroize::Zeroizing;

    use super::{LENGTH, TicketSecret};

    struct Digits<'a>(&'a TicketSecret);

    impl fmt::Display for Digits<'_> {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            let mut bytes = self.0.bytes().iter();
            bytes.try_for_each(|byte| write!(f, "{byte:02x}"))
        }
    }

    struct Reads;

    impl Visitor<'_> for Reads {
        type Value = TicketSecret;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            write!(f, "{} hexadecimal digits", 2 * LENGTH)
        }

        fn visit_str<E: Error>(self, text: &str) -> Result<TicketSecret, E> {
            // Errors don't show what stands there.
            let wrong = || E::custom(format_args!("not {} hexadecimal digits", 2 * LENGTH));
            let (pairs, []) = text.as_bytes().as_chunks::<2>() else {
                return Err(wrong());
            };
            let mut bytes = Zeroizing::new([0; LENGTH]);
            if pairs.len() != LENGTH {
                return Err(wrong());
            }
            for (byte, pair) in bytes.iter_mut().zip(pairs) {
                let [high, low] = pair.map(|digit| char::from(digit).to_digit(16));
                let value = high.zip(low).map(|(high, low)| high << 4 | low);
                *byte = value
                    .and_then(|value| u8::try_from(value).ok())
                    .ok_or_else(wrong)?;
            }
            Ok(TicketSecret(Arc::new(bytes)))
        }
    }

    pub(super) fn serialize<S: Serializer>(
        secret: &TicketSecret,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        to.collect_str(&Digits(secret))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<TicketSecret, D::Error> {
        from.deserialize_str(Reads)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rotation_makes_the_next_current_and_keeps_one_back() {
        let first = SecretSet::random(Duration::from_secs(60)).unwrap();
        let [current, previous, next] = first.all();
        assert!(current != previous && current != next && previous != next);
        let second = first.rotated().unwrap();
        assert_eq!((&second.previous, &second.current), (&current, &next));
        let third = second.rotated().unwrap();
        assert_eq!(third.previous, next);
        assert!(
            third.all().iter().all(|secret| *secret != current),
            "forgotten"
        );
    }

    #[test]
    fn secrets_travel_as_digits_and_are_not_shown() {
        let set = SecretSet::random(Duration::from_secs(60)).unwrap();
        let text = serde_json::to_string(&set).unwrap();
        assert_eq!(serde_json::from_str::<SecretSet>(&text).unwrap(), set);
        let digits = &text[text.find("\"current\":\"").unwrap() + 11..][..2 * LENGTH];
        let byte = |at: usize| u8::from_str_radix(&digits[2 * at..][..2], 16).unwrap();
        assert_eq!(std::array::from_fn(byte), *set.current.bytes());
        let hidden = "TicketSecret(hidden)";
        let shown = format!("{set:?}");
        assert_eq!(shown.matches(hidden).count(), 3, "{shown}");
        assert_eq!(
            shown.len(),
            "SecretSet { rotation_s: 60, previous: , current: , next:  }".len() + 3 * hidden.len()
        );
    }

    #[test]
    fn what_is_no_secret_is_refused_and_not_repeated() {
        let good = "0f".repeat(LENGTH);
        for wrong in [
            "",
            "0f",
            &good[1..],
            &"0f".repeat(LENGTH + 1),
            &good.replace("0f", "0g"),
            &"é".repeat(LENGTH),
        ] {
            let text = format!(
                r#"{{"rotation_s":1,"previous":"{good}","current":"{wrong}","next":"{good}"}}"#
            );
            let error = serde_json::from_str::<SecretSet>(&text)
                .unwrap_err()
                .to_string();
            assert!(error.starts_with("not 96 hexadecimal digits"), "{error}");
        }
    }
}
