//! What is read of connections, and who gets them; first without the thread, then with it and real channels.

use std::{
    io::{Read, Write},
    net::{Ipv4Addr, Shutdown, TcpListener, TcpStream},
    os::fd::AsFd,
    os::unix::net::UnixStream,
    time::Duration,
};

use ostler_bus::{Slot, WorkerId};
use ostler_worker_sdk::handover::{UNLIMITED, WorkerWord};
use rustix::{
    event::{PollFd, PollFlags, poll},
    net::{RecvFlags, SendFlags, recv, sockopt},
};

use super::{
    super::{
        Balancer, Begins, Joins, Sticks, channel_pair,
        tests::{PATIENCE, Worker},
    },
    peek::Look,
    takers::{GRACE, LISTENS, SOON},
    *,
};
use crate::{
    config::app::AppName,
    sockets::{
        SocketId,
        closing::tests::{lingering, send_with},
    },
};

const DATA: &[u8] = b"what the client says";

fn header(client: [u8; 4]) -> Vec<u8> {
    let client = Ipv4Addr::from(client);
    format!("PROXY TCP4 {client} 192.0.2.1 4711 80\r\n").into_bytes()
}

fn served() -> Served {
    Served {
        id: SocketId::made_up(1),
        app: AppName::new("web").expect("a name"),
        name: "http".into(),
    }
}

/// A listener, and what becomes of its connections.
struct Desk {
    listener: TcpListener,
    proxied: Proxied,
    now: Instant,
}

impl Desk {
    fn new(header: ProxyHeader) -> Self {
        Self {
            listener: TcpListener::bind("127.0.0.1:0").expect("bound"),
            proxied: Proxied::new(header, Kind::Tcp).expect("descriptors"),
            now: Instant::now(),
        }
    }

    fn connect(&self) -> TcpStream {
        TcpStream::connect(self.listener.local_addr().expect("bound")).expect("connected")
    }

    /// The next connection arrives, after all that its client has sent.
    fn arrive(&mut self) -> Option<Connection> {
        let (accepted, _) = self.listener.accept().expect("accepted");
        self.proxied.arrive(&served(), accepted.into(), self.now)
    }

    /// Waits until more has come, and gives what that makes whole.
    fn more(&mut self) -> Vec<Connection> {
        assert!(self.rings(PATIENCE), "nothing has come");
        self.proxied.look(&served())
    }

    fn stand(&mut self, pool: &mut Pool<Connection>, services: &[Service]) {
        self.proxied.stand(services);
        self.review(pool);
    }

    fn review(&mut self, pool: &mut Pool<Connection>) {
        self.proxied.review(&served(), pool, self.now);
    }

    /// A client of this slot's comes while both slots have their shares, and waits.
    fn waits_for(&mut self, slot: u32, pool: &mut Pool<Connection>) -> TcpStream {
        let mut homes = Homes::default();
        homes.stand(2, &[Service::Serves; 2]);
        let home = |number: &u8| homes.of([203, 0, 113, *number].into()) == Some(slot);
        let number = (0..=255).find(home).expect("half of them");
        let mut client = self.connect();
        client
            .write_all(&header([203, 0, 113, number]))
            .expect("sent");
        let connection = self.arrive().expect("it is whole");
        let home = self.proxied.home(connection.client);
        pool.accepted(connection, home);
        client
    }

    fn rings(&self, within: Duration) -> bool {
        let mut fds = [PollFd::new(self.proxied.edges(), PollFlags::IN)];
        let within = within.try_into().expect("a short time");
        poll(&mut fds, Some(&within)).expect("polled") > 0
    }

    fn counted(&self) -> (u64, u64, u64) {
        let status = self.proxied.status();
        (status.awaited, status.malformed, status.late)
    }
}

/// What can be read, once something can.
fn said(connection: &Connection) -> Vec<u8> {
    let mut fds = [PollFd::new(connection, PollFlags::IN)];
    let within = PATIENCE.try_into().expect("a short time");
    assert!(poll(&mut fds, Some(&within)).expect("polled") > 0);
    let mut bytes = [0; 2000];
    let (_, length) = recv(connection, &mut bytes, RecvFlags::DONTWAIT).expect("something");
    bytes[..length].to_vec()
}

fn is_closed(mut client: TcpStream) {
    client.set_read_timeout(Some(PATIENCE)).expect("set");
    let mut byte = [0];
    match client.read(&mut byte) {
        Ok(0) => {}
        Ok(_) => panic!("something was said to it"),
        Err(error) => assert_eq!(error.kind(), io::ErrorKind::ConnectionReset),
    }
}

#[test]
fn not_a_byte_is_lost_wherever_the_header_is_cut() {
    let sent = [&header([203, 0, 113, 9])[..], DATA].concat();
    for (what, left) in [
        (ProxyHeader::Keep, 0),
        (ProxyHeader::Strip, sent.len() - DATA.len()),
    ] {
        let mut desk = Desk::new(what);
        for cut in (0..=sent.len()).step_by(3) {
            let mut client = desk.connect();
            client.write_all(&sent[..cut]).expect("sent");
            let mut done = Vec::from_iter(desk.arrive());
            assert_eq!(done.len(), usize::from(cut >= sent.len() - DATA.len()));
            client.write_all(&sent[cut..]).expect("sent");
            if done.is_empty() {
                done = desk.more();
            }
            let connection = done.pop().expect("it is whole");
            assert_eq!(connection.client, Some([203, 0, 113, 9].into()));
            drop(client);
            let mut heard = Vec::new();
            // All has come once the end has.
            while heard.len() < sent.len() - left {
                heard.extend(said(&connection));
            }
            assert_eq!(heard, sent[left..], "{what:?} {cut}");
        }
        assert_eq!(desk.counted(), (0, 0, 0));
    }
}

#[test]
fn one_that_dribbles_is_looked_at_when_more_comes_and_not_before() {
    let mut desk = Desk::new(ProxyHeader::Keep);
    let mut client = desk.connect();
    client.set_nodelay(true).expect("set");
    assert!(desk.arrive().is_none());
    let sent = header([203, 0, 113, 9]);
    let (last, first) = sent.split_last().expect("bytes");
    for byte in first {
        client.write_all(&[*byte]).expect("sent");
        assert!(desk.more().is_empty());
        assert!(!desk.rings(Duration::ZERO), "it was told once");
        assert_eq!(desk.counted(), (1, 0, 0));
    }
    client.write_all(&[*last]).expect("sent");
    let connection = desk.more().pop().expect("it is whole");
    // A worker has it now, and whatever comes is that one's affair.
    client.write_all(DATA).expect("sent");
    drop(client);
    let mut heard = Vec::new();
    while heard.len() < sent.len() + DATA.len() {
        heard.extend(said(&connection));
    }
    assert!(!desk.rings(Duration::ZERO), "it is watched no more");
}

#[test]
fn what_is_no_header_is_refused_and_counted() {
    let mut desk = Desk::new(ProxyHeader::Keep);
    let mut client = desk.connect();
    client.write_all(b"GET / HTTP/1.1\r\n\r\n").expect("sent");
    assert!(desk.arrive().is_none());
    is_closed(client);
    assert_eq!(desk.counted(), (0, 1, 0));
    // It shows later.
    let mut client = desk.connect();
    client.write_all(b"PROXY TCP4 ").expect("sent");
    assert!(desk.arrive().is_none());
    client.write_all(b"nonsense\r\n").expect("sent");
    assert!(desk.more().is_empty());
    is_closed(client);
    assert_eq!(desk.counted(), (0, 2, 0));
    // Its end comes first.
    let mut client = desk.connect();
    client.write_all(b"PROXY TCP4 1.2.3.4").expect("sent");
    assert!(desk.arrive().is_none());
    client.shutdown(std::net::Shutdown::Write).expect("ended");
    assert!(desk.more().is_empty());
    is_closed(client);
    assert_eq!(desk.counted(), (0, 3, 0));
    // One that only looks whether somebody is there is nobody's fault.
    for early in [true, false] {
        let mut client = Some(desk.connect());
        if early {
            drop(client.take());
        }
        let _unsaid = desk.arrive();
        drop(client);
        if desk.counted().0 > 0 {
            assert!(desk.more().is_empty());
        }
        assert_eq!(desk.counted(), (0, 3, 0));
    }
}

#[test]
fn a_header_that_does_not_come_in_time_is_waited_for_no_longer() {
    let mut desk = Desk::new(ProxyHeader::Keep);
    let (silent, begun) = (desk.connect(), desk.now);
    assert!(desk.arrive().is_none());
    desk.now += Duration::from_secs(1);
    let mut late = desk.connect();
    assert!(desk.arrive().is_none());
    assert_eq!(desk.proxied.due(), Some(begun + IN_TIME));
    let just_before = begun + IN_TIME - Duration::from_millis(1);
    desk.proxied.expire(&served(), just_before);
    assert_eq!(desk.counted(), (2, 0, 0));
    desk.proxied.expire(&served(), begun + IN_TIME);
    assert_eq!(desk.counted(), (1, 0, 1));
    is_closed(silent);
    late.write_all(&header([203, 0, 113, 9])).expect("sent");
    assert_eq!(desk.more().len(), 1);
    assert_eq!(desk.proxied.due(), None);
}

#[test]
fn whose_it_is_is_who_made_it_where_the_header_does_not_tell() {
    let mut desk = Desk::new(ProxyHeader::Strip);
    let mapped = b"PROXY TCP6 ::ffff:203.0.113.9 ::1 4711 80\r\n".to_vec();
    let v2 = |kind: &[u8]| [b"\r\n\r\n\0\r\nQUIT\n", kind].concat();
    let told =
        v2(b"\x21\x21\0\x24\x20\x01\x0d\xb8\0\0\0\x01\0\0\0\0\0\0\0\x02aaaaaaaaaaaaaaaa1234");
    for (header, client) in [
        (header([203, 0, 113, 9]), "203.0.113.9"),
        (mapped, "203.0.113.9"),
        (told, "2001:db8:0:1::2"),
        (b"PROXY UNKNOWN\r\n".to_vec(), "127.0.0.1"),
        (v2(b"\x20\0\0\0"), "127.0.0.1"),
        (v2(b"\x21\0\0\x03\x04\0\0"), "127.0.0.1"),
    ] {
        let mut peer = desk.connect();
        peer.write_all(&[&header, DATA].concat()).expect("sent");
        let connection = desk.arrive().expect("it is whole");
        assert_eq!(connection.client, Some(client.parse().expect("an address")));
        assert_eq!(said(&connection), DATA);
    }
}

#[test]
fn pieces_on_a_unix_socket_are_seen_together() {
    let (mut client, accepted) = UnixStream::pair().expect("a pair");
    let sent = header([203, 0, 113, 9]);
    let mut header = None;
    for (at, byte) in (1..).zip(&sent) {
        client.write_all(&[*byte]).expect("sent");
        header = match peek::look(&accepted) {
            Look::Whole(header) => Some(header),
            Look::Part => None,
            other => panic!("{other:?}"),
        };
        assert_eq!(header.is_some(), at == sent.len());
    }
    client.write_all(DATA).expect("sent");
    let header = header.expect("it is whole");
    peek::strip(&accepted, &header).expect("there");
    let client = peek::client(&accepted, &header);
    let connection = Connection::of(client, Foreign::connection(accepted.into(), Kind::Unix));
    assert_eq!(connection.client, Some([203, 0, 113, 9].into()));
    assert_eq!(said(&connection), DATA);
}

#[test]
fn so_many_may_be_here_and_then_others_wait_in_the_kernel() {
    let mut desk = Desk::new(ProxyHeader::Keep);
    assert!((1..=ROOM).contains(&desk.proxied.most));
    desk.proxied.most = 3;
    let mut pool = pool_of(&[1]);
    assert_eq!(desk.proxied.room(&pool), 0, "whose clients are whose?");
    desk.stand(&mut pool, &[Service::Serves, Service::Awaited]);
    assert_eq!(desk.proxied.room(&pool), 3);
    let _silent = desk.connect();
    assert!(desk.arrive().is_none());
    assert_eq!(desk.proxied.room(&pool), 2);
    // A client of the slot whose worker is away.
    let _client = desk.waits_for(1, &mut pool);
    pool.deal();
    assert_eq!((pool.waiting(), desk.proxied.room(&pool)), (1, 1));
    // Its slot is given up.
    desk.stand(&mut pool, &[Service::Serves, Service::GivenUp]);
    pool.deal();
    assert_eq!((pool.waiting(), desk.proxied.room(&pool)), (0, 2));
    pool.drain(WorkerId(1));
    assert_eq!(desk.proxied.room(&pool), 0, "nobody has room");
}

#[test]
fn clients_of_a_slot_whose_worker_takes_nothing_are_served_by_others_after_a_while() {
    let mut desk = Desk::new(ProxyHeader::Keep);
    let mut pool = pool_of(&[1]);
    desk.stand(&mut pool, &[Service::Serves; 2]);
    let mut clients = vec![desk.waits_for(1, &mut pool)];
    pool.deal();
    assert_eq!(
        (pool.waiting(), desk.proxied.due()),
        (1, Some(desk.now + SOON))
    );
    desk.now += GRACE;
    desk.review(&mut pool);
    clients.push(desk.waits_for(1, &mut pool));
    pool.deal();
    assert_eq!((pool.waiting(), desk.proxied.due()), (0, None));
    // Then it takes some, and keeps its clients while it is full.
    pool.join(WorkerId(2), true);
    pool.lives(WorkerId(2), 1);
    for limit in [1, 0] {
        pool.takes(WorkerId(2), limit);
    }
    desk.proxied.members_changed();
    desk.review(&mut pool);
    clients.push(desk.waits_for(1, &mut pool));
    desk.now += 2 * GRACE;
    desk.review(&mut pool);
    pool.deal();
    assert_eq!((pool.waiting(), desk.proxied.due()), (1, None));
    // It goes with its app's update to workers that accept for themselves.
    for id in [1, 2] {
        pool.drain(WorkerId(id));
    }
    desk.proxied.members_changed();
    desk.review(&mut pool);
    pool.deal();
    assert_eq!(pool.waiting(), 1, "a successor may be about to take it");
    assert_eq!(desk.proxied.due(), Some(desk.now + SOON));
    desk.now += SOON;
    desk.review(&mut pool);
    pool.deal();
    let handed = pool.members().map(|member| member.handed());
    assert_eq!((handed.sum::<usize>(), pool.waiting()), (3, 0));
    for id in [1, 2] {
        pool.leave(WorkerId(id));
    }
    desk.proxied.members_changed();
    desk.review(&mut pool);
    assert_eq!(pool.waiting(), 3, "they may come yet");
    desk.now += GRACE;
    desk.review(&mut pool);
    assert_eq!(pool.waiting(), 0);
    for client in clients {
        is_closed(client);
    }
}

/// Its clients are its own though all who do take connections drain.
#[test]
fn who_has_said_that_it_listens_is_waited_for() {
    let mut desk = Desk::new(ProxyHeader::Keep);
    let mut pool = pool_of(&[1, 2]);
    desk.stand(&mut pool, &[Service::Serves; 2]);
    pool.join(WorkerId(3), false);
    pool.lives(WorkerId(3), 0);
    pool.takes(WorkerId(3), 0);
    pool.ready(WorkerId(3));
    for id in [1, 2] {
        pool.drain(WorkerId(id));
    }
    pool.leave(WorkerId(1));
    desk.proxied.members_changed();
    desk.review(&mut pool);
    let client = desk.waits_for(0, &mut pool);
    desk.now += 2 * GRACE;
    desk.review(&mut pool);
    pool.deal();
    assert_eq!(pool.waiting(), 1);
    assert_eq!(pool.parting(), [], "the last one stands by");
    pool.takes(WorkerId(3), UNLIMITED);
    assert_eq!(pool.parting(), [WorkerId(2)]);
    pool.leave(WorkerId(2));
    pool.deal();
    assert_eq!(pool.waiting(), 0);
    drop(client);
}

#[test]
fn clients_of_one_that_listens_and_never_accepts_are_served_by_others_in_the_end() {
    let mut desk = Desk::new(ProxyHeader::Keep);
    let mut pool = pool_of(&[1]);
    pool.join(WorkerId(2), true);
    pool.lives(WorkerId(2), 1);
    pool.takes(WorkerId(2), 0);
    desk.stand(&mut pool, &[Service::Serves; 2]);
    let _client = desk.waits_for(1, &mut pool);
    desk.now += LISTENS - SOON;
    desk.review(&mut pool);
    pool.deal();
    assert_eq!(pool.waiting(), 1);
    desk.now += SOON;
    desk.review(&mut pool);
    pool.deal();
    assert_eq!(pool.waiting(), 0);
}

#[test]
fn clients_that_have_gone_leave_their_room_to_others() {
    for header in [ProxyHeader::Keep, ProxyHeader::Strip] {
        let mut desk = Desk::new(header);
        desk.proxied.most = 4;
        let mut pool = pool_of(&[1]);
        desk.stand(&mut pool, &[Service::Serves, Service::Awaited]);
        let stays = desk.waits_for(1, &mut pool);
        drop(desk.waits_for(1, &mut pool));
        let mut resets = desk.waits_for(1, &mut pool);
        let mut asks = desk.waits_for(1, &mut pool);
        asks.write_all(DATA).expect("sent");
        asks.shutdown(Shutdown::Write).expect("shut down");
        resets.write_all(DATA).expect("sent");
        sockopt::set_socket_linger(&resets, Some(Duration::ZERO)).expect("set");
        drop(resets);
        pool.deal();
        // All that clients did has come.
        let ended = pool.nobodys().filter(|it| {
            let mut fds = [PollFd::new(*it, PollFlags::RDHUP)];
            let within = Duration::from_millis(100).try_into().expect("a short time");
            poll(&mut fds, Some(&within)).expect("polled") > 0
        });
        assert_eq!(ended.count(), 3);
        assert_eq!((pool.waiting(), desk.proxied.room(&pool)), (4, 0));
        desk.review(&mut pool);
        assert_eq!((pool.waiting(), desk.proxied.room(&pool)), (2, 2));
        desk.review(&mut pool);
        assert_eq!(desk.proxied.rounds.due(), None, "there is room");
        drop((stays, asks));
    }
}

/// A pool whose members take any number, the first of them in slot 0.
fn pool_of(members: &[u64]) -> Pool<Connection> {
    let mut pool = Pool::new(UNLIMITED);
    for (slot, id) in (0..).zip(members) {
        pool.join(WorkerId(*id), true);
        pool.takes(WorkerId(*id), UNLIMITED);
        pool.lives(WorkerId(*id), slot);
    }
    pool
}

#[test]
fn a_client_that_passes_descriptors_is_refused_and_nobody_waits_until_they_are_closed() {
    for flags in [SendFlags::empty(), SendFlags::OOB] {
        let (full, _other) = lingering();
        let (mut client, accepted) = UnixStream::pair().expect("a pair");
        let mut proxied = Proxied::new(ProxyHeader::Strip, Kind::Unix).expect("descriptors");
        // Out of band it is passed over.
        send_with(&client, b"P", full.as_fd(), flags);
        let rest = match flags.is_empty() {
            true => &b"ROXY UNKNOWN\r\n"[..],
            false => b"PROXY UNKNOWN\r\n",
        };
        client.write_all(rest).expect("sent");
        drop(full);
        let begun = Instant::now();
        let arrived = proxied.arrive(&served(), accepted.into(), begun);
        assert!(arrived.is_none());
        assert_eq!(proxied.status().malformed, u64::from(flags.is_empty()));
        assert!(begun.elapsed() < Duration::from_secs(1));
    }
}

#[test]
fn what_else_the_kernel_says_beside_a_header_is_nothing() {
    let (mut client, accepted) = UnixStream::pair().expect("a pair");
    sockopt::set_socket_passcred(&accepted, true).expect("set");
    client.write_all(&header([203, 0, 113, 9])).expect("sent");
    assert!(matches!(peek::look(&accepted), Look::Whole(_)));
}

#[test]
fn nobody_waits_for_what_is_let_go_of_before_its_header_came() {
    let (full, _other) = lingering();
    let mut desk = Desk::new(ProxyHeader::Keep);
    assert!(
        desk.proxied
            .arrive(&served(), full.into(), desk.now)
            .is_none()
    );
    assert_eq!(desk.counted(), (1, 0, 0));
    let begun = Instant::now();
    drop(desk);
    assert!(begun.elapsed() < Duration::from_secs(1));
}

/// The thread, and workers that are this test.
struct Stage {
    balancer: Balancer,
    listener: TcpListener,
}

impl Stage {
    fn new() -> Self {
        Self {
            balancer: Balancer::default(),
            listener: TcpListener::bind("127.0.0.1:0").expect("bound"),
        }
    }

    fn join(&mut self, id: u64, slot: u32) -> Worker {
        let (channel, theirs) = channel_pair().expect("a pair");
        sockopt::set_socket_timeout(&theirs, sockopt::Timeout::Recv, Some(PATIENCE)).expect("set");
        let worker = Worker(theirs);
        worker.say(WorkerWord::Take { limit: UNLIMITED });
        let joins = Joins {
            id: WorkerId(id),
            socket: served(),
            channel,
            begins: Begins::Now,
            listener: self.listener.try_clone().expect("a duplicate").into(),
            max_connections: None,
            sticks: Some(Sticks {
                slot: Slot(slot),
                header: ProxyHeader::Keep,
            }),
        };
        self.balancer.join(joins).expect("the thread runs");
        worker
    }

    fn stand(&mut self, services: &[Service]) {
        self.balancer.stand(&served().app, services.to_vec());
    }

    fn connect(&self, client: u8) -> TcpStream {
        let address = self.listener.local_addr().expect("bound");
        let mut stream = TcpStream::connect(address).expect("connected");
        let bytes = header([203, 0, 113, client]);
        stream.write_all(&bytes).expect("sent");
        stream
    }
}

#[test]
fn clients_wait_for_their_slots_while_others_are_served() {
    let mut stage = Stage::new();
    let mut homes = Homes::default();
    homes.stand(2, &[Service::Serves; 2]);
    let of = |slot: u32| {
        let home = |client: &u8| homes.of([203, 0, 113, *client].into()) == Some(slot);
        (0..=255_u8).filter(home).take(3).collect::<Vec<_>>()
    };
    let workers = [stage.join(1, 0), stage.join(2, 1)];
    let early = stage.connect(of(0)[0]);
    // Nothing is accepted before it is known whose clients are whose.
    for worker in &workers {
        worker.hears_nothing();
    }
    stage.stand(&[Service::Serves; 2]);
    drop(workers[0].is_handed(1));
    workers[0].takes(1);
    stage.balancer.gone(WorkerId(2));
    stage.stand(&[Service::Serves, Service::Awaited]);
    let address = stage.listener.local_addr().expect("bound");
    let silent = TcpStream::connect(address).expect("connected");
    let theirs: Vec<TcpStream> = of(1).into_iter().map(|it| stage.connect(it)).collect();
    for client in of(0) {
        let _stream = stage.connect(client);
        drop(workers[0].is_handed(1));
        workers[0].takes(1);
    }
    workers[0].hears_nothing();
    let successor = stage.join(3, 1);
    stage.stand(&[Service::Serves; 2]);
    assert_eq!(successor.is_handed(3).len(), 3);
    drop((early, silent, theirs));
}

#[test]
fn the_thread_wakes_for_clients_of_a_slot_whose_worker_takes_nothing() {
    let mut stage = Stage::new();
    let mut homes = Homes::default();
    homes.stand(2, &[Service::Serves; 2]);
    let home = |client: &u8| homes.of([203, 0, 113, *client].into()) == Some(1);
    let theirs = (0..=255_u8).find(home).expect("half of them");
    let [taker, breaks] = [stage.join(1, 0), stage.join(2, 1)];
    stage.stand(&[Service::Serves; 2]);
    let early = stage.connect(theirs);
    drop(breaks.is_handed(1));
    // It lives on, and says what can't be.
    breaks.takes(2);
    assert_eq!(taker.is_handed(1).len(), 1);
    drop(early);
}
