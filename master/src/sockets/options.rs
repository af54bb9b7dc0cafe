//! What was said of a socket, told to the kernel: most of it before the socket is bound, the rest before it listens.

use std::os::fd::BorrowedFd;

use super::Problem;
use crate::{config::app::socket::SocketOptions, sys};

/// Before it is bound.
pub(super) fn before_bind(
    socket: BorrowedFd<'_>,
    is_v6: bool,
    options: &SocketOptions,
) -> Result<(), Problem> {
    if is_v6 {
        // Said in any case: the system's own default may be either.
        let only = i32::from(options.v6_only);
        set(
            socket,
            "v6_only",
            (libc::IPPROTO_IPV6, libc::IPV6_V6ONLY),
            only,
        )?;
    }
    if options.transparent {
        let name = match is_v6 {
            true => (libc::IPPROTO_IPV6, libc::IPV6_TRANSPARENT),
            false => (libc::IPPROTO_IP, libc::IP_TRANSPARENT),
        };
        set(socket, "transparent", name, 1)?;
    }
    if let Some(interface) = &options.interface {
        let (level, name) = (libc::SOL_SOCKET, libc::SO_BINDTODEVICE);
        let result = sys::set_option(socket, level, name, interface.as_bytes());
        result.map_err(|error| Problem::Option("interface", error))?;
    }
    Ok(())
}

/// Before it listens.
pub(super) fn before_listen(
    socket: BorrowedFd<'_>,
    options: &SocketOptions,
) -> Result<(), Problem> {
    if let Some(time) = options.defer_accept {
        let seconds = i32::try_from(time.as_secs()).unwrap_or(i32::MAX);
        let name = (libc::IPPROTO_TCP, libc::TCP_DEFER_ACCEPT);
        set(socket, "defer_accept", name, seconds)?;
    }
    if let Some(queue) = options.fast_open {
        let queue = i32::try_from(queue).unwrap_or(i32::MAX);
        let name = (libc::IPPROTO_TCP, libc::TCP_FASTOPEN);
        set(socket, "fast_open", name, queue)?;
    }
    Ok(())
}

fn set(
    socket: BorrowedFd<'_>,
    key: &'static str,
    (level, name): (i32, i32),
    value: i32,
) -> Result<(), Problem> {
    sys::set_option(socket, level, name, &value.to_ne_bytes())
        .map_err(|error| Problem::Option(key, error))
}

#[cfg(test)]
mod tests {
    use std::{io, os::fd::AsFd, path::Path, time::Duration};

    use rustix::net::{AddressFamily, Shutdown, SocketType, shutdown, socket, sockopt};

    use super::*;
    use crate::{
        config::{
            app::{AppName, SocketMode},
            flags,
        },
        sockets::{BoundSocket, Mended, bind},
        sys::FdTable,
    };

    #[test]
    fn what_was_said_is_what_the_kernel_has() {
        let v6 = socket(AddressFamily::INET6, SocketType::STREAM, None).expect("a socket");
        let number = |level, name| {
            let mut bytes = [0; 4];
            let told = sys::option(v6.as_fd(), level, name, &mut bytes).expect("told");
            i32::from_ne_bytes(told.try_into().expect("a number"))
        };
        let tcp = libc::IPPROTO_TCP;
        let mut options = SocketOptions {
            v6_only: true,
            defer_accept: Some(Duration::from_secs(5)),
            fast_open: Some(17),
            ..SocketOptions::default()
        };
        before_bind(v6.as_fd(), true, &options).expect("set");
        before_listen(v6.as_fd(), &options).expect("set");
        assert_eq!(number(libc::IPPROTO_IPV6, libc::IPV6_V6ONLY), 1);
        assert_eq!(number(tcp, libc::TCP_FASTOPEN), 17);
        // The kernel counts in tries, the first after a second.
        assert!(number(tcp, libc::TCP_DEFER_ACCEPT) >= 5);
        options.v6_only = false;
        before_bind(v6.as_fd(), true, &options).expect("set");
        assert_eq!(number(libc::IPPROTO_IPV6, libc::IPV6_V6ONLY), 0);
    }

    fn listening(text: &str, options: SocketOptions, table: &mut FdTable) -> BoundSocket {
        let mut declarations = flags::listen(&[text], Path::new("/")).expect("an address");
        declarations[0].options = options;
        let app = AppName::new("web").expect("a name");
        bind(&app, &declarations[0], table).expect("bound")
    }

    /// What the kernel has of a listener, as it is bound and after a worker has shut it down: it is mended then.
    fn bound_and_mended(text: &str, options: &SocketOptions, told: impl Fn(BorrowedFd<'_>)) {
        for mode in [SocketMode::Auto, SocketMode::Slot] {
            let mut table = FdTable::new();
            let options = SocketOptions {
                mode,
                ..options.clone()
            };
            let mut listener = listening(text, options, &mut table);
            let fd = listener.duplicate(&table).expect("a descriptor");
            told(fd.as_fd());
            shutdown(&fd, Shutdown::Both).expect("shut down");
            let mended = listener.listen_again(&mut table).expect("it listens again");
            assert_eq!(mended, Mended::InPlace);
            let fd = listener.duplicate(&table).expect("a descriptor");
            assert!(sockopt::socket_acceptconn(&fd).expect("told"));
            told(fd.as_fd());
        }
    }

    #[test]
    fn a_listener_opens_fast_also_after_it_was_shut() {
        let options = SocketOptions {
            fast_open: Some(17),
            ..SocketOptions::default()
        };
        for text in ["127.0.0.1:0", "[::1]:0"] {
            bound_and_mended(text, &options, |fd| {
                let (level, name) = (libc::IPPROTO_TCP, libc::TCP_FASTOPEN);
                let mut queue = [0; 4];
                let queue = sys::option(fd, level, name, &mut queue).expect("told");
                assert_eq!(queue, 17_i32.to_ne_bytes());
            });
        }
    }

    #[test]
    fn a_listener_keeps_to_its_interface_also_after_it_was_shut() {
        let options = SocketOptions {
            interface: Some("lo".into()),
            ..SocketOptions::default()
        };
        let probe = socket(AddressFamily::INET, SocketType::STREAM, None).expect("a socket");
        if let Err(Problem::Option(_, why)) = before_bind(probe.as_fd(), false, &options)
            && why.kind() == io::ErrorKind::PermissionDenied
        {
            // Old kernels leave binding to an interface to root.
            return eprintln!("skipped: {why}");
        }
        for text in ["127.0.0.1:0", "[::1]:0"] {
            bound_and_mended(text, &options, |fd| {
                let (level, name) = (libc::SOL_SOCKET, libc::SO_BINDTODEVICE);
                let mut interface = [0; libc::IFNAMSIZ];
                let interface = sys::option(fd, level, name, &mut interface).expect("told");
                assert_eq!(interface, b"lo\0");
            });
        }
    }

    #[test]
    fn what_the_system_refuses_names_the_option() {
        let udp = socket(AddressFamily::UNIX, SocketType::DGRAM, None).expect("a socket");
        let options = SocketOptions {
            fast_open: Some(1),
            ..SocketOptions::default()
        };
        let refused = before_listen(udp.as_fd(), &options).expect_err("no TCP");
        assert!(
            matches!(refused, Problem::Option("fast_open", _)),
            "{refused:?}"
        );
    }
}
