"""`asker.py FOLDER_OF_THE_CLIENT [DO…]`: a worker that asks for sockets and passes connections as it is told: before it is
ready by its arguments, then by requests `tests.do` to its slot. What it answers is one line.

`listen ADDRESS [MOST]`: whoever connects is told this worker's id, and served until it closes; MOST at once. `udp ADDRESS`:
datagrams are answered with the id. `echo NAME`: whoever connects to the declared socket gets back all that it said, at its
end. These answer `NUMBER ADDRESS`. `close NUMBER`. `receive`. `pass WHERE TOPIC LENGTH`:
connects, and passes the connection on.
"""

import itertools
import socket
import sys
import threading

sys.path.insert(0, sys.argv[1])
sys.dont_write_bytecode = True

from ostler_sockets import NotSent, Worker  # noqa: E402

worker = Worker()
numbers, open_ones = itertools.count(1), {}


def begin(run, *args):
    threading.Thread(target=run, args=args, daemon=True).start()


def opened(what, sock):
    number, at = next(numbers), sock.getsockname()
    open_ones[number] = what
    return f"{number} {at if isinstance(at, str) else f'{at[0]}:{at[1]}'}"


def listen(address, most=None):
    listener = worker.listen_at(address)
    if most:
        listener.limit(int(most))
    begin(accept, listener)
    return opened(listener, listener.socket)


def echo(name):
    listener = worker.listener(name)
    begin(accept, listener, echoed)
    return opened(listener, listener.socket)


def accept(listener, served=None):
    for connection in listener:
        begin(served or told_who, connection)


def echoed(connection):
    with connection, connection.makefile("rb") as said:
        connection.sendall(said.read())


def told_who(connection):
    with connection:
        connection.sendall(f"{worker.id}\n".encode())
        connection.recv(1)  # until it closes


def udp(address):
    sock = worker.udp_at(address)
    sock.setblocking(True)
    begin(answer, sock)
    return opened(sock, sock)


def answer(sock):
    while True:
        _, who = sock.recvfrom(100)
        sock.sendto(str(worker.id).encode(), who)


def close(number):
    open_ones.pop(int(number)).close()
    return "closed"


def receive():
    worker.receive_connections("tests.pass", lambda *received: begin(converse, *received))
    return "receiving"


def converse(message, connection):
    """Says who has it and with what it came, then gives back what comes."""
    text, giver = message.payload["text"], message.origin["Worker"]["id"]
    with connection, connection.makefile("rw") as lines:
        print(f"{worker.id} from {giver}: {len(text)} {not text.strip('x')}", file=lines, flush=True)
        for line in lines:
            print(f"{worker.id} heard {line}", end="", file=lines, flush=True)


def pass_on(where, topic, length):
    host, port = where.split(":")
    connection = socket.create_connection((host, int(port)))
    try:
        worker.send_connection(connection, topic, {"text": "x" * int(length)})
    except NotSent as error:
        with error.connection:  # It is still good for something.
            error.connection.sendall(b"kept\n")
        raise
    assert connection.fileno() == -1
    return "sent"


def obey(what):
    what, *args = what.split(" ")
    does = {"listen": listen, "udp": udp, "echo": echo, "close": close, "receive": receive, "pass": pass_on}[what]
    try:
        return does(*args)
    except Exception as error:
        return f"error {type(error).__name__}: {error}"


for what in sys.argv[2:]:
    print(f"{what}: {obey(what)}", flush=True)
worker.serve(f"to.slot.{worker.app}.{worker.slot}.tests.do", lambda call: obey(call.payload["what"]))
worker.ready()
worker.draining.wait()
worker.close()
