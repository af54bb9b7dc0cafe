"""A client of Ostler's bus from Python's standard library alone (3.8 or newer), written from docs/protocol.md.

One thread reads and one writes, so that neither waits for the other. A lost connection is made again, after a pause
that grows from 0.1 to 5 s, with jitter: subscriptions go on, with a `Lost` where the gap is; what was asked fails with
`Disconnected`; events wait, up to 4 MiB. Events that were being written when the connection was lost are lost with it:
`emit(…, ack=True)` tells.
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
import uuid

HELLO, WELCOME, CONTROL, EMIT, REQUEST, REPLY, RUN, CALL, ANSWER = 1, 2, 3, 0x10, 0x11, 0x12, 0x20, 0x21, 0x22
IGNORABLE, RETAIN, RETAINED = 0x01, 0x04, 0x20  # flags
UNSENT_BYTES, BATCH_BYTES = 4 << 20, 256 << 10  # that wait to be written, and go into one write
ITEMS, ITEM_BYTES, WINDOW = 65536, 8 << 20, 1024  # of a subscription, that wait for its reader
OVERHEAD = 512 + 4096  # of a data frame: addresses, and headers
log = logging.getLogger("ostler")


class Error(Exception):
    """What this module raises."""


class Disconnected(Error):
    """There is no connection. If it is `final` there will be none."""

    final = False


class Closed(Disconnected):
    """This program closed it."""

    final = True


class Full(Error):
    """As much as may waits to be written."""


class Refused(Error):
    """The hub or whoever was asked said no: `kind` (Denied, NoResponders, TimedOut, Misfit …) and `reason`."""

    def __init__(self, kind, reason):
        super().__init__(f"{kind}: {reason}")
        self.kind, self.reason = kind, reason


class Lost:
    """In the place of events: `missed` of them (None: nobody knows how many), and the `reason`."""

    def __init__(self, missed, reason):
        self.missed, self.reason = missed, reason


class Message:
    """An event, question or answer: `payload` (what its JSON says, or bytes), `topic`, `origin`, `headers`, `seq`."""

    def __init__(self, body, flags=0):
        self.topic, self.origin, self.seq = body.get("topic"), body["origin"], body.get("seq")
        self.payload = base64.b64decode(body["bytes"]) if "bytes" in body else body.get("payload")
        self.headers, self.is_retained = body.get("headers", {}), bool(flags & RETAINED)


class Call(Message):
    """A question, to be answered once within `timeout` seconds."""

    is_answered = False

    def __init__(self, bus, body):
        super().__init__(body)
        self.timeout, self._bus, self._number, self._life = body["timeout_ms"] / 1000, bus, body["call"], bus._life

    def reply(self, payload=None, headers=None):
        self.is_answered = True
        self._bus._send(REPLY, _body(payload, headers, call=self._number), life=self._life)

    def decline(self, reason):
        self.is_answered = True
        self._bus._tell({"Decline": {"call": self._number, "reason": reason}}, life=self._life)


class Subscription:
    """What comes, in order, with `Lost` in the place of what didn't: iterate, or `get`. A reader that is too slow loses
    the oldest."""

    def __init__(self, bus, number, pattern, options):
        self.bus, self.number = bus, number
        self.op = {"Subscribe": {"sub": number, "pattern": pattern, "options": options}}
        self.is_open, self._window, self._taken = False, options.get("window"), 0
        self._items, self._bytes, self._lost, self._over = collections.deque(), 0, 0, None
        self._came = threading.Condition()

    def get(self, timeout=None):
        """The next. Raises TimeoutError if none comes in time, and why it has ended if it has."""
        with self._came:
            if not self._came.wait_for(lambda: self._items or self._over, timeout):
                raise TimeoutError("nothing has come")
            if self._lost:
                lost, self._lost = Lost(self._lost, "this program reads too slowly"), 0
                return lost
            if not self._items:
                raise self._over
            item, size = self._items.popleft()
            self._bytes -= size
            self._taken += isinstance(item, Message)
            took = self._taken if self._window and (self._taken * 2 >= self._window or not self._items) else 0
            self._taken -= took
        if took:  # The hub sends no more than a window beyond it.
            self.bus._tell({"Took": {"sub": self.number, "count": took}})
        return item

    def __iter__(self):
        with contextlib.suppress(Closed):
            while True:
                yield self.get()

    def close(self):
        """No more. What has come already can still be read."""
        self.bus._subs.pop(self.number, None)
        self._end(Closed("unsubscribed"))
        self.bus._ask(CONTROL, {"op": {"Unsubscribe": {"sub": self.number}}})

    def _put(self, item, size=64):
        with self._came:
            while not self._window and self._items and (len(self._items) >= ITEMS or self._bytes + size > ITEM_BYTES):
                old, freed = self._items.popleft()
                self._bytes -= freed
                self._lost += (old.missed or 0) if isinstance(old, Lost) else 1
            self._items.append((item, size))
            self._bytes += size
            self._came.notify()

    def _end(self, why):
        with self._came:
            self._over = self._over or why
            self._came.notify_all()

    def _each(self, handler):
        pattern = self.op["Subscribe"]["pattern"]
        try:
            for item in self:
                try:
                    handler(item)
                except Exception:  # One mistake must not end all that comes after it.
                    log.exception("handling what %s brought", pattern)
        except Error as error:
            log.warning("nothing more comes for %s: %s", pattern, error)


class Bus:
    """A connection by `path`, or $OSTLER_BUS. `kind`: "client", "observer" (only listens), "operator" (commands)."""

    def __init__(self, path=None, name="python", kind="client", timeout=10, fd=None):
        self.path, self.name, self.kind, self.timeout = path or os.environ.get("OSTLER_BUS"), name, kind, timeout
        self._instance, self._token, self._payload = uuid.uuid4().hex, None, 1 << 20
        self._refs, self._numbers, self._life = itertools.count(1), itertools.count(1), 0
        self._subs, self._asked, self._opening, self._held = {}, {}, {}, set()
        self._out, self._unsent, self._sock, self._over = collections.deque(), 0, None, None
        self._state = threading.Condition()  # guards all of these
        frames = self._connect(None if fd is None else socket.socket(fileno=fd))
        for run, args in ((self._live, (frames,)), (self._write, ())):
            threading.Thread(target=run, args=args, name="ostler", daemon=True).start()

    def emit(self, topic, payload=None, ack=False, retain=False, ttl=None, headers=None):
        """Publishes: JSON, or bytes. With `ack`: returns how many subscriptions it matched once the hub has it."""
        data = {"bytes": base64.b64encode(payload).decode()} if isinstance(payload, bytes) else {"payload": payload}
        body = {"topic": topic, **data, **({"headers": headers} if headers else {})}
        if ttl is not None:
            body["ttl_ms"] = round(ttl * 1000)
        with self._state:  # A subscriber with back-pressure may hold the topic.
            self._state.wait_for(lambda: self._over or topic not in self._held, self.timeout)
        flags = RETAIN if retain else 0
        return self._ask(EMIT, body, flags) if ack else self._send(EMIT, body, flags)

    def request(self, topic, payload=None, timeout=5, headers=None):
        """Asks one of those who serve the topic; returns the answer's payload."""
        body = _body(payload, headers, topic=topic, timeout_ms=round(timeout * 1000))
        return self._ask(REQUEST, body, timeout=timeout + 1).payload

    def request_many(self, topic, payload=None, timeout=5, limit=0, headers=None):
        """Asks all who serve the topic; returns their answers, as Messages: at most `limit` (0: all)."""
        body = _body(payload, headers, topic=topic, timeout_ms=round(timeout * 1000), limit=limit)
        with self._asking(REQUEST, body) as answers:
            got = iter(lambda: _result(answers, timeout + 1), None)
            return list(itertools.takewhile(lambda answer: isinstance(answer, Message), got))

    def subscribe(self, pattern, handler=None, **options):
        """Events from here on; `handler` gets each, in a thread of its own. `options`: of the protocol's Subscribe."""
        if options.get("group") or "Backpressure" in (options.get("policy") or ""):
            options.setdefault("window", WINDOW)
        sub = Subscription(self, next(self._numbers), pattern, options)
        self._subs[sub.number] = sub
        try:
            self._ask(CONTROL, {"op": sub.op}, sub=sub)
        except BaseException:
            self._subs.pop(sub.number, None)
            raise
        if handler:
            threading.Thread(target=sub._each, args=(handler,), name="ostler " + pattern, daemon=True).start()
        return sub

    def serve(self, pattern, handler=None, **options):
        """Questions on these topics. What `handler` returns is the reply, unless it has replied itself; what it
        raises is told to the asker."""

        def answer(call):
            if isinstance(call, Call):
                try:
                    reply = handler(call)
                    if not call.is_answered:
                        call.reply(reply)
                except Exception as error:
                    call.decline(f"{type(error).__name__}: {error}")
                    raise

        return self.subscribe(pattern, handler and answer, serve=True, **options)

    def flush(self, timeout=2):
        """Returns when the hub has taken everything so far."""
        self._ask(CONTROL, {"op": "Drain"}, timeout=timeout)

    def close(self):
        """Flushes, and ends the connection with all its subscriptions."""
        with contextlib.suppress(Error):
            self.flush()
        self._finish(Closed("this program closed it"))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    # Asking and telling.

    def _tell(self, op, life=None):
        self._send(CONTROL, {"ref": 0, "op": op}, life=life)

    def _ask(self, kind, body, flags=0, timeout=None, sub=None):
        with self._asking(kind, body, flags, sub) as answers:
            return _result(answers, timeout or self.timeout)

    @contextlib.contextmanager
    def _asking(self, kind, body, flags=0, sub=None):
        ref, answers = next(self._refs), queue.SimpleQueue()
        if sub:
            self._opening[ref] = sub
        self._asked[ref] = answers
        try:
            self._send(kind, {"ref": ref, **body}, flags)
            yield answers
        finally:
            self._asked.pop(ref, None)

    def _send(self, kind, body, flags=0, life=None):
        """Queues a frame, with the reference that must be waited for when it is written; None: it is worth sending on
        any connection. With `life`: on none but that."""
        frame = _frame(kind, flags, body)
        if len(frame) > self._payload + OVERHEAD:
            raise Refused("Limit", f"a frame of {len(frame)} bytes: a payload may have {self._payload}")
        with self._state:
            if not self._state.wait_for(lambda: self._over or self._unsent < UNSENT_BYTES, self.timeout):
                raise Full(f"{self._unsent} bytes wait to be written")
            if self._over:
                raise self._over
            if life in (None, self._life):
                self._out.append((frame, None if kind == EMIT and "ref" not in body else body.get("ref", 0)))
                self._unsent += len(frame)
                self._state.notify_all()

    # The connection.

    def _connect(self, sock=None):
        """Connects, agrees, subscribes again; returns what to read from."""
        if sock is None and not self.path:
            raise Disconnected("no path was given, and OSTLER_BUS is not set")
        is_new, sock = sock is None, sock or socket.socket(socket.AF_UNIX)
        try:
            sock.settimeout(self.timeout)
            if is_new:
                sock.connect(self.path)
            frames = sock.makefile("rb", 1 << 16)
            hello = {"magic": "ostler", "proto": [1, 1], "codecs": ["json"], "kind": self.kind, "name": self.name}
            with contextlib.suppress(OSError):  # It may say why it closes before it reads.
                sock.sendall(_frame(HELLO, 0, {**hello, "instance": self._instance, "token": self._token}))
            kind, _, body, _ = _read(frames, 1 << 16)
            if kind != WELCOME:
                raise _closing(body["op"]["Closing"])
            sock.settimeout(None)
        except BaseException:
            sock.close()
            raise
        self._payload, self._token = body["limits"]["payload"], body.get("token", self._token)
        with self._state:
            for sub in [sub for sub in reversed(list(self._subs.values())) if sub.is_open]:
                ref = next(self._refs)
                self._opening[ref] = sub
                frame = _frame(CONTROL, 0, {"ref": ref, "op": sub.op})
                self._out.appendleft((frame, 0))
                self._unsent += len(frame)
            self._sock = sock
            self._state.notify_all()
        return frames

    def _live(self, frames):
        why = None
        while not self._over:
            try:
                while True:
                    self._take(*_read(frames, 5 * self._payload + (1 << 20)))
            except (OSError, ValueError, LookupError, Error) as error:
                why = error if isinstance(error, Error) else Disconnected(f"the connection was lost: {error}")
            self._drop(why)
            pause, frames = 0.1, None
            while not (frames or self._over):
                if getattr(why, "final", False) or (self.kind == "worker" and not self._token):
                    return self._finish(why)
                with self._state:
                    self._state.wait_for(lambda: self._over, random.uniform(pause / 2, pause))
                pause = min(pause * 2, 5)
                try:
                    frames = self._connect()
                except (OSError, ValueError, LookupError, Error) as error:
                    why = error

    def _drop(self, why):
        """The connection is gone, and whatever was asked on it."""
        with self._state:
            sock, self._sock, self._life = self._sock, None, self._life + 1
            self._out = collections.deque(entry for entry in self._out if entry[1] is None)
            self._unsent = sum(len(frame) for frame, _ in self._out)
            asked = list(self._asked.values())
            self._opening.clear()
            self._held.clear()
            self._state.notify_all()
        if sock:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
            sock.close()
        for answers in asked:
            answers.put(why)

    def _finish(self, why):
        with self._state:
            self._over = why = self._over or why
            sock = self._sock
            self._state.notify_all()
        if sock:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        for waiting in list(self._asked.values()):
            waiting.put(why)
        for sub in list(self._subs.values()):
            sub._end(why)

    def _write(self):
        while True:
            with self._state:
                self._state.wait_for(lambda: self._over or (self._sock and self._out))
                if self._over:
                    return
                sock, batch, size = self._sock, [], 0
                while self._out and size < BATCH_BYTES:
                    frame, ref = self._out.popleft()
                    size += len(frame)
                    if not ref or ref in self._asked:
                        batch.append(frame)
                self._unsent -= size
                self._state.notify_all()
            with contextlib.suppress(OSError):  # The reader hears of it too.
                sock.sendall(b"".join(batch))

    def _take(self, kind, flags, body, size):
        if kind == RUN:
            sub, item = self._subs.get(body["sub"]), Message(body, flags)
            if sub:
                sub._put(item, size)
        elif kind == CALL:
            sub = self._subs.get(body["sub"])
            if sub:
                sub._put(Call(self, body), size)
        elif kind == ANSWER:
            self._answer(body["ref"], Message(body))
        elif kind == CONTROL:
            op = body["op"]
            self._control(body["ref"], *(next(iter(op.items())) if isinstance(op, dict) else (op, {})))
        elif not flags & IGNORABLE:
            raise Disconnected(f"the hub sent a frame of the unknown type {kind}")

    def _control(self, ref, name, fields):
        sub = self._subs.get(fields.get("sub"))
        if name == "Closing":
            raise _closing(fields)
        elif name == "Done":
            self._answer(ref, fields["count"])
        elif name == "Refused" and ref:
            self._answer(ref, Refused(fields["kind"], fields["reason"]))
        elif name == "Refused":
            log.warning("refused: %s: %s", fields["kind"], fields["reason"])
        elif name == "Lagged" and sub:
            sub._put(Lost(fields["missed"], "the hub dropped them: too many waited"))
        elif name == "Misfit" and sub:
            sub._put(Lost(fields["missed"], f"{fields['topic']}: {fields['reason']}"))
        elif name in ("Hold", "Release"):
            with self._state:
                (self._held.add if name == "Hold" else self._held.discard)(fields["topic"])
                self._state.notify_all()

    def _answer(self, ref, what):
        asked, sub = self._asked.get(ref), self._opening.pop(ref, None)
        if sub:
            sub.is_open = not isinstance(what, Error)
        if asked:
            asked.put(what)
        elif sub and isinstance(what, Error):
            sub._end(what)
        elif sub and not sub.op["Subscribe"]["options"].get("serve"):
            sub._put(Lost(None, "the connection was lost, and made again"))


class Worker(Bus):
    """This process as the worker of Ostler that it is: `id`, `app`, `slot`, `generation`; `draining` is an Event, set
    by the master's word, TERM or INT; then `reason` says why and `deadline` (of time.monotonic) until when."""

    def __init__(self):
        env = os.environ
        if "OSTLER_BUS_FD" not in env:
            raise Disconnected("OSTLER_BUS_FD is not set: this process was not started by Ostler")
        fd, self.app = int(env.pop("OSTLER_BUS_FD")), env["OSTLER_APP"]
        self.id, self.slot, self.generation = (int(env["OSTLER_" + k]) for k in ("WORKER_ID", "SLOT", "GENERATION"))
        self.draining, self.reason, self.deadline = threading.Event(), None, None
        os.set_inheritable(fd, False)
        super().__init__(name=self.app, kind="worker", fd=fd)
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGTERM, signal.SIGINT):
                signal.signal(number, self._on_signal)
        self.serve(f"to.worker.{self.id}.drain", self._told_to_drain)

    def listen(self, name):
        """The listening socket that the process file declares under this name."""
        names = os.environ.get("LISTEN_FDNAMES", "").split(":")
        if os.environ.get("LISTEN_PID", str(os.getpid())) != str(os.getpid()) or name not in names:
            raise LookupError(f"no socket {name!r} was inherited, but {names}")
        sock = socket.socket(fileno=3 + names.index(name))
        sock.set_inheritable(False)
        sock.setblocking(False)  # Another worker may be faster than this one's accept.
        return sock

    def ready(self):
        """Says that it can serve. Until then the master takes no old worker away."""
        self.request("_sys.worker.ready", {})

    def disconnect(self):
        """Says that it goes of its own accord: its exit is no crash."""
        self.request("_sys.worker.disconnect", {})

    def _told_to_drain(self, call):
        call.reply()  # First: this program may end at once.
        self.drain(call.payload["reason"], call.payload["deadline_ms"] / 1000)

    def _on_signal(self, number, _):  # A handler may interrupt whoever holds the Event's lock.
        threading.Thread(target=self.drain, args=(signal.Signals(number).name, 30), daemon=True).start()

    def drain(self, reason, seconds):
        """Begins to drain; the first reason stands."""
        if not self.draining.is_set():
            self.reason, self.deadline = reason, time.monotonic() + seconds - min(0.25, seconds / 10)
            self.draining.set()


def _body(payload, headers, **fields):
    return {**fields, "payload": payload, **({"headers": headers} if headers else {})}


def _result(answers, timeout):
    try:
        got = answers.get(timeout=max(timeout, 0))
    except queue.Empty:
        raise Refused("TimedOut", "the hub has not answered") from None
    if isinstance(got, Exception):
        raise got
    return got


def _frame(kind, flags, body):
    text = json.dumps(body, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()
    return struct.pack(">IBB", len(text) + 2, kind, flags) + text


def _read(frames, limit):
    head = frames.read(6)
    if len(head) < 6:
        raise Disconnected("the hub has closed the connection")
    length, kind, flags = struct.unpack(">IBB", head)
    if not 2 <= length <= limit:
        raise Disconnected(f"the hub sent a frame of {length} bytes")
    text = frames.read(length - 2)
    if len(text) < length - 2:
        raise Disconnected("the hub has closed the connection amid a frame")
    return kind, flags, json.loads(text), length


def _closing(fields):
    error = Disconnected(f"{fields['kind']}: {fields['reason']}")
    error.final = fields["kind"] in ("Hello", "Denied", "Replaced")
    return error
