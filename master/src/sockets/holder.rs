//! Who listens on an address that is in use: worth a look at `/proc`, because it is the first thing anybody asks.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    fs::File,
    io::{self, BufRead, BufReader, Read},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    path::Path,
    str::FromStr,
};

use crate::config::app::SocketAddress;

/// A process that listens on an address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    /// Its process id.
    pub pid: u32,
    /// The name of its program.
    pub program: String,
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "process {} ({})", self.pid, self.program)
    }
}

/// How often a table is looked at: where a socket goes between two of its pages, the kernel passes over another one's row.
const LOOKS: usize = 3;

/// More than most tables are. Each read that is smaller than a page is another place at which a row can be passed over.
const TABLE: usize = 64 * 1024;

/// Who has an address; `None` if that is nobody or another user's process.
pub(super) fn holder_of(address: &SocketAddress) -> Option<Holder> {
    let inode = (0..LOOKS).find_map(|_| holding(address))?;
    holder_of_inode(inode)
}

/// The inode of the socket that has an address.
fn holding(address: &SocketAddress) -> Option<u64> {
    let of_ip = |tables: [&str; 2], address, state| {
        let mut tables = tables.iter().filter_map(|name| table(name).ok());
        tables.find_map(|table| inode_of(&table, address, state))
    };
    match address {
        SocketAddress::Tcp(at) => of_ip(["/proc/net/tcp", "/proc/net/tcp6"], *at, TCP_LISTENS),
        SocketAddress::Udp(at) => of_ip(["/proc/net/udp", "/proc/net/udp6"], *at, UDP_BOUND),
        SocketAddress::Unix(path) => unix_inode(&table("/proc/net/unix").ok()?, path.to_str()?),
        SocketAddress::Starter(_) => None,
    }
}

fn table(name: &str) -> io::Result<String> {
    let mut text = String::with_capacity(TABLE);
    File::open(name)?.read_to_string(&mut text)?;
    Ok(text)
}

/// The states of a TCP socket that listens, and of a UDP socket without a peer.
const TCP_LISTENS: &str = "0A";
const UDP_BOUND: &str = "07";

/// The inode of the socket in this state that stands in the way of this address: the same one, or one on every address.
fn inode_of(table: &str, wanted: SocketAddr, wanted_state: &str) -> Option<u64> {
    table.lines().skip(1).filter_map(row).find_map(|row| {
        let (local, ip) = (row.local, wanted.ip());
        let meets = local.ip() == ip || local.ip().is_unspecified() || ip.is_unspecified();
        (row.state == wanted_state && local.port() == wanted.port() && meets).then_some(row.inode)
    })
}

/// Sockets at exactly this address that aren't these: who shares it with them.
pub(super) fn others_at(address: &SocketAddress, ours: &[u64]) -> Vec<u64> {
    let (table, address, state) = match address {
        SocketAddress::Tcp(it @ SocketAddr::V4(_)) => ("/proc/net/tcp", it, TCP_LISTENS),
        SocketAddress::Tcp(it @ SocketAddr::V6(_)) => ("/proc/net/tcp6", it, TCP_LISTENS),
        SocketAddress::Udp(it @ SocketAddr::V4(_)) => ("/proc/net/udp", it, UDP_BOUND),
        SocketAddress::Udp(it @ SocketAddr::V6(_)) => ("/proc/net/udp6", it, UDP_BOUND),
        SocketAddress::Unix(_) | SocketAddress::Starter(_) => return Vec::new(),
    };
    let Ok(table) = File::open(table) else {
        return Vec::new();
    };
    let lines = BufReader::with_capacity(TABLE, table)
        .lines()
        .skip(1)
        .map_while(Result::ok);
    // Those that listen come first, and connections, which may be many, are not read.
    let lines = lines.take_while(|line| {
        state == UDP_BOUND || row(line).is_none_or(|row| row.state == TCP_LISTENS)
    });
    lines
        .filter_map(|line| {
            let row = row(&line)?;
            let there = row.state == state && row.local == *address;
            (there && !ours.contains(&row.inode)).then_some(row.inode)
        })
        .collect()
}

/// What stands of a socket in one of these tables.
struct Row<'a> {
    local: SocketAddr,
    state: &'a str,
    inode: u64,
}

fn row(line: &str) -> Option<Row<'_>> {
    let mut fields = line.split_ascii_whitespace();
    Some(Row {
        local: socket_address(fields.nth(1)?)?,
        state: fields.nth(1)?,
        inode: fields.nth(5)?.parse().ok()?,
    })
}

/// An address as the kernel prints it: 32-bit words in the machine's byte order, in hexadecimal.
fn socket_address(text: &str) -> Option<SocketAddr> {
    let (host, port) = text.split_once(':')?;
    let port = u16::from_str_radix(port, 16).ok()?;
    let word = |at: usize| -> Option<[u8; 4]> {
        let word = u32::from_str_radix(host.get(at..at + 8)?, 16).ok()?;
        Some(word.to_ne_bytes())
    };
    let ip = match host.len() {
        8 => IpAddr::from(Ipv4Addr::from(word(0)?)),
        32 => {
            let words = [word(0)?, word(8)?, word(16)?, word(24)?];
            let bytes: [u8; 16] = words.as_flattened().try_into().ok()?;
            IpAddr::from(Ipv6Addr::from(bytes)).to_canonical()
        }
        _ => return None,
    };
    Some((ip, port).into())
}

/// The inode of the socket that listens at this path, which may have spaces in it.
fn unix_inode(table: &str, wanted: &str) -> Option<u64> {
    const LISTENS: &str = "00010000";
    table.lines().skip(1).find_map(|line| {
        let (fields, path) = line.split_at(line.find(wanted)?);
        let mut fields = fields.split_ascii_whitespace();
        let listens = fields.nth(3)? == LISTENS;
        let inode = fields.nth(2)?.parse().ok()?;
        // Anything more before it is the beginning of a longer path.
        (listens && path == wanted && fields.next().is_none()).then_some(inode)
    })
}

pub(super) fn holder_of_inode(inode: u64) -> Option<Holder> {
    holders_of(&BTreeSet::from([inode])).remove(&inode)
}

/// Whose these sockets are, as far as that can be found out: one walk through `/proc` for all of them.
pub(super) fn holders_of(inodes: &BTreeSet<u64>) -> BTreeMap<u64, Holder> {
    let mut holders = BTreeMap::new();
    for process in std::fs::read_dir("/proc").into_iter().flatten().flatten() {
        if holders.len() == inodes.len() {
            break;
        }
        let name = process.file_name();
        let Some(pid) = name.to_str().and_then(|name| name.parse().ok()) else {
            continue;
        };
        let fds = std::fs::read_dir(process.path().join("fd"));
        let links = fds.into_iter().flatten().flatten();
        let its: BTreeSet<u64> = links
            .filter_map(|fd| socket_inode(&std::fs::read_link(fd.path()).ok()?))
            .filter(|inode| inodes.contains(inode) && !holders.contains_key(inode))
            .collect();
        if its.is_empty() {
            continue;
        }
        let program = std::fs::read_to_string(process.path().join("comm")).unwrap_or_default();
        let program = program.trim_end().to_owned();
        let holder = Holder { pid, program };
        holders.extend(its.into_iter().map(|inode| (inode, holder.clone())));
    }
    holders
}

/// That of "socket:[4711]".
pub(super) fn socket_inode<N: FromStr>(link: &Path) -> Option<N> {
    let number = link.to_str()?.strip_prefix("socket:[")?;
    number.strip_suffix(']')?.parse().ok()
}

#[cfg(test)]
mod tests {
    use std::{
        path::PathBuf,
        sync::atomic::{AtomicBool, Ordering},
        thread,
    };

    use rustix::net::{AddressFamily, SocketType, sockopt};

    use super::*;

    #[test]
    fn this_process_is_found_by_its_listener() {
        for host in ["127.0.0.1:0", "[::1]:0"] {
            let listener = std::net::TcpListener::bind(host).expect("bound");
            let address = listener.local_addr().expect("an address");
            let holder = holder_of(&SocketAddress::Tcp(address));
            assert_eq!(holder.expect("found").pid, std::process::id());
        }
        let socket = std::net::UdpSocket::bind("127.0.0.1:0").expect("bound");
        let address = socket.local_addr().expect("an address");
        let holder = holder_of(&SocketAddress::Udp(address));
        assert_eq!(holder.expect("found").pid, std::process::id());
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("a socket");
        let _listener = std::os::unix::net::UnixListener::bind(&path).expect("bound");
        let of = |path: PathBuf| holder_of(&SocketAddress::Unix(path));
        assert_eq!(of(path).expect("found").pid, std::process::id());
        assert_eq!(of(dir.path().join("another")), None);
        assert_eq!(of("/a socket".into()), None);
    }

    #[test]
    fn it_is_found_while_others_come_and_go() {
        let socket = std::net::UdpSocket::bind("127.0.0.1:0").expect("bound");
        let address = SocketAddress::Udp(socket.local_addr().expect("an address"));
        let over = AtomicBool::new(false);
        thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    while !over.load(Ordering::Relaxed) {
                        let _some = [(); 8].map(|()| std::net::UdpSocket::bind("127.0.0.1:0"));
                    }
                });
            }
            let found = (0..10_000).filter(|_| holding(&address).is_some()).count();
            over.store(true, Ordering::Relaxed);
            assert_eq!(found, 10_000);
        });
    }

    #[test]
    fn who_is_beside_us_is_at_the_very_address_and_is_not_one_of_us() {
        let beside = |address, kind| {
            let family = AddressFamily::INET;
            let socket = rustix::net::socket(family, kind, None).expect("a socket");
            sockopt::set_socket_reuseport(&socket, true).expect("set");
            rustix::net::bind(&socket, &address).expect("bound");
            if kind == SocketType::STREAM {
                rustix::net::listen(&socket, 1).expect("listens");
            }
            let bound = rustix::net::getsockname(&socket).expect("bound");
            let inode = rustix::fs::fstat(&socket).expect("told").st_ino;
            (socket, SocketAddr::try_from(bound).expect("of IP"), inode)
        };
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        for (kind, named) in [
            (SocketType::STREAM, SocketAddress::Tcp as fn(_) -> _),
            (SocketType::DGRAM, SocketAddress::Udp),
        ] {
            let (_first, address, ours) = beside(any, kind);
            let named = named(address);
            assert_eq!(others_at(&named, &[ours]), [0; 0]);
            let (second, _, theirs) = beside(address, kind);
            assert_eq!(others_at(&named, &[ours]), [theirs]);
            assert_eq!(others_at(&named, &[theirs, ours]), [0; 0]);
            drop(second);
            // Not the same, though it takes what comes to all.
            let all = SocketAddr::from(([0, 0, 0, 0], address.port()));
            let _everywhere = beside(all, kind);
            assert_eq!(others_at(&named, &[ours]), [0; 0]);
        }
    }

    #[test]
    fn only_sockets_have_an_inode_here() {
        assert_eq!(socket_inode(Path::new("socket:[4711]")), Some(4711));
        for other in ["pipe:[4711]", "/dev/null", "socket:[]", "socket:[1"] {
            assert_eq!(socket_inode::<u64>(Path::new(other)), None, "{other}");
        }
    }

    #[test]
    fn a_listener_on_every_address_is_in_the_way_of_each() {
        let table = "head\n   0: 00000000:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000  0  0 4242 1 0\n";
        let wanted = "127.0.0.1:8080".parse().expect("an address");
        assert_eq!(inode_of(table, wanted, TCP_LISTENS), Some(4242));
        let connected = table.replace(" 0A ", " 01 ");
        assert_eq!(inode_of(&connected, wanted, TCP_LISTENS), None);
        assert_eq!(inode_of("head\ngarbage\n\n", wanted, TCP_LISTENS), None);
    }
}
