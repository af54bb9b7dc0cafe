"""Sockets of a worker of Ostler, beside ostler.py, from Python's standard library alone (3.9 or newer): connections that
the master accepted and hands over (`balanced`), sockets asked for at run time, and connections passed to other workers.

A `Listener` is iterated over, `for` or `async for`; whoever accepts, the connections look the same. All else blocks, and is
called from any thread; in a coroutine by `await asyncio.to_thread(…)`.
"""

import array
import asyncio
import collections
import contextlib
import errno
import functools
import itertools
import json
import logging
import os
import queue
import select
import socket
import struct
import threading
import time
import weakref

import ostler

ANY_NUMBER = 2**32 - 1  # of connections open at once
WINDOW = 4  # connections in a packet at most
TAKE, ACCOUNT = 1, 2  # what a worker says of connections
CONNECTIONS, END = 1, 2  # what the master says of them
LONGEST = 16 << 10  # bytes of a packet that has a word and descriptors
HEADER = "ostler-connection"
LAST = 0.1  # seconds in which a worker that drains still takes what it was handed
AGAIN = 0.05  # seconds to wait where there is no descriptor left, or the socket doesn't listen just now
SHUT = 2  # seconds that a socket may not listen
PROXIED_WITHIN = 5  # seconds in which a proxy's header must come
PROXIED_MOST = 1024  # connections whose headers are waited for; more are not accepted meanwhile
PROXY_LINE, PROXY_HEADER = 107, 4096  # bytes of the longest header of version 1, and of 2
PROXY_BINARY = b"\r\n\r\n\0\r\nQUIT\n"  # how those of version 2 begin
NO_ROOM = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)
NO_SOCKET = (errno.EBADF, errno.ENOTSOCK, errno.EOPNOTSUPP)
log = logging.getLogger("ostler")


class NotSent(ostler.Error):
    """A connection was not passed on: `connection` is as good as before; or None, if nobody knows who has it."""

    def __init__(self, reason, connection):
        super().__init__(f"the connection was not sent: {reason}")
        self.connection = connection


class Socket(socket.socket):
    """One whose end is told to somebody, however it comes about."""

    _end = staticmethod(lambda: None)

    def _tell(self, end):
        self._end = weakref.finalize(self, end)
        self._end.atexit = False
        return self

    def close(self):
        super().close()
        if self.fileno() < 0:  # And not just put off until a file made of it is closed.
            self._end()


class Listener:
    """Connections of one socket, to be iterated over, in one thread or coroutine. It ends when this worker is to drain, or by
    `close`, from anywhere."""

    def __init__(self, worker, sock, channel=None, strips=False):
        self.worker, self.socket, self._channel = worker, sock, channel
        self._strips, self._headers = strips, None  # whether connections begin with a proxy's header; and who takes it off
        self._family, self.is_closed, self._is_over = sock.family, False, False
        self._most, self._said = ANY_NUMBER, False  # open at once; and whether the master knows
        self._handed = collections.deque()  # and not taken; None is one that found no room in this process
        self._open, self._closed, self._ended = 0, 0, collections.deque()  # the last, by whoever closes one
        self._awaits, self._not_before, self._shut_since = None, 0, None
        self._bell, self._rope = socket.socketpair()  # wakes whoever waits
        self._unwatch, self._changing = lambda: None, threading.RLock()
        for each in filter(None, (sock, channel, self._bell, self._rope)):
            each.setblocking(False)
        worker._when_draining(self._ring)

    def limit(self, most):
        """No more than so many are open at once; others go to other workers, or wait."""
        self._most, self._said = most, False
        self._ring()

    def __iter__(self):
        while True:
            connection = self._next()
            if connection:
                connection.setblocking(True)
                yield connection
            elif self.is_closed:
                return
            else:
                self._wait()

    async def __aiter__(self):
        while True:
            connection = self._next()
            if connection:
                yield connection
                await asyncio.sleep(0)  # So that those that are open go on.
            elif self.is_closed:
                return
            else:
                await self._wait_async()

    async def serve(self, connected, limit=1 << 16, ssl=None):
        """Calls `connected(reader, writer)` for each connection, as asyncio.start_server does. Returns when this worker is
        to drain, and all of them are closed."""

        def protocol():
            return asyncio.StreamReaderProtocol(asyncio.StreamReader(limit=limit), connected)

        await self.serve_protocol(protocol, ssl=ssl)

    async def serve_protocol(self, factory, ssl=None):
        """The same with a protocol for each, as loop.create_server does: what asyncio's web servers bring."""
        loop, opening = asyncio.get_running_loop(), set()

        async def begin(connection):
            try:
                await loop.connect_accepted_socket(factory, connection, ssl=ssl)
            except Exception as error:  # Such as clients that don't shake hands.
                log.info("a connection ended before it began: %r", error)
                connection.close()

        try:
            async for connection in self:
                task = loop.create_task(begin(connection))
                opening.add(task)
                task.add_done_callback(opening.discard)
        finally:
            self.close()
        self._count_ended()
        while self._open:
            await self._wait_async()
            self._count_ended()

    def close(self):
        """Takes no more: what was handed over and not taken, others get."""
        with self._changing:
            self.is_closed, self._awaits = True, None
            self._unwatch()
            self._lose_channel()
            if self._headers:
                self._headers.close()
            self.socket.close()
        self.worker._forget(self._ring)
        self._ring()

    # The next.

    def _next(self):
        """A connection; or None: then it is closed, or `_awaits` says for what to wait."""
        with self._changing, contextlib.suppress(BlockingIOError):
            self._count_ended()
            if self.is_closed or time.monotonic() < self._not_before:
                self._awaits = None
                return None
            self._not_before = 0
            while self._channel:
                connection = self._next_handed()
                if connection or self.is_closed:
                    return connection
            if self.worker.draining.is_set():
                self.close()
            elif not self._is_over:
                return self._next_accepted()
        return None

    def _next_handed(self):
        """None if there may be another, or no channel any more."""
        if self.worker.draining.is_set():
            left = self.worker._draining_since + LAST - time.monotonic()
            if not self._said or (left <= 0 and not self._handed):
                return self.close()
        if not self._said:
            self._said = self._say(TAKE, self._most)
        if not self._handed:
            return self._receive()
        if self._open >= self._most:
            return self._refuse(len(self._handed))
        if self._handed[0] is None:
            self._refuse(1)
            return self._pause()
        if not self._say(ACCOUNT, 1, 0, self._closed):
            return self._drop_handed()  # They are others'.
        self._closed = 0
        return self._connection(self._handed.popleft())

    def _say(self, kind, *numbers):
        """False if the master hears it no more. Raises BlockingIOError if it has no room for it yet."""
        numbers = (*numbers, 0, 0)[:3]
        try:
            self._awaits = self._channel, select.POLLOUT
            self._channel.send(struct.pack("<BBHIII", 1, kind, 0, *numbers))
        except BlockingIOError:
            raise
        except OSError:
            return kind == TAKE  # What comes next says why.
        return True

    def _receive(self):
        try:
            text, fds = _receive(self._channel, 8, WINDOW)
        except BlockingIOError:
            if self._closed and self._say(ACCOUNT, 0, 0, self._closed):
                self._closed = 0
            self._awaits = self._channel, select.POLLIN
            raise
        except OSError:
            text, fds = b"", []
        version, kind, count = struct.unpack("<BBH4x", text) if len(text) == 8 else (0, 0, 0)
        if (version, kind) == (1, CONNECTIONS):
            self._handed.extend((*fds, *[None] * count)[:count])
        elif (version, kind) == (1, END):  # This worker hears in a moment that it is to drain.
            self._is_over, self._awaits = True, None
            self._lose_channel()
        else:  # The master has gone, or given up: taken from the socket itself from now on.
            self._lose_channel()

    def _refuse(self, count):
        self._say(ACCOUNT, 0, count, self._closed)
        self._closed = 0
        self._drop_handed(count)

    def _drop_handed(self, count=WINDOW):
        for fd in [self._handed.popleft() for _ in range(min(count, len(self._handed)))]:
            if fd is not None:
                os.close(fd)

    def _lose_channel(self):
        if self._channel:
            with contextlib.suppress(OSError):
                self._channel.shutdown(socket.SHUT_RDWR)  # Whatever a child of this process holds of it.
            self._channel.close()
        self._channel = None
        self._drop_handed(len(self._handed))

    def _next_accepted(self):
        self._awaits = None
        if self._open >= self._most:
            return None
        try:
            if self._strips and not self._headers:
                self._headers = _Headers(self.socket)
            accepted, _ = (self._headers or self.socket).accept()
        except BlockingIOError:
            self._shut_since = None
            self._awaits = self._headers or self.socket, select.POLLIN
            raise
        except OSError as error:
            self._not_accepted(error)
            return None
        self._shut_since = None
        return self._connection(accepted.detach())

    def _not_accepted(self, error):
        """What was wrong with one connection is passed over, what will pass is waited out."""
        if error.errno == errno.EINVAL:  # Another worker has shut it down for all; the master opens it again.
            self._shut_since = self._shut_since or time.monotonic()
        is_shut = error.errno == errno.EINVAL and time.monotonic() - self._shut_since > SHUT
        if is_shut or error.errno in NO_SOCKET:
            raise error
        if error.errno in NO_ROOM:
            log.warning("can't take a connection: %s; trying again", error)
        if error.errno in (errno.EINVAL, *NO_ROOM):
            self._pause()
        else:
            self._awaits = self._headers or self.socket, select.POLLIN

    def _pause(self):
        """Nothing is tried for a moment; then the master is told again that connections are wanted."""
        self._said, self._awaits, self._not_before = False, None, time.monotonic() + AGAIN
        raise BlockingIOError

    def _connection(self, fd):
        connection = Socket(self._family, socket.SOCK_STREAM, 0, fd)
        connection.setblocking(False)
        self._open += 1
        return connection._tell(self._one_ended)

    # What ends, and what is waited for.

    def _one_ended(self):
        """In any thread, and amid anything: so each rings, as none can know whether another has."""
        self._ended.append(None)
        self._ring()

    def _count_ended(self):
        with contextlib.suppress(IndexError):
            while True:
                self._ended.popleft()
                self._open -= 1
                self._closed += self._channel is not None

    def _ring(self):
        with contextlib.suppress(OSError):  # It rings already.
            self._rope.send(b"!")

    def _answer_bell(self):
        with contextlib.suppress(BlockingIOError):
            self._bell.recv(4096)

    def _patience(self):
        """Seconds; None: any time. What is due already, if only since a moment ago, is looked at soon."""
        with self._changing:
            if self.is_closed:
                return None
            until = [self._not_before] if self._not_before else []
            if self.worker.draining.is_set() and not self._handed:
                until.append(self.worker._draining_since + LAST)
            if self._headers and self._awaits:
                until.extend(self._headers.due())
        return max(min(until) - time.monotonic(), 0.001) if until else None

    def _wait(self):
        poll, patience = select.poll(), self._patience()
        poll.register(self._bell, select.POLLIN)
        with self._changing:
            if self._awaits:
                poll.register(*self._awaits)
        poll.poll(None if patience is None else patience * 1000)
        self._answer_bell()

    async def _wait_async(self):
        loop = asyncio.get_running_loop()
        done, bell = loop.create_future(), self._bell.fileno()
        awaited, event = self._awaits or (None, 0)
        number = awaited.fileno() if awaited else None

        def go():
            if not done.done():
                done.set_result(None)

        def unwatch():  # As long as the number is the socket's.
            self._unwatch = lambda: None
            loop.remove_reader(bell)
            if number is not None:
                (loop.remove_reader if event == select.POLLIN else loop.remove_writer)(number)

        loop.add_reader(bell, go)
        if number is not None:
            (loop.add_reader if event == select.POLLIN else loop.add_writer)(number, go)
        self._unwatch = unwatch
        try:
            await asyncio.wait({done}, timeout=self._patience())
        finally:
            if self._unwatch is unwatch:
                unwatch()
        self._answer_bell()


class _Headers:
    """Accepts in the master's stead where a proxy's header (of the PROXY protocol, version 1 or 2) comes before all else, and
    takes it off. It is waited for as a socket; one client that is silent or slow holds up nobody else."""

    def __init__(self, sock):
        self._socket, self._epoll = sock, select.epoll()
        self._awaited = {}  # connections whose headers have not come: what has, and until when; by descriptor, the oldest first
        self._epoll.register(sock, select.EPOLLIN)

    def fileno(self):
        return self._epoll.fileno()

    def due(self):
        """When the next one has taken too long, if any waits."""
        return [until for _, _, until in itertools.islice(self._awaited.values(), 1)]

    def accept(self):
        """As a socket does. Raises BlockingIOError until another connection is here, or a header has come."""
        for fd, _ in self._epoll.poll(0):
            connection, come, _ = self._awaited.get(fd, (None, None, None))
            if connection and self._stripped(connection, come):
                return self._forget(fd), None
        self._drop_late()
        while len(self._awaited) < PROXIED_MOST:
            connection, come = self._socket.accept()[0], bytearray()
            connection.setblocking(False)
            fd = connection.fileno()
            self._epoll.register(fd, select.EPOLLIN)
            self._awaited[fd] = connection, come, time.monotonic() + PROXIED_WITHIN
            if self._stripped(connection, come):
                return self._forget(fd), None
        self._epoll.modify(self._socket, 0)  # Until one of them has gone.
        raise BlockingIOError

    def close(self):
        for fd in list(self._awaited):
            self._forget(fd).close()
        self._epoll.close()

    def _stripped(self, connection, come):
        """Whether all of its header has come, and is off; not a byte of what follows is touched."""
        try:
            more, before = connection.recv(PROXY_HEADER, socket.MSG_PEEK), len(come)
            if not more:
                raise ValueError("it ended before")
            come += more
            length = _proxy_header(bytes(come))
            connection.recv((length or len(come)) - before)
            return length is not None
        except BlockingIOError:
            return False
        except (OSError, ValueError, KeyError) as error:
            log.debug("a connection has no header of a proxy's, and is refused: %r", error)
            self._forget(connection.fileno()).close()
            return False

    def _forget(self, fd):
        if len(self._awaited) >= PROXIED_MOST:
            self._epoll.modify(self._socket, select.EPOLLIN)
        connection, _, _ = self._awaited.pop(fd)
        self._epoll.unregister(fd)
        return connection

    def _drop_late(self):
        now = time.monotonic()
        for fd in [fd for fd, (_, _, until) in self._awaited.items() if until <= now]:
            self._forget(fd).close()


class Worker(ostler.Worker):
    """A worker with listeners, sockets asked for at run time, and connections to give and to get."""

    def __init__(self):
        self._tells, self._draining_since, self._leaves = [], None, False
        super().__init__()
        named = os.environ.pop("OSTLER_HANDOVER", "").split(":")  # What this process starts is no worker.
        named = (pair.split("=") for pair in named if pair)
        self._channels = {name: _inherited(int(fd)) for name, fd in named}
        self._strips = os.environ.pop("OSTLER_PROXY_PROTOCOL", "").split(":")
        passing = os.environ.pop("OSTLER_PASSING", None)
        self._passing = _Passing(_inherited(int(passing))) if passing else None

    def listener(self, name):
        """The socket that the process file declares under this name, whoever accepts there."""
        return Listener(self, self.listen(name), self._channels.pop(name, None), name in self._strips)

    def listen_at(self, address, backlog=None, v6_only=False, permissions=None):
        """Listens at "127.0.0.1:8080", "[::1]:0", ":8080" or "unix:PATH", with all workers of this app that ask for the same.
        Raises the OSError that it couldn't be had for. Ask before `ready`."""
        options = {"backlog": backlog, "v6_only": v6_only, "permissions": permissions}
        return Listener(self, *self._at(_addresses(address, socket.SOCK_STREAM), options))

    def udp_at(self, address, v6_only=False):
        """A UDP socket that doesn't block, likewise shared: each datagram goes to one of the workers."""
        addresses = _addresses(address.removeprefix("udp:"), socket.SOCK_DGRAM)
        return self._at([f"udp:{each}" for each in addresses], {"v6_only": v6_only})[0]

    def send_connection(self, connection, topic, payload=None, timeout=5):
        """Gives an open connection to a worker that receives such (`to.slot.APP.3.games.join` …), with a message. It is closed
        here then. Raises NotSent."""
        passing, gift = self._needs_passing(), None
        try:
            gift, told = passing.ask("give", [connection.fileno()])
        except OSError as error:
            raise NotSent(error, connection) from error
        try:
            self.request(topic, payload, timeout, headers={HEADER: told["token"]})
            why = NotSent("the message was answered by a program that doesn't take connections", connection)
        except ostler.Error as error:
            why = NotSent(error, connection)
        finally:  # Whatever became of the message, the master knows.
            try:
                fate = passing.ask("take_back", number=gift)[1]["kind"]
            except ostler.Disconnected as error:
                connection.close()
                raise NotSent(error, None) from error
        if fate == "back":
            raise why
        connection.close()

    def receive_connections(self, topic, handler):
        """Has `handler(message, connection)` called for what is sent to this worker, its slot, its app or anybody: one after
        the other, in a thread. The connection blocks."""
        passing = self._needs_passing()

        def take(call):
            if self.draining.is_set() or HEADER not in call.headers:
                raise ostler.Error("this worker drains" if self.draining.is_set() else "no connection came with it")
            connection = passing.take(call.headers[HEADER])
            try:
                call.reply()
                handler(call, connection)
            except Exception:  # The connection is this worker's, whatever it does with it.
                log.exception("with a connection that came for %s", call.topic)

        direct = (f"worker.{self.id}", f"slot.{self.app}.{self.slot}", f"app.{self.app}")
        return [self.serve(each, take) for each in (topic, *(f"to.{who}.{topic}" for who in direct))]

    async def until_draining(self):
        """Returns when this worker is to drain."""
        loop, begun = asyncio.get_running_loop(), asyncio.Event()

        def tell():
            with contextlib.suppress(RuntimeError):  # The loop has been closed.
                loop.call_soon_threadsafe(begun.set)

        self._when_draining(tell)
        try:
            await begun.wait()
        finally:
            self._forget(tell)

    def drain(self, reason, seconds):
        self._draining_since = self._draining_since or time.monotonic()
        super().drain(reason, seconds)
        for tell in list(self._tells):
            tell()

    def disconnect(self):
        self._leaves = True
        super().disconnect()

    def _when_draining(self, tell):
        self._tells.append(tell)
        if self.draining.is_set():
            tell()

    def _forget(self, tell):
        with contextlib.suppress(ValueError):
            self._tells.remove(tell)

    def _needs_passing(self):
        if not self._passing:
            raise ostler.Disconnected("this worker has no master that passes descriptors", final=True)
        return self._passing

    def _at(self, addresses, options):
        """The first that can be had: the socket, and the channel by which its connections may come."""
        passing = self._needs_passing()
        for address in addresses:
            try:
                number, told = passing.ask("listen", address=address, **options)
                break
            except OSError:
                if address == addresses[-1]:
                    raise
        if not told["fds"]:
            passing.tell("close", number)
            raise OSError(errno.EMFILE, "this process has no room for another descriptor")
        sock, *channel = told["fds"]
        sock = Socket(fileno=sock)._tell(functools.partial(self._give_back, number))
        sock.setblocking(False)
        return sock, socket.socket(fileno=channel[0]) if channel else None

    def _give_back(self, number):
        if not self.draining.is_set() and not self._leaves:  # Else a successor shall find it.
            self._passing.tell("close", number)


class _Passing:
    """The channel on which words and descriptors travel together."""

    def __init__(self, sock):
        self._sock, self._numbers, self._asked, self._is_lost = sock, itertools.count(1), {}, False
        threading.Thread(target=self._hear, name="ostler", daemon=True).start()

    def ask(self, kind, fds=(), number=None, **fields):
        """The number of the question, and what was answered, with its `kind` and `fds`. The master answers everything."""
        number, answers = number or next(self._numbers), queue.SimpleQueue()
        self._asked[number] = answers
        try:
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                self._say(kind, fds, id=number, **fields)
            if self._is_lost:
                answers.put(None)
            answer = answers.get()
        except BaseException:  # Nobody waits for it any more.
            self._asked.pop(number, None)
            if kind in ("listen", "give"):
                self.tell("close" if kind == "listen" else "take_back", number)
            with contextlib.suppress(queue.Empty):
                self._unwanted(answers.get_nowait())
            raise
        if answer is None:
            raise ostler.Disconnected("the master is gone, or passes no descriptors any more", final=True)
        if answer["kind"] == "failed":
            raise OSError(answer["errno"], answer["reason"])
        return number, answer

    def take(self, token):
        """The connection that somebody gave; this worker's own from then on."""
        number, told = self.ask("take", token=token)
        if not told["fds"]:
            self.tell("refuse", number)
            raise OSError(errno.EMFILE, "this process has no room for another descriptor")
        connection = socket.socket(fileno=told["fds"][0])
        try:
            self._say("took", id=number)
        except OSError:
            connection.close()
            raise
        connection.setblocking(True)
        return connection

    def tell(self, kind, number):
        """What is not answered; from wherever it must not wait for room, it waits elsewhere."""

        def say():
            with contextlib.suppress(OSError):  # With the master goes all that it held.
                self._say(kind, id=number)

        threading.Thread(target=say, name="ostler", daemon=True).start()

    def _say(self, kind, fds=(), **fields):
        text = json.dumps({kind: {key: value for key, value in fields.items() if value is not None}}).encode()
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
        self._sock.sendmsg([text], rights)

    def _hear(self):
        while True:
            try:
                text, fds = _receive(self._sock, LONGEST, 2)
            except OSError:
                text, fds = b"", []
            if not text:
                break
            [(kind, body)] = json.loads(text).items()
            told = {**body, "kind": kind, "fds": fds}
            answers = self._asked.pop(body.get("id"), None)
            answers.put(told) if answers else self._unwanted(told)
        self._is_lost = True
        for answers in list(self._asked.values()):
            answers.put(None)

    def _unwanted(self, told):
        for fd in (told or {}).get("fds", ()):
            os.close(fd)
        if told and told["kind"] == "connection":
            self.tell("refuse", told["id"])


def _receive(channel, most, descriptors):
    """A packet's text, and the descriptors that came with it, each closed on exec."""
    fds = array.array("i")
    space = socket.CMSG_LEN(descriptors * fds.itemsize)
    for is_reset in (False, True):
        try:
            text, beside, _, _ = channel.recvmsg(most, space, socket.MSG_CMSG_CLOEXEC)
            break
        except ConnectionResetError:  # Said once, and before what there is still to read.
            if is_reset:
                raise
    for level, kind, data in beside:
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
            fds.frombytes(data[: len(data) - len(data) % fds.itemsize])
    return text, list(fds)


def _proxy_header(come):
    """Bytes of the header with which a connection begins, or None if more of it must come. Raises ValueError, KeyError or OSError
    if it is none."""
    if come.startswith(b"\r"):
        return _proxy_bytes(come)
    if not b"PROXY ".startswith(come[:6]):
        raise ValueError("it begins otherwise")
    line, end, _ = come[:PROXY_LINE].partition(b"\r\n")
    if b"\n" in line or b"\r" in (line if end else line[:-1]) or (not end and len(line) == PROXY_LINE):
        raise ValueError("its line doesn't end as it should")
    if not end:
        return None
    _, word, *said = line.decode("latin-1").split(" ")
    if word != "UNKNOWN":
        source, destination, *ports = said
        for address in (source, destination):
            socket.inet_pton({"TCP4": socket.AF_INET, "TCP6": socket.AF_INET6}[word], address)
        if len(ports) != 2 or any(str(int(port)) != port or int(port) >> 16 for port in ports):
            raise ValueError("its ports are none")
    return len(line) + 2


def _proxy_bytes(come):
    if not PROXY_BINARY.startswith(come[:12]):
        raise ValueError("it begins otherwise")
    if len(come) < 16:
        return None
    command, kind, rest = struct.unpack("!BBH", come[12:16])
    family, transport = kind >> 4, kind & 15
    if command == 0x20:  # The proxy speaks for itself: what it says of addresses means nothing.
        family = transport = 0
    least = (0, 12, 36, 216)[family] if family < 4 and transport else 0
    if command >> 1 != 0x10 or family > 3 or transport > 2 or rest < least or 16 + rest > PROXY_HEADER:
        raise ValueError("it is of a kind or length that there isn't")
    return 16 + rest if len(come) >= 16 + rest else None


def _inherited(fd):
    os.set_inheritable(fd, False)
    return socket.socket(fileno=fd)


def _addresses(address, kind):
    """All that an address stands for, as the master wants them."""
    if address.startswith("unix:"):
        return ["unix:" + os.path.abspath(address[5:])]
    host, _, port = f"127.0.0.1:{address}".rpartition(":") if address.isdigit() else address.rpartition(":")
    found = socket.getaddrinfo(host.strip("[]") or "0.0.0.0", port, type=kind)
    return [f"[{at[0]}]:{at[1]}" if family == socket.AF_INET6 else f"{at[0]}:{at[1]}" for family, _, _, _, at in found]
