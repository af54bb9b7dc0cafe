"""An ASGI application that knows nothing of what supervises it.

It answers with the version it read from `version.txt` beside it when it was loaded, and with its pid. Once it has started it
says so to whoever waits for it by NOTIFY_SOCKET, which uvicorn doesn't.
"""

import json
import os
import pathlib
import socket

HERE = pathlib.Path(__file__).resolve().parent
VERSION = (HERE / "version.txt").read_text().strip()


def say_ready():
    if path := os.environ.get("NOTIFY_SOCKET"):
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
            sock.sendto(b"READY=1", "\0" + path[1:] if path.startswith("@") else path)


async def lifespan(receive, send):
    while (await receive())["type"] != "lifespan.shutdown":
        say_ready()
        await send({"type": "lifespan.startup.complete"})
    await send({"type": "lifespan.shutdown.complete"})


async def application(scope, receive, send):
    if scope["type"] == "lifespan":
        return await lifespan(receive, send)
    body = json.dumps({"server": "uvicorn", "version": VERSION, "pid": os.getpid()}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})
