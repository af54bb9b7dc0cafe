"""A worker of Ostler with asyncio: HTTP on the socket it inherits, whoever accepts there, and no request lost in updates.

    ostler run -n web -i 2 -l http=127.0.0.1:8080 --ready sdk -- python3 worker-sdk/python/example_asyncio_worker.py
"""

import asyncio
import json

from ostler_sockets import Worker

LAME = 1  # seconds in which a worker that drains still hears kept connections


async def head(reader, draining):
    """The next request's head; None if none comes any more. What a client sent before it knew is still answered."""
    reading = asyncio.ensure_future(reader.readuntil(b"\r\n\r\n"))
    await asyncio.wait({reading, draining}, return_when=asyncio.FIRST_COMPLETED)
    if not reading.done():
        await asyncio.wait({reading}, timeout=LAME)
    try:
        return reading.result() if reading.done() else reading.cancel() and None
    except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, ConnectionError):
        return None


def server(worker, draining):
    async def connected(reader, writer):
        is_kept = True
        try:
            while is_kept and (request := await head(reader, draining)):
                is_kept = not draining.done() and b"\r\nconnection: close\r\n" not in request.lower()
                with worker.count_request():
                    body = json.dumps({"worker": worker.id, "generation": worker.generation}).encode()
                    kept = "keep-alive" if is_kept else "close"
                    lines = ["HTTP/1.1 200 OK", "Content-Type: application/json", f"Content-Length: {len(body)}"]
                    writer.write("\r\n".join([*lines, f"Connection: {kept}", "", ""]).encode() + body)
                    await writer.drain()
        except ConnectionError:
            pass
        finally:
            writer.close()

    return connected


async def main():
    worker = Worker()
    listener = worker.listener("http")
    draining = asyncio.ensure_future(worker.until_draining())
    await asyncio.to_thread(worker.ready)
    await listener.serve(server(worker, draining))
    print(f"drained: {worker.reason}", flush=True)
    await asyncio.to_thread(worker.close)


asyncio.run(main())
