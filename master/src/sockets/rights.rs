//! What the master binds for a worker that runs as another user: nothing that the worker could not bind by itself.

use super::Problem;
use crate::config::app::SocketAddress;

/// The first port that every user may bind, where the system doesn't say otherwise.
const FIRST_FREE: u16 = 1024;

/// Whether a worker of this user (`None`: the master's own) may have an address bound for it. For a user of the master's own the
/// kernel decides, when it is bound.
///
/// # Errors
/// [`Problem::Denied`] or [`Problem::PrivilegedPort`].
pub fn may_bind(user: Option<u32>, address: &SocketAddress) -> Result<(), Problem> {
    let own = rustix::process::geteuid().as_raw();
    if user.is_none_or(|user| user == own || user == 0) {
        return Ok(());
    }
    match address {
        SocketAddress::Tcp(ip) | SocketAddress::Udp(ip) => {
            match ip.port() == 0 || ip.port() >= first_free() {
                true => Ok(()),
                false => Err(Problem::PrivilegedPort),
            }
        }
        // Files are made, and stale ones removed, with the master's rights.
        SocketAddress::Unix(_) | SocketAddress::Starter(_) => Err(Problem::Denied),
    }
}

fn first_free() -> u16 {
    std::fs::read_to_string("/proc/sys/net/ipv4/ip_unprivileged_port_start")
        .ok()
        .and_then(|text| text.trim().parse().ok())
        .unwrap_or(FIRST_FREE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_user_gets_nothing_that_it_could_not_bind_itself() {
        let own = rustix::process::geteuid().as_raw();
        let low = SocketAddress::Tcp(([127, 0, 0, 1], first_free().saturating_sub(1)).into());
        let any = SocketAddress::Udp(([127, 0, 0, 1], 0).into());
        let path = SocketAddress::Unix("/run/x".into());
        for address in [&low, &any, &path] {
            assert!(may_bind(None, address).is_ok());
            assert!(may_bind(Some(own), address).is_ok());
        }
        let other = Some(own + 1);
        assert!(may_bind(other, &any).is_ok());
        assert!(matches!(may_bind(other, &path), Err(Problem::Denied)));
        if first_free() > 1 {
            let refused = may_bind(other, &low);
            assert!(matches!(refused, Err(Problem::PrivilegedPort)));
        }
    }
}
