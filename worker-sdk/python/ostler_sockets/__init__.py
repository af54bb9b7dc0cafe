"""Sockets of a worker of Ostler, beside ostler.py, from Python's standard library alone (3.9 or newer): connections that
the master accepted and hands over (`balanced`), sockets asked for at run time, and connections passed to other workers.

A `Listener` is iterated over, `for` or `async for`; whoever accepts, the connections look the same. All else blocks, and is
called from any thread; in a coroutine by `await asyncio.to_thread(…)`.
"""

import asyncio
import contextlib
import errno
import functools
import logging
import os
import socket
import time

import ostler

from .listener import Listener, Socket
from .packets import inherited
from .passing import NotSent, Passing, resolved

__all__ = ["Listener", "NotSent", "Worker"]
HEADER = "ostler-connection"
log = logging.getLogger("ostler")


class Worker(ostler.Worker):
    """A worker with listeners, sockets asked for at run time, and connections to give and to get."""

    def __init__(self):
        self._tells, self._draining_since, self._leaves = [], None, False
        super().__init__()
        named = os.environ.pop("OSTLER_HANDOVER", "").split(":")  # What this process starts is no worker.
        named = (pair.split("=") for pair in named if pair)
        self._channels = {name: inherited(int(fd)) for name, fd in named}
        self._strips = os.environ.pop("OSTLER_PROXY_PROTOCOL", "").split(":")
        passing = os.environ.pop("OSTLER_PASSING", None)
        self._passing = Passing(inherited(int(passing))) if passing else None

    def listener(self, name):
        """The socket that the process file declares under this name, whoever accepts there."""
        return Listener(self, self.listen(name), self._channels.pop(name, None), name in self._strips)

    def listen_at(self, address, backlog=None, v6_only=False, permissions=None):
        """Listens at "127.0.0.1:8080", "[::1]:0", ":8080" or "unix:PATH", with all workers of this app that ask for the same.
        Raises the OSError that it couldn't be had for. Ask before `ready`."""
        options = {"backlog": backlog, "v6_only": v6_only, "permissions": permissions}
        return Listener(self, *self._at(resolved(address, socket.SOCK_STREAM), options))

    def udp_at(self, address, v6_only=False):
        """A UDP socket that doesn't block, likewise shared: each datagram goes to one of the workers."""
        addresses = resolved(address.removeprefix("udp:"), socket.SOCK_DGRAM)
        return self._at([f"udp:{each}" for each in addresses], {"v6_only": v6_only})[0]

    def send_connection(self, connection, topic, payload=None, timeout=5):
        """Gives an open connection to a worker that receives such (`to.slot.APP.3.games.join` …), with a message. It is closed
        here then. Raises NotSent."""
        try:
            passing = self._needs_passing()
            gift, told = passing.ask("give", [connection.fileno()])
        except (OSError, ostler.Disconnected) as error:
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
