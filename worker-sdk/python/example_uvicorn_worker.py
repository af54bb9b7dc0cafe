"""An ASGI application, served by uvicorn as a worker of Ostler that takes connections from the master: `uvicorn --fd 3` accepts
for itself, and resets what it has accepted and not read when it is told to go; this loses nothing.

    ostler run -n web -i 2 -l http=127.0.0.1:8080 --ready sdk -- python3 example_uvicorn_worker.py module:application
"""

import asyncio
import sys

import uvicorn

from ostler_sockets import Worker

LAME = 1  # seconds in which a worker that drains still hears kept connections, and closes each after an answer
CLOSE = (b"connection", b"close")


async def main(application):
    worker = Worker()
    listener = worker.listener("http")
    config = uvicorn.Config(application, log_level="warning")
    server = uvicorn.Server(config)

    def protocol():
        state, app_state = server.server_state, server.lifespan.state
        return config.http_protocol_class(config=config, server_state=state, app_state=app_state)

    serving = asyncio.create_task(server.serve(sockets=[]))  # It has none: they come by `protocol`.
    while not server.started and not serving.done():
        await asyncio.sleep(0.01)
    if not serving.done():
        await asyncio.to_thread(worker.ready)
        accepting = asyncio.create_task(listener.serve_protocol(protocol))
        await worker.until_draining()
        config.encoded_headers.append(CLOSE)  # which it takes up within a second, and now:
        server.server_state.default_headers = [*server.server_state.default_headers, CLOSE]
        await asyncio.wait({accepting}, timeout=LAME)
        server.should_exit = True
    await serving
    await asyncio.to_thread(worker.close)


sys.path.insert(0, "")  # As uvicorn does.
asyncio.run(main(sys.argv[1]))
