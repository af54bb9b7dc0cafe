"""A worker of Ostler: HTTP on the socket it inherits, an event for each visit, an answer to each question.

    ostler run -n web -i 2 -l http=127.0.0.1:8080 --ready sdk -- python3 worker-sdk/python/example_worker.py
"""

import http.server
import json
import threading

from ostler import Worker


class Visits(http.server.BaseHTTPRequestHandler):
    """One connection a request, as HTTP/1.0 has it: nothing stays open when this worker drains."""

    def do_GET(self):
        with self.server.worker.count_request():
            self.answer(self.server.worker)

    def answer(self, worker):
        worker.emit("visits.seen", {"path": self.path, "slot": worker.slot})
        body = json.dumps({"worker": worker.id, "generation": worker.generation}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = False  # server_close() waits for what was begun.


def main():
    worker = Worker()
    server = Server(("", 0), Visits, bind_and_activate=False)
    server.socket.close()
    server.socket, server.worker = worker.listen("http"), worker
    worker.serve("visits.double", lambda call: {"number": call.payload["number"] * 2, "slot": worker.slot})
    accepting = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    accepting.start()
    worker.ready()
    worker.draining.wait()
    print(f"draining: {worker.reason}", flush=True)
    server.shutdown()
    server.server_close()
    worker.close()


if __name__ == "__main__":
    main()
