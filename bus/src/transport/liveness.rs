//! How the end of a network connection is noticed. A Unix socket tells at once; over a network a machine may vanish without a
//! word, and only silence tells.
//!
//! The kernel asks instead of us: probes when nothing has come for a while, and a bound on how long what was sent may go
//! without an answer. So no frame of the protocol is spent on it, and a peer that is busy, or stopped by a debugger, is not
//! taken for one that has gone.

use std::{io, os::fd::AsFd, time::Duration};

use rustix::net::sockopt;

/// Silence after which the kernel probes.
const IDLE: Duration = Duration::from_secs(10);

/// Between two probes.
const INTERVAL: Duration = Duration::from_secs(5);

/// Unanswered probes, or unanswered data, end the connection after this long.
const GONE: Duration = Duration::from_secs(20);

/// Sets what every network connection has, on both ends: no delay for small writes, and an end when the peer is gone.
pub(crate) fn watch_over(socket: impl AsFd) -> io::Result<()> {
    let socket = socket.as_fd();
    sockopt::set_tcp_nodelay(socket, true)?;
    sockopt::set_socket_keepalive(socket, true)?;
    sockopt::set_tcp_keepidle(socket, IDLE)?;
    sockopt::set_tcp_keepintvl(socket, INTERVAL)?;
    let probes = (GONE - IDLE).as_secs() / INTERVAL.as_secs();
    sockopt::set_tcp_keepcnt(socket, u32::try_from(probes).unwrap_or(2))?;
    let gone = u32::try_from(GONE.as_millis()).unwrap_or(20_000);
    sockopt::set_tcp_user_timeout(socket, gone)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};

    use super::*;

    #[test]
    fn both_ends_notice_a_vanished_peer_within_20_s() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let socket = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        watch_over(&socket).unwrap();
        assert!(sockopt::socket_keepalive(&socket).unwrap());
        assert!(sockopt::tcp_nodelay(&socket).unwrap());
        assert_eq!(sockopt::tcp_user_timeout(&socket).unwrap(), 20_000);
        let idle = sockopt::tcp_keepidle(&socket).unwrap();
        let probes =
            sockopt::tcp_keepintvl(&socket).unwrap() * sockopt::tcp_keepcnt(&socket).unwrap();
        assert_eq!(idle + probes, Duration::from_secs(20));
    }
}
