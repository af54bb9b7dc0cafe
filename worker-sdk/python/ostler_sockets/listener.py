"""Connections of one socket, whoever accepts them."""

import asyncio
import collections
import contextlib
import errno
import logging
import os
import select
import socket
import struct
import threading
import time
import weakref

from .packets import receive
from .proxied import Headers

ANY_NUMBER = 2**32 - 1  # of connections open at once
WINDOW = 4  # connections in a packet at most
TAKE, ACCOUNT = 1, 2  # what a worker says of connections
CONNECTIONS, END = 1, 2  # what the master says of them
LAST = 0.1  # seconds in which a worker that drains still takes what it was handed
FRESH = 5  # seconds in which a client's handshake, begun before, must be done when this worker drains
AGAIN = 0.05  # seconds to wait where there is no descriptor left, or the socket doesn't listen just now
SHUT = 2  # seconds that a socket may not listen
NO_ROOM = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)
NO_SOCKET = (errno.EBADF, errno.ENOTSOCK, errno.EOPNOTSUPP)
log = logging.getLogger("ostler")


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
        self._most, self._said, self._has_asked = ANY_NUMBER, False, False  # open at once; and whether the master knows
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
        if opening:  # A client that is slow to shake hands is waited for, but not for as long as it likes.
            _, late = await asyncio.wait(opening, timeout=FRESH)
            for task in late:
                task.cancel()
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
                return self._next_begun()
            if not self._is_over:
                return self._next_accepted()
        return None

    def _next_handed(self):
        """None if there may be another, or no channel any more."""
        if self.worker.draining.is_set():
            left = self.worker._draining_since + LAST - time.monotonic()
            if not self._has_asked or (left <= 0 and not self._handed):
                return self.close()
        if not self._said:
            self._said = self._has_asked = self._say(TAKE, self._most)
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
            text, fds = receive(self._channel, 8, WINDOW)
        except BlockingIOError:
            if self._closed and self._say(ACCOUNT, 0, 0, self._closed):
                self._closed = 0
            self._awaits = self._channel, select.POLLIN
            raise
        except OSError:
            text, fds = b"", []
        version, kind, count = struct.unpack("<BBH4x", text) if len(text) == 8 else (0, 0, 0)
        if (version, kind) == (1, CONNECTIONS):
            self._handed.extend((*fds[:count], *[None] * (count - len(fds))))
            fds = fds[count:]
        elif (version, kind) == (1, END):  # This worker hears in a moment that it is to drain.
            self._is_over, self._awaits = True, None
            self._lose_channel()
        else:  # The master has gone, or given up: taken from the socket itself from now on.
            self._lose_channel()
        for fd in fds:  # Of no word that there is.
            os.close(fd)

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
                self._headers = Headers(self.socket)
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

    def _next_begun(self):
        """While this worker drains: of those that were accepted before, one whose proxy's header has come since."""
        if self._headers:
            self._headers.stop(self.worker.deadline)
            self.socket.close()
            connection = None
            if self._open >= self._most:  # They go on all the same.
                self._headers.read()
                self._awaits = self._headers, select.POLLIN
            else:
                with contextlib.suppress(BlockingIOError):
                    connection = self._next_accepted()
            if connection or self._headers.awaits_any():
                return connection
        return self.close()

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
            if self._channel and self.worker.draining.is_set() and not self._handed:
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
        done, bell, number = loop.create_future(), self._bell.fileno(), None

        def go():
            if not done.done():
                done.set_result(None)

        def unwatch():  # As long as the number is the socket's.
            self._unwatch = lambda: None
            loop.remove_reader(bell)
            if number is not None:
                (loop.remove_reader if event == select.POLLIN else loop.remove_writer)(number)

        with self._changing:  # Or it might be closed just now.
            loop.add_reader(bell, go)
            if self._awaits:
                awaited, event = self._awaits
                number = awaited.fileno()
                (loop.add_reader if event == select.POLLIN else loop.add_writer)(number, go)
            self._unwatch = unwatch
        try:
            await asyncio.wait({done}, timeout=self._patience())
        finally:
            if self._unwatch is unwatch:
                unwatch()
        self._answer_bell()
