"""Headers that a proxy puts before what the client says (the PROXY protocol, version 1 or 2), taken off where no master does."""

import collections
import itertools
import logging
import select
import socket
import struct
import time

WITHIN = 5  # seconds in which a header must come
MOST = 1024  # connections whose headers are waited for; more are not accepted meanwhile
LONGEST_LINE, LONGEST = 107, 4096  # bytes of the longest header of version 1, and of 2
BINARY = b"\r\n\r\n\0\r\nQUIT\n"  # how those of version 2 begin
log = logging.getLogger("ostler")


class Headers:
    """Accepts in the master's stead where a proxy's header (of the PROXY protocol, version 1 or 2) comes before all else, and
    takes it off. It is waited for as a socket; one client that is silent or slow holds up nobody else."""

    def __init__(self, sock):
        self._socket, self._epoll = sock, select.epoll()
        self._awaited = {}  # connections whose headers have not come: what has, and until when; by descriptor, the oldest first
        self._begun = collections.deque()  # connections whose headers have come
        self._is_watched = False
        self._watch(True)

    def fileno(self):
        return self._epoll.fileno()

    def awaits_any(self):
        return bool(self._awaited or self._begun)

    def due(self):
        """When the next one has taken too long, if any waits."""
        return [until for _, _, until in itertools.islice(self._awaited.values(), 1)]

    def stop(self, until):
        """Accepts nothing more; what was accepted is waited for as before, until then at the latest."""
        if self._socket:
            self._watch(False)
            self._socket = None
            self._awaited = {fd: (*rest, min(until, late)) for fd, (*rest, late) in self._awaited.items()}

    def read(self):
        """What has come of headers, whether there is room for their connections or not."""
        for fd, _ in self._epoll.poll(0):
            connection, come, _ = self._awaited.get(fd, (None, None, None))
            if connection and self._stripped(connection, come):
                self._begun.append(self._forget(fd))
        self._drop_late()

    def accept(self):
        """As a socket does. Raises BlockingIOError until another connection is here, or a header has come."""
        self.read()
        if self._begun:
            return self._begun.popleft(), None
        while self._socket and len(self._awaited) < MOST:
            connection, come = self._socket.accept()[0], bytearray()
            connection.setblocking(False)
            fd = connection.fileno()
            self._epoll.register(fd, select.EPOLLIN)
            self._awaited[fd] = connection, come, time.monotonic() + WITHIN
            if self._stripped(connection, come):
                return self._forget(fd), None
        self._watch(False)  # Until one of them has gone.
        raise BlockingIOError

    def close(self):
        for fd in list(self._awaited):
            self._forget(fd).close()
        while self._begun:
            self._begun.popleft().close()
        self._epoll.close()

    def _stripped(self, connection, come):
        """Whether all of its header has come, and is off; not a byte of what follows is touched."""
        try:
            more, before = connection.recv(LONGEST, socket.MSG_PEEK), len(come)
            if not more:
                raise ValueError("it ended before")
            come += more
            length = header_length(bytes(come))
            connection.recv((length or len(come)) - before)
            return length is not None
        except BlockingIOError:
            return False
        except (OSError, ValueError, KeyError) as error:
            log.debug("a connection has no header of a proxy's, and is refused: %r", error)
            self._forget(connection.fileno()).close()
            return False

    def _watch(self, whether):
        """Whether others that connect are told of. Closing the socket here would not end it: other workers have it, too."""
        if self._socket and whether != self._is_watched:
            self._epoll.register(self._socket, select.EPOLLIN) if whether else self._epoll.unregister(self._socket)
            self._is_watched = whether

    def _forget(self, fd):
        self._watch(True)
        connection, _, _ = self._awaited.pop(fd)
        self._epoll.unregister(fd)
        return connection

    def _drop_late(self):
        now = time.monotonic()
        for fd in [fd for fd, (_, _, until) in self._awaited.items() if until <= now]:
            self._forget(fd).close()


def header_length(come):
    """Bytes of the header with which a connection begins, or None if more of it must come. Raises ValueError, KeyError or OSError
    if it is none."""
    if come.startswith(b"\r"):
        return _binary_length(come)
    if not b"PROXY ".startswith(come[:6]):
        raise ValueError("it begins otherwise")
    line, end, _ = come[:LONGEST_LINE].partition(b"\r\n")
    if b"\n" in line or b"\r" in (line if end else line[:-1]) or (not end and len(line) == LONGEST_LINE):
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


def _binary_length(come):
    if not BINARY.startswith(come[:12]):
        raise ValueError("it begins otherwise")
    if len(come) < 16:
        return None
    command, kind, rest = struct.unpack("!BBH", come[12:16])
    family, transport = kind >> 4, kind & 15
    if command == 0x20:  # The proxy speaks for itself: what it says of addresses means nothing.
        family = transport = 0
    least = (0, 12, 36, 216)[family] if family < 4 and transport else 0
    if command >> 1 != 0x10 or family > 3 or transport > 2 or rest < least or 16 + rest > LONGEST:
        raise ValueError("it is of a kind or length that there isn't")
    return 16 + rest if len(come) >= 16 + rest else None
