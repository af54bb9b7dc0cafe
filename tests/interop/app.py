"""A WSGI application that knows nothing of what supervises it.

It answers with the version it read from `version.txt` beside it when it was loaded, and with its pid.
A bad version is made with FAIL=exit (it can't be loaded) or FAIL=never (loading doesn't end), in the environment or,
as an update changes files and not the environment, in a file `fail` beside it.

gunicorn says READY=1 before it loads the application, unless it is started with `--preload`.
"""

import json
import os
import pathlib
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent


def read(name, default):
    try:
        return (HERE / name).read_text().strip()
    except FileNotFoundError:
        return default


FAIL = os.environ.get("FAIL") or read("fail", "")
VERSION = read("version.txt", "none")

if FAIL == "exit":
    sys.exit("app.py: this version can't start")
if FAIL == "never":
    print("app.py: this version never becomes ready", file=sys.stderr, flush=True)
    time.sleep(600)
    sys.exit(1)


def application(environ, start_response):
    body = json.dumps({"server": "gunicorn", "version": VERSION, "pid": os.getpid()}).encode()
    headers = [("Content-Type", "application/json"), ("Content-Length", str(len(body)))]
    start_response("200 OK", headers)
    return [body]
