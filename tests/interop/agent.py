"""Does with the Python client what a test asks: `agent.py FOLDER_OF_THE_CLIENT PATH`, one JSON line each way.

`agent.py FOLDER_OF_THE_CLIENT worker` is a worker instead, on the socket it inherits, that says what it hears; with `serving`, it answers questions too.
"""

import json
import os
import sys
import threading

sys.path.insert(0, sys.argv[1])
sys.dont_write_bytecode = True

import ostler  # noqa: E402


def show(item):
    if isinstance(item, ostler.Lost):
        return {"lost": item.missed, "reason": item.reason}
    payload = {"hex": item.payload.hex()} if isinstance(item.payload, bytes) else item.payload
    shown = {"topic": item.topic, "payload": payload, "headers": item.headers, "retained": item.is_retained}
    return {**shown, "origin": item.origin}


def how_to_answer(how):
    def fail(_):
        raise ValueError("on purpose")

    def slow(call):
        threading.Event().wait(call.payload["seconds"])
        return "late"

    def die(_):
        os._exit(1)

    def silent(_):
        threading.Event().wait()

    def echo(call):
        call.reply({"by": how, "asked": call.payload, "headers": call.headers}, {"answered-by": how})

    def double(call):
        return {"number": call.payload["number"] * 2, "slot": 7}

    return {"fail": fail, "die": die, "echo": echo, "double": double, "silent": silent}[how]


class Agent:
    def __init__(self, path):
        self.bus = ostler.Bus(path, name="agent-py", timeout=10)
        self.subs = {}

    def emit(self, topic, payload=None, hex=None, **options):
        return self.bus.emit(topic, payload if hex is None else bytes.fromhex(hex), **options)

    def emit_text(self, topic, text, times):
        return self.bus.emit(topic, text * times, ack=True)

    def emit_numbers(self, topic, first, count):
        for number in range(first, first + count):
            self.bus.emit(topic, number)

    def subscribe(self, pattern, **options):
        self.subs[pattern] = self.bus.subscribe(pattern, **options)

    def unsubscribe(self, pattern):
        self.subs.pop(pattern).close()

    def next(self, pattern):
        return show(self.subs[pattern].get(45))

    def numbers(self, pattern, until):
        """All numbers up to `until`: how many, how many were told as lost, and whether they came in order."""
        got, lost, last, in_order = 0, 0, -1, True
        while last != until:
            item = self.subs[pattern].get(45)
            if isinstance(item, ostler.Lost):
                lost += item.missed or 0
            else:
                got, in_order, last = got + 1, in_order and item.payload > last, item.payload
        return {"got": got, "lost": lost, "in_order": in_order}

    def serve(self, pattern, how):
        self.subs[pattern] = self.bus.serve(pattern, how_to_answer(how))

    def request(self, topic, **options):
        return self.bus.request(topic, **options)

    def request_many(self, topic, **options):
        return [show(answer) for answer in self.bus.request_many(topic, **options)]

    def flush(self):
        self.bus.flush(45)

    def close(self):
        self.bus.close()


def agent():
    agent = Agent(sys.argv[2])
    print('"connected"', flush=True)
    for line in sys.stdin:
        asked = json.loads(line)
        try:
            answer = {"ok": getattr(agent, asked.pop("do"))(**asked)}
        except ostler.Refused as error:
            answer = {"refused": error.kind, "reason": error.reason}
        except Exception as error:
            answer = {"error": type(error).__name__, "reason": str(error)}
        print(json.dumps(answer), flush=True)


def worker():
    worker = ostler.Worker()
    if sys.argv[2] == "serving":
        serve(worker)
    worker.ready()
    print("ready", flush=True)
    worker.draining.wait()
    print(f"draining: {worker.reason}", flush=True)
    worker.close()


def serve(worker):
    def slow(call):
        print("asked", flush=True)
        threading.Event().wait(call.payload["seconds"])
        return "late"

    worker.serve("tests.who", lambda call: worker.emit("tests.seen", ack=True))
    worker.serve("tests.slow", slow)


agent() if sys.argv[2] not in ("worker", "serving") else worker()
