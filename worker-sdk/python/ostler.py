"""A client of Ostler's bus from Python's standard library alone (3.9 or newer), written from docs/protocol.md.

Whoever says something writes it; one thread reads, and makes a lost connection again. Meanwhile events wait, up to 4 MiB,
and questions until their time-out; what was asked already raises `Disconnected`. Subscriptions go on where they ended: what
can't be brought any more is told by a `Lost` in its place, with its exact number. An event that was written just before may
be lost with the connection: `emit(…, ack=True)` tells.
"""

import base64
import collections
import contextlib
import itertools
import json
import logging
import os
import queue
import random
import signal
import socket
import struct
import threading
import time

HELLO, WELCOME, CONTROL, EMIT, REQUEST, REPLY, RUN, CALL, ANSWER = 1, 2, 3, 0x10, 0x11, 0x12, 0x20, 0x21, 0x22
IGNORABLE, RETAIN, CONTROL_LANE, RETAINED, HISTORY = 0x01, 0x04, 0x10, 0x20, 0x80  # flags
UNSENT_BYTES = 4 << 20  # of events that wait for a connection
WINDOW, MOST = 256, 65536  # events that the hub sends ahead of their reader; what may wait for it in any case
FIRST_PAUSE, LONGEST_PAUSE = 0.05, 5  # seconds before another connection, at most
log = logging.getLogger("ostler")


class Error(Exception):
    """What this module raises."""


class Disconnected(Error):
    """There is no connection. If it is `final` there will be none."""

    def __init__(self, reason, final=False):
        super().__init__(reason)
        self.final = final


class Closed(Disconnected):
    """This program closed it."""


class Full(Error):
    """Nothing more can wait to be sent."""


class Refused(Error):
    """The hub or whoever was asked said no: `kind` (Denied, NoResponders, TimedOut, Misfit …) and `reason`."""

    def __init__(self, kind, reason):
        super().__init__(f"{kind}: {reason}")
        self.kind, self.reason = kind, reason


class Lost(collections.namedtuple("Lost", "missed reason")):
    """In the place of events: `missed` of them (None: nobody knows how many), and the `reason`."""


class Message:
    """An event, question or answer: `payload` (what its JSON says, or bytes), `topic`, `origin`, `headers`, `seq`."""

    def __init__(self, body, flags=0):
        self.topic, self.origin, self.seq = body.get("topic"), body["origin"], body.get("seq")
        self.payload = base64.b64decode(body["bytes"]) if "bytes" in body else body.get("payload")
        self.headers, self.is_retained = body.get("headers") or {}, bool(flags & RETAINED)


class Call(Message):
    """A question, to be answered within `timeout` seconds by what its handler returns, or by `reply` before it returns."""

    def __init__(self, body, bus):
        super().__init__(body)
        self.timeout, self.is_answered = body["timeout_ms"] / 1000, False
        self._number, self._bus, self._link = body["call"], bus, bus._link

    def reply(self, payload=None, headers=None):
        self._bus._send(REPLY, {"call": self._number, "payload": payload, "headers": headers}, link=self._link)
        self.is_answered = True


class Subscription:
    """What comes, in order: Messages, and a `Lost` in the place of what didn't. Iterate, or `get`; in one thread."""

    def __init__(self, bus, number, pattern, options):
        self.bus, self.number, self.pattern, self.options = bus, number, pattern, options
        self._items, self._link, self._untold = queue.SimpleQueue(), 0, 0  # read, of a connection, and not told
        self._since, self._taken, self._is_resumed = 0, 0, False  # to go on by on another connection

    def get(self, timeout=None):
        """The next. Raises `queue.Empty` if none comes in time, and why it has ended if it has."""
        item, link = self._items.get(timeout=timeout)
        if isinstance(item, Error):
            self._items.put((item, 0))
            raise item
        if link:
            self._link, self._untold = link, 1 + (self._untold if link == self._link else 0)
        if self._untold and (self._items.empty() or self._untold * 2 >= (self.options["window"] or 0)):
            took, self._untold = _op("Took", sub=self.number, count=self._untold), 0
            self.bus._send(CONTROL, took, link=self._link)  # The hub sends no more than a window beyond it.
        return item

    def __iter__(self):
        with contextlib.suppress(Closed):
            while True:
                yield self.get()

    def close(self):
        """No more. What has come already can still be read."""
        with contextlib.suppress(Disconnected):  # Then there is nobody to tell.
            self.bus._ask(CONTROL, _op("Unsubscribe", sub=self.number))
        self._end(Closed(f"{self.pattern} was unsubscribed"))

    def _subscribe(self, **resume):
        self._is_resumed = False
        return _op("Subscribe", sub=self.number, pattern=self.pattern, options={**self.options, **resume})

    def _resume(self, is_same_life):
        self._since = self._since if is_same_life else 0
        point = {"sub": self.number, "since": self._since, "taken": self._taken}
        return self._subscribe() if self.options.get("serve") else self._subscribe(resume=point)

    def _resubscribed(self, answer):
        if isinstance(answer, Refused):
            self._end(answer)

    def _end(self, why):
        if self.bus._subs.pop(self.number, None):
            self._items.put((why, 0))

    def _event(self, body, flags):
        if not flags & CONTROL_LANE:
            self._since = body["seq"]
        if self._is_resumed and flags & HISTORY or not flags & (HISTORY | RETAINED):
            self._taken += 1
        self._put(Message(body, flags), 0 if flags & CONTROL_LANE else self.bus._link)

    def _lose(self, missed, reason):
        self._taken = 0 if missed is None else self._taken + missed
        if missed != 0:
            self._put(Lost(missed, reason))

    def _put(self, item, link=0):
        if self._items.qsize() >= MOST:  # A window holds back events; this is for questions, and the control lane.
            raise Disconnected(f"nobody takes what comes for {self.pattern}")
        self._items.put((item, link))


class Bus(contextlib.AbstractContextManager):
    """A connection by `path`, or $OSTLER_BUS, as a "client", an "observer" (only listens) or an "operator" (commands)."""

    def __init__(self, path=None, name="python", kind="client", timeout=10, fd=None):
        self.path, self.name, self.kind, self.timeout = path or os.environ.get("OSTLER_BUS"), name, kind, timeout
        self._instance, self._token, self._life, self._limits = os.urandom(16).hex(), None, None, {}
        self._refs, self._numbers = itertools.count(1), itertools.count(1)
        self._subs, self._asked, self._held, self._threads = {}, {}, {}, []
        self._writing = threading.Lock()  # guards the next line
        self._sock, self._link, self._unsent, self._unsent_bytes = None, 0, collections.deque(), 0
        self._up, self._closing, self._over = threading.Event(), threading.Event(), None
        self._start(self._run, fd)
        self._up.wait()
        if self._over:
            raise self._over

    def emit(self, topic, payload=None, ack=False, retain=False, ttl=None, headers=None):
        """Publishes: JSON, or bytes. With `ack`: returns how many subscriptions it matched once the hub has it."""
        held = self._held.get(topic)
        if held and not held.wait(self.timeout):
            raise Full(f"who subscribed to {topic} has asked to wait for {self.timeout} s now: emit less, or later")
        data = {"bytes": base64.b64encode(payload).decode()} if isinstance(payload, bytes) else {"payload": payload}
        body = {"topic": topic, **data, "ttl_ms": None if ttl is None else round(ttl * 1000), "headers": headers}
        return (self._ask if ack else self._send)(EMIT, body, RETAIN if retain else 0)

    def request(self, topic, payload=None, timeout=5, headers=None):
        """Asks one of those who serve the topic; returns the answer's payload."""
        body = {"topic": topic, "payload": payload, "timeout_ms": round(timeout * 1000), "headers": headers}
        return self._ask(REQUEST, body, timeout=timeout + 1).payload

    def request_many(self, topic, payload=None, timeout=5, limit=0, headers=None):
        """Asks all who serve the topic; returns their answers, as Messages: at most `limit` (0: all)."""
        body = {"topic": topic, "payload": payload, "timeout_ms": round(timeout * 1000), "headers": headers}
        answers = self._answers(REQUEST, {**body, "limit": limit}, timeout=timeout + 1)
        return list(itertools.takewhile(lambda answer: isinstance(answer, Message), answers))

    def subscribe(self, pattern, **options):
        """Events from here on. `options`: of the protocol's Subscribe."""
        sub = Subscription(self, next(self._numbers), pattern, {"window": WINDOW, **options})
        self._ask(CONTROL, sub._subscribe(), opens=sub)
        return sub

    def serve(self, pattern, handler):
        """Has questions on these topics answered by `handler`, one after the other, in a thread. What it raises is told to
        the asker."""
        sub = self.subscribe(pattern, serve=True, window=None)
        self._start(self._serve, sub, handler)
        return sub

    def flush(self, timeout=2):
        """Returns when the hub has taken everything so far."""
        self._ask(CONTROL, {"op": "Drain"}, timeout=timeout)

    def close(self):
        """Drains, and ends: takes nothing new, answers what was asked, waits until the hub has taken everything."""
        with contextlib.suppress(Error):
            for sub in list(self._subs.values()):
                sub.close()
            for thread in self._threads[1:]:
                if thread is not threading.current_thread():
                    thread.join(self.timeout)
            self.flush()
        self._over = self._over or Closed("this program closed the connection")
        self._closing.set()
        _cut(self._sock)
        self._threads[0].join(self.timeout)

    def __exit__(self, *_):
        self.close()

    def _start(self, run, *args):
        self._threads.append(threading.Thread(target=run, args=args, name="ostler", daemon=True))
        self._threads[-1].start()

    def _serve(self, sub, handler):
        with contextlib.suppress(Disconnected):  # Whoever else uses this connection hears of it.
            for call in sub:
                try:
                    answer = handler(call)
                    if not call.is_answered:
                        call.reply(answer)
                except Exception as error:  # One mistake must not end all that comes after it.
                    log.exception("answering what was asked on %s", call.topic)
                    reason = f"{type(error).__name__}: {error}"[:1000]
                    self._send(CONTROL, _op("Decline", call=call._number, reason=reason), link=call._link)

    # Asking and telling.

    def _ask(self, *args, **options):
        return next(self._answers(*args, **options))

    def _answers(self, kind, body, flags=0, timeout=None, opens=None):
        """Sends this with a reference, and yields what comes for it."""
        timeout = timeout or self.timeout
        self._up.wait(timeout)
        ref, answers = next(self._refs), queue.SimpleQueue()

        def take(answer):  # in the thread that reads, before anything that follows
            if opens and not isinstance(answer, Error):
                self._subs[opens.number] = opens
            answers.put(answer)

        self._asked[ref] = take
        try:
            self._send(kind, {**body, "ref": ref}, flags)
            while True:
                answer = answers.get(timeout=timeout)
                if isinstance(answer, Error):
                    raise answer
                yield answer
        except queue.Empty:
            raise Refused("TimedOut", f"the hub has not answered within {timeout} s") from None
        finally:
            self._asked.pop(ref, None)

    def _send(self, kind, body, flags=0, link=0):
        """Writes a frame; with a `link`, to that connection or none."""
        frame = _frame(kind, body, flags)
        most = self._limits["control"] if kind == CONTROL else self._limits["payload"] + 4608  # for topic and headers
        if len(frame) - 4 > most:
            raise Refused("Limit", f"a frame of {len(frame) - 4} bytes, and the hub takes {most}: send less at once")
        with self._writing:
            if link and (self._over or link != self._link):
                return
            if self._over:
                raise self._over
            if self._sock:
                with contextlib.suppress(OSError):  # It broke, or takes nothing: what was written in part is not taken.
                    return self._sock.sendall(frame)
                _cut(self._sock)
            if kind != EMIT or "ref" in body:
                raise Disconnected(f"there is no connection to {self.path}: try again")
            if self._unsent_bytes + len(frame) > UNSENT_BYTES:
                raise Full(f"{self._unsent_bytes} bytes wait for a connection to {self.path}: emit less, or later")
            self._unsent.append(frame)
            self._unsent_bytes += len(frame)

    # The connection.

    def _run(self, fd):
        """Connects again and again, until this program closes it or the hub doesn't want it."""
        ceiling = FIRST_PAUSE
        while not self._over:
            since = time.monotonic()
            try:
                sock = socket.socket(socket.AF_UNIX) if fd is None else socket.socket(fileno=fd)
                with sock, sock.makefile("rb", 1 << 16) as frames:
                    self._talk(sock, frames, is_new=fd is None)
            except Exception as error:  # Whatever was wrong with what came, another connection begins behind it.
                lost = Disconnected(f"no connection to {self.path}: {error!r}: does its master run?")
                why = error if isinstance(error, Disconnected) else lost
                log.info("%s", why)
            if why.final or not self._link or (self.kind == "worker" and not self._token):
                self._over = self._over or why
            while self._asked:
                self._asked.popitem()[1](self._over or why)
            while self._held:
                self._held.popitem()[1].set()
            if time.monotonic() - since > 2 * LONGEST_PAUSE:
                ceiling = FIRST_PAUSE
            self._closing.wait(0 if self._over else random.uniform(0, ceiling))
            ceiling, fd = min(ceiling * 2, LONGEST_PAUSE), None
        for sub in list(self._subs.values()):
            sub._end(self._over)
        self._up.set()  # Nobody need wait for it any more.

    def _talk(self, sock, frames, is_new):
        """One connection: agrees, subscribes again, sends what waits, and takes what comes, to its end."""
        sock.settimeout(self.timeout)
        if is_new and not self.path:
            raise Disconnected("no path was given, and OSTLER_BUS is not set: give the path of a master's bus.sock", True)
        if is_new:
            sock.connect(self.path)
        hello = {"magic": "ostler", "proto": [1, 1], "codecs": ["json"], "kind": self.kind, "name": self.name}
        with contextlib.suppress(OSError):  # It may say why it closes before it reads.
            sock.sendall(_frame(HELLO, {**hello, "instance": self._instance, "token": self._token}))
        welcome = _read(frames, 1 << 16)[2]
        if "op" in welcome:
            raise _closing(**welcome["op"]["Closing"])
        sock.settimeout(None)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("@ll", int(self.timeout) + 1, 0))
        self._limits, self._token = welcome["limits"], welcome.get("token", self._token)
        try:
            with self._writing:
                self._link += 1
                for sub in list(self._subs.values()):
                    ref = next(self._refs)
                    self._asked[ref] = sub._resubscribed
                    sock.sendall(_frame(CONTROL, {**sub._resume(welcome["life"] == self._life), "ref": ref}))
                while self._unsent:
                    sock.sendall(self._unsent[0])
                    self._unsent_bytes -= len(self._unsent.popleft())
                self._sock, self._life = sock, welcome["life"]
            self._up.set()
            while not self._over:
                self._take(*_read(frames, 4 * max(self._limits.values()) + (1 << 20)))
        finally:
            _cut(sock)  # Whoever is writing stops.
            with self._writing:
                self._sock = None
            self._up.clear()

    def _take(self, kind, flags, body):
        sub, answered = self._subs.get(body.get("sub")), self._asked.get(body.get("ref"), lambda _: None)
        if kind == RUN and sub:
            sub._event(body, flags)
        elif kind == CALL and sub:
            sub._put(Call(body, self))
        elif kind == ANSWER:
            answered(Message(body))
        elif kind == CONTROL:
            [(name, fields)] = body["op"].items()
            self._control(name, fields, self._subs.get(fields.get("sub")), answered)
        elif kind not in (RUN, CALL) and not flags & IGNORABLE:
            raise Disconnected(f"the hub sent a frame of the unknown type {kind}")

    def _control(self, name, fields, sub, answered):
        if name == "Done":
            answered(fields["count"])
        elif name == "Refused":
            log.info("refused: %s: %s", fields["kind"], fields["reason"])
            answered(Refused(**fields))
        elif name == "Closing":
            raise _closing(**fields)
        elif name in ("Lagged", "Misfit", "Resumed") and sub:
            sub._is_resumed |= name == "Resumed"
            sub._lose(fields["missed"], fields.get("reason") or WHY[name])
        elif name == "Hold":
            self._held.setdefault(fields["topic"], threading.Event())
        elif name == "Release" and fields["topic"] in self._held:
            self._held.pop(fields["topic"]).set()


class Worker(Bus):
    """This process as the worker of Ostler that it is: `id`, `app`, `slot`, `generation`; `draining` is an Event, set
    by the master's word, TERM or INT; then `reason` says why and `deadline` (of time.monotonic) until when."""

    def __init__(self):
        env = os.environ
        if "OSTLER_BUS_FD" not in env:
            raise Disconnected("OSTLER_BUS_FD is not set: start this program by `ostler run`", final=True)
        fd, self.app = int(env.pop("OSTLER_BUS_FD")), env["OSTLER_APP"]  # What this process starts is no worker.
        self.id, self.slot, self.generation = (int(env["OSTLER_" + k]) for k in ("WORKER_ID", "SLOT", "GENERATION"))
        self.draining, self.reason, self.deadline = threading.Event(), None, None
        self._begun, self._ended, self._counting, self._changed = 0, 0, threading.Lock(), threading.Event()
        self._saying = threading.Lock()  # What is said last is the newest.
        os.set_inheritable(fd, False)
        super().__init__(name=self.app, kind="worker", fd=fd)
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGTERM, signal.SIGINT):
                signal.signal(number, self._on_signal)
        self.serve(f"to.worker.{self.id}.drain", self._told_to_drain)
        self._counts = env.get("OSTLER_COUNT_REQUESTS") == "1"
        if self._counts:  # Not among the threads that `close` waits for: it waits for requests.
            threading.Thread(target=self._tell_served, name="ostler", daemon=True).start()

    def listen(self, name):
        """The listening socket that the process file declares under this name."""
        names = os.environ.get("LISTEN_FDNAMES", "").split(":")
        if os.environ.get("LISTEN_PID", str(os.getpid())) != str(os.getpid()) or name not in names:
            raise LookupError(f"no socket {name!r} was inherited, but {names}: declare it in the app's `listen`")
        sock = socket.socket(fileno=3 + names.index(name))
        sock.set_inheritable(False)
        sock.setblocking(False)  # Another worker may be faster than this one's accept.
        return sock

    def ready(self):
        """Says that it can serve. Until then the master takes no old worker away."""
        if self._counts:
            self._say_served()
        self.request("_sys.worker.ready", {})

    @contextlib.contextmanager
    def count_request(self):
        """`with worker.count_request(): …` is a request from begin to end, for `max_requests` and `idle_timeout`."""
        with self._counting:
            self._begun += 1
        self._changed.set()
        try:
            yield
        finally:
            with self._counting:
                self._ended += 1
            self._changed.set()

    def _say_served(self):
        with self._saying:
            self._changed.clear()
            with self._counting:
                served = {"requests": self._begun, "under_way": self._begun - self._ended}
            self.request("_sys.worker.served", served)

    def _tell_served(self):
        while self._changed.wait() and not self._over:
            try:
                self._say_served()
            except (Disconnected, Refused):  # Not heard: said again.
                self._changed.set()
            self._closing.wait(1)

    def close(self):
        super().close()
        self._changed.set()  # Its thread ends.

    def disconnect(self):
        """Says that it goes of its own accord: its exit is no crash."""
        self.request("_sys.worker.disconnect", {})

    def drain(self, reason, seconds):
        """Begins to drain; the first reason stands."""
        if not self.draining.is_set():
            self.reason, self.deadline = reason, time.monotonic() + seconds - min(0.25, seconds / 10)
            self.draining.set()

    def _told_to_drain(self, call):
        call.reply()  # First: this program may end at once.
        self.drain(call.payload["reason"], call.payload["deadline_ms"] / 1000)

    def _on_signal(self, number, _):  # A handler may interrupt whoever holds the Event's lock.
        threading.Thread(target=self.drain, args=(signal.Signals(number).name, 30), daemon=True).start()


WHY = {"Lagged": "the hub dropped them: too many waited", "Resumed": "the connection was lost, and made again"}


def _op(name, **fields):
    return {"ref": 0, "op": {name: fields}}


def _frame(kind, body, flags=0):
    said = {key: value for key, value in body.items() if value is not None}
    text = json.dumps(said, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()
    return struct.pack(">IBB", len(text) + 2, kind, flags) + text


def _read(frames, limit):
    head = frames.read(6)
    length, kind, flags = struct.unpack(">IBB", head) if len(head) == 6 else (2, 0, 0)
    if not 2 <= length <= limit:
        raise Disconnected(f"the hub sent a frame of {length} bytes, where {limit} are the most")
    text = frames.read(length - 2)
    if len(text) < max(length - 2, 1):
        raise Disconnected("the hub has closed the connection")
    return kind, flags, json.loads(text)


def _cut(sock):
    if sock:
        with contextlib.suppress(OSError):
            sock.shutdown(socket.SHUT_RDWR)


def _closing(kind, reason):
    final = kind in ("Denied", "Hello", "Replaced", "Framing")
    return Disconnected(f"the hub has closed the connection: {kind}: {reason}", final)
