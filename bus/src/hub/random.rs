//! What nobody can guess, from the system.

use std::io;

use rustix::{
    io::Errno,
    rand::{GetRandomFlags, getrandom},
};

/// 128 random bits.
pub(super) fn bits() -> io::Result<u128> {
    let mut bits = [0_u8; 16];
    let mut filled = 0;
    while filled < bits.len() {
        match getrandom(&mut bits[filled..], GetRandomFlags::empty()) {
            Ok(n) => filled += n,
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(u128::from_ne_bytes(bits))
}
