//! The header at the beginning of one connection: looked at, without taking a byte of it, until it is there.

use std::{
    io::IoSliceMut,
    net::{IpAddr, SocketAddr},
    os::fd::AsFd,
};

use ostler_worker_sdk::proxy_protocol::{Header, LONGEST, Malformed, parse};
use rustix::{
    io::Errno,
    net::{RecvAncillaryBuffer, RecvFlags, ReturnFlags, getpeername, recv, recvmsg},
};

use crate::sockets::foreign::brings_any;

/// What is there of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Look {
    /// All.
    Whole(Header),
    /// Not all yet.
    Part,
    /// What is none.
    Malformed(Malformed),
    /// Descriptors come with it.
    Descriptors,
    /// Nothing, and nothing comes any more.
    Gone,
}

/// Looks, and leaves everything where it is.
pub(super) fn look(connection: impl AsFd) -> Look {
    let mut bytes = [0; LONGEST];
    let into = &mut [IoSliceMut::new(&mut bytes)];
    let flags = RecvFlags::PEEK | RecvFlags::DONTWAIT;
    let come = recvmsg(
        &connection,
        into,
        &mut RecvAncillaryBuffer::default(),
        flags,
    );
    match come.map(|come| (come.bytes, come.flags)) {
        Ok((0, _)) => Look::Gone,
        // To take it would close them. Other words beside the bytes (credentials, times) say nothing here.
        Ok((_, flags)) if flags.contains(ReturnFlags::CTRUNC) && brings_any(&connection) => {
            Look::Descriptors
        }
        Ok((come, _)) => match parse(&bytes[..come]) {
            Ok(Some(header)) => Look::Whole(header),
            Ok(None) => Look::Part,
            Err(malformed) => Look::Malformed(malformed),
        },
        Err(Errno::WOULDBLOCK | Errno::INTR) => Look::Part,
        Err(_) => Look::Gone,
    }
}

/// Takes the header off; it is there in whole.
///
/// # Errors
/// If the connection has broken, or has a byte out of band: with that, a descriptor may be passed over unseen.
pub(super) fn strip(connection: impl AsFd, header: &Header) -> Result<(), Errno> {
    let mut bytes = [0; LONGEST];
    let urgent = RecvFlags::OOB | RecvFlags::PEEK | RecvFlags::DONTWAIT;
    if recv(&connection, &mut [0], urgent).is_ok() {
        return Err(Errno::BADMSG);
    }
    let mut left = header.length;
    while left > 0 {
        let into = &mut bytes[..left.min(LONGEST)];
        match recv(&connection, into, RecvFlags::DONTWAIT) {
            Ok((_, 0)) => return Err(Errno::CONNRESET),
            Ok((_, taken)) => left -= taken,
            Err(Errno::INTR) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Whose a connection with this header is: its source's, else that of whoever made it; `None` where that has no address.
pub(super) fn client(connection: impl AsFd, header: &Header) -> Option<IpAddr> {
    let source = header.source.or_else(|| peer(connection));
    source.map(|source| source.ip().to_canonical())
}

/// Who has made it.
pub(super) fn peer(connection: impl AsFd) -> Option<SocketAddr> {
    let peer = getpeername(connection).ok().flatten();
    peer.and_then(|peer| peer.try_into().ok())
}
