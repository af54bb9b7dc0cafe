#!/usr/bin/env bash
# Installs what tests need besides Rust: Python, Node, ip and systemd-socket-activate (from the system), and gunicorn and uvicorn in a
# virtual environment under target/interop. What is there already is left alone, and then nothing is asked of the network.
set -euo pipefail

GUNICORN=27.0.1
UVICORN=0.54.0

top=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
root=${CARGO_TARGET_DIR:-$top/target}/interop
venv=$root/venv

system() {
    local sudo=
    if [ "$(id -u)" -ne 0 ]; then sudo=sudo; fi
    echo "installing $*" >&2
    $sudo apt-get update -qq >&2
    $sudo env DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends "$@" >&2
}

has_servers() {
    [ -x "$venv/bin/gunicorn" ] && "$venv/bin/gunicorn" --version 2>/dev/null | grep -qF "(version $GUNICORN)" &&
        [ -x "$venv/bin/uvicorn" ] && "$venv/bin/uvicorn" --version 2>/dev/null | grep -qF "uvicorn $UVICORN "
}

if ! command -v node >/dev/null; then
    system nodejs
fi

if ! command -v ip >/dev/null; then
    system iproute2
fi

# Of the package alone: it is not the machine's first process that tests need.
if ! command -v systemd-socket-activate >/dev/null; then
    system systemd
fi

if ! command -v python3 >/dev/null; then
    system python3 python3-venv
fi

if ! has_servers; then
    mkdir -p "$root"
    # A virtual environment that was begun and not finished, or whose Python is gone, is made again.
    rm -rf "$venv"
    if ! python3 -m venv "$venv" >&2; then
        rm -rf "$venv"
        system python3 python3-venv
        python3 -m venv "$venv" >&2
    fi
    "$venv/bin/python" -m pip install --quiet --disable-pip-version-check "gunicorn==$GUNICORN" "uvicorn==$UVICORN" >&2
    has_servers
fi

echo "gunicorn $GUNICORN: $venv/bin/gunicorn"
echo "uvicorn $UVICORN: $venv/bin/uvicorn"
echo "ip: $(command -v ip)"
echo "systemd-socket-activate: $(command -v systemd-socket-activate)"
echo "node $(node --version): $(command -v node)"
