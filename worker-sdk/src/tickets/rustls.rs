//! Session tickets for rustls.
//!
//! ```text
//!  0        16       32        44
//!  ├ name ──┼ salt ──┼ nonce ──┼ sealed state, and its tag (16) ┤
//! ```
//! From a secret HKDF (SHA-256) derives the *name* by which a ticket finds its secret again (RFC 5077, 4), and for each ticket a
//! key of its own, by a random *salt*. With it the state is sealed by AES-256-GCM, under a random *nonce*. One key for all
//! would be spent after 2³² tickets with random nonces (NIST SP 800-38D, 8.3), which busy workers of one socket can seal between two rotations;
//! salt and nonce together are 224 random bits.

use std::{fmt, sync::Arc};

use ring::{
    aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey},
    error::Unspecified,
    hkdf,
};
use rustls::server::ProducesTickets;

use super::{TicketSecret, TicketSecrets, secret};

/// Bytes of a ticket's parts.
const NAME: usize = 16;
const SALT: usize = 16;
const HEAD: usize = NAME + SALT + NONCE_LEN;

/// Makes session tickets that every worker of the socket can open, for a
/// [`ServerConfig`](rustls::ServerConfig): `config.ticketer = secrets.ticketer()`.
pub struct Ticketer(TicketSecrets);

impl TicketSecrets {
    /// What makes session tickets from these secrets, of TLS 1.2 and 1.3.
    #[must_use]
    pub fn ticketer(&self) -> Arc<Ticketer> {
        Arc::new(Ticketer(self.clone()))
    }
}

impl fmt::Debug for Ticketer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Ticketer")
    }
}

impl ProducesTickets for Ticketer {
    fn enabled(&self) -> bool {
        true
    }

    /// After two rotations nobody opens it any more.
    fn lifetime(&self) -> u32 {
        let two = 2 * self.0.rotation().as_secs();
        u32::try_from(two).unwrap_or(u32::MAX)
    }

    fn encrypt(&self, plain: &[u8]) -> Option<Vec<u8>> {
        seal(&self.0.current(), plain).ok()
    }

    fn decrypt(&self, ticket: &[u8]) -> Option<Vec<u8>> {
        let mut secrets = self.0.all().into_iter();
        secrets.find_map(|secret| open(&secret, ticket))
    }
}

fn seal(secret: &TicketSecret, plain: &[u8]) -> Result<Vec<u8>, Unspecified> {
    let keys = Keys::of(secret);
    let mut head = [0; HEAD];
    head[..NAME].copy_from_slice(&keys.name()?);
    secret::fill(&mut head[NAME..]).map_err(|_| Unspecified)?;
    let (key, nonce) = keys.of_ticket(&head)?;
    let mut ticket = Vec::with_capacity(HEAD + plain.len() + AES_256_GCM.tag_len());
    ticket.extend(head);
    ticket.extend(plain);
    let tag = key.seal_in_place_separate_tag(nonce, Aad::from(head), &mut ticket[HEAD..])?;
    ticket.extend(tag.as_ref());
    Ok(ticket)
}

/// What a ticket of this secret says; `None` if it is not, or was changed.
fn open(secret: &TicketSecret, ticket: &[u8]) -> Option<Vec<u8>> {
    let (head, sealed) = ticket.split_first_chunk::<HEAD>()?;
    let keys = Keys::of(secret);
    if head[..NAME] != keys.name().ok()? {
        return None;
    }
    let (key, nonce) = keys.of_ticket(head).ok()?;
    let mut sealed = sealed.to_vec();
    let length = key
        .open_in_place(nonce, Aad::from(*head), &mut sealed)
        .ok()?
        .len();
    sealed.truncate(length);
    Some(sealed)
}

/// What is derived from a secret.
struct Keys(hkdf::Prk);

impl Keys {
    fn of(secret: &TicketSecret) -> Self {
        let salt = hkdf::Salt::new(hkdf::HKDF_SHA256, b"ostler session tickets 1");
        Self(salt.extract(secret.bytes()))
    }

    fn name(&self) -> Result<[u8; NAME], Unspecified> {
        let mut name = [0; NAME];
        self.0.expand(&[b"name"], Name)?.fill(&mut name)?;
        Ok(name)
    }

    fn of_ticket(&self, head: &[u8; HEAD]) -> Result<(LessSafeKey, Nonce), Unspecified> {
        let (salt, nonce) = head[NAME..].split_at(SALT);
        let key = UnboundKey::from(self.0.expand(&[b"key", salt], &AES_256_GCM)?);
        let nonce = Nonce::try_assume_unique_for_key(nonce)?;
        Ok((LessSafeKey::new(key), nonce))
    }
}

/// As long as a name.
struct Name;

impl hkdf::KeyType for Name {
    fn len(&self) -> usize {
        NAME
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::HashSet, time::Duration};

    use tokio::sync::watch;

    use super::{super::SecretSet, *};

    fn secrets() -> watch::Sender<SecretSet> {
        watch::Sender::new(SecretSet::random(Duration::from_secs(3600)).unwrap())
    }

    fn worker(secrets: &watch::Sender<SecretSet>) -> Arc<Ticketer> {
        TicketSecrets::of_master(secrets.subscribe()).ticketer()
    }

    #[test]
    fn a_ticket_opens_at_every_worker_of_its_socket_and_at_no_other() {
        let (one, other) = (secrets(), secrets());
        let ticket = worker(&one).encrypt(b"state").unwrap();
        assert_eq!(worker(&one).decrypt(&ticket).unwrap(), b"state");
        assert_eq!(worker(&other).decrypt(&ticket), None);
        assert_eq!(worker(&one).lifetime(), 7200);
    }

    #[test]
    fn a_ticket_outlives_one_rotation_and_not_two() {
        let secrets = secrets();
        let before = worker(&secrets).encrypt(b"state").unwrap();
        secrets.send_modify(|set| *set = set.rotated().unwrap());
        assert_eq!(worker(&secrets).decrypt(&before).unwrap(), b"state");
        let between = worker(&secrets).encrypt(b"later").unwrap();
        secrets.send_modify(|set| *set = set.rotated().unwrap());
        assert_eq!(worker(&secrets).decrypt(&before), None);
        assert_eq!(worker(&secrets).decrypt(&between).unwrap(), b"later");
    }

    #[test]
    fn who_hears_of_a_rotation_late_opens_what_others_seal() {
        let (late, early) = (secrets(), secrets());
        let now = late.borrow().clone();
        early.send_replace(now.rotated().unwrap());
        let of_early = worker(&early).encrypt(b"new").unwrap();
        assert_eq!(worker(&late).decrypt(&of_early).unwrap(), b"new");
        let of_late = worker(&late).encrypt(b"old").unwrap();
        assert_eq!(worker(&early).decrypt(&of_late).unwrap(), b"old");
    }

    #[test]
    fn what_was_changed_or_cut_does_not_open() {
        let secrets = secrets();
        let worker = worker(&secrets);
        let ticket = worker.encrypt(b"state").unwrap();
        for at in 0..ticket.len() {
            let mut changed = ticket.clone();
            changed[at] ^= 1;
            assert_eq!(worker.decrypt(&changed), None, "byte {at}");
            assert_eq!(worker.decrypt(&ticket[..at]), None, "the first {at}");
        }
        assert_eq!(worker.decrypt(&[&ticket[..], b"x"].concat()), None);
    }

    #[test]
    fn no_two_tickets_have_salt_and_nonce_in_common_and_all_of_a_secret_its_name() {
        let secrets = secrets();
        let worker = worker(&secrets);
        let tickets: Vec<_> = (0..100).map(|_| worker.encrypt(b"").unwrap()).collect();
        let distinct = |part: std::ops::Range<usize>| {
            let parts: HashSet<_> = tickets.iter().map(|ticket| &ticket[part.clone()]).collect();
            parts.len()
        };
        assert_eq!(distinct(0..NAME), 1);
        assert_eq!(distinct(NAME..NAME + SALT), 100);
        assert_eq!(distinct(NAME + SALT..HEAD), 100);
    }

    /// Workers of two versions may serve at a time: a ticket that another program made as it stands above.
    #[test]
    fn a_ticket_is_made_as_written() {
        let zero = "00".repeat(secret::LENGTH);
        let text =
            format!(r#"{{"rotation_s":1,"previous":"{zero}","current":"{zero}","next":"{zero}"}}"#);
        let set: SecretSet = serde_json::from_str(&text).unwrap();
        let byte =
            |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
        let ticket: Vec<u8> = TICKET.as_bytes().chunks(2).map(byte).collect();
        assert_eq!(open(&set.current, &ticket).unwrap(), b"state");
    }

    /// Of "state", with a secret of zeros, and a salt and nonce that count from 0.
    const TICKET: &str = "c59acf67ac7b829cf2940d7a4265579e000102030405060708090a0b0c0d0e0f\
        101112131415161718191a1b\
        bede4a85258940a4feae060ff46084964148fb24db";
}
