"""The channel by which a worker asks for sockets at run time, and connections are passed on."""

import array
import contextlib
import errno
import itertools
import json
import os
import queue
import socket
import threading

import ostler

from .packets import receive

LONGEST = 16 << 10  # bytes of a packet


class NotSent(ostler.Error):
    """A connection was not passed on: `connection` is as good as before; or None, if nobody knows who has it."""

    def __init__(self, reason, connection):
        super().__init__(f"the connection was not sent: {reason}")
        self.connection = connection


class Passing:
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
        with contextlib.suppress(OSError):
            while self._hear_one():
                pass
        self._is_lost = True
        for answers in list(self._asked.values()):
            answers.put(None)

    def _hear_one(self):
        """False at the end."""
        text, fds = receive(self._sock, LONGEST, 2)
        try:
            [(kind, body)] = json.loads(text).items()
            told = {**body, "kind": kind, "fds": fds}
            answers = self._asked.pop(body.get("id"), None)
        except (ValueError, TypeError, AttributeError):  # A word of a later version is for nobody here.
            told, answers = {"kind": None, "fds": fds}, None
        answers.put(told) if answers else self._unwanted(told)
        return bool(text)

    def _unwanted(self, told):
        for fd in (told or {}).get("fds", ()):
            os.close(fd)
        if told and told["kind"] == "connection":
            self.tell("refuse", told["id"])


def resolved(address, kind):
    """All that an address stands for, as the master wants them."""
    if address.startswith("unix:"):
        return ["unix:" + os.path.abspath(address[5:])]
    host, _, port = f"127.0.0.1:{address}".rpartition(":") if address.isdigit() else address.rpartition(":")
    found = socket.getaddrinfo(host.strip("[]") or "0.0.0.0", port, type=kind)
    return [f"[{at[0]}]:{at[1]}" if family == socket.AF_INET6 else f"{at[0]}:{at[1]}" for family, _, _, _, at in found]
