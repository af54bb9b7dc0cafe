#!/usr/bin/env bash
# Installs what `cargo bench -p ostler-tests --bench bus` (brokers), `--bench supervisors` and `--bench sockets` compare with: what Debian
# has of them, PM2 by npm, and two clients of npm's in a folder of their own, where the benchmark looks for them. None is enabled or started as a service; the benchmark starts its own, on loopback or a Unix socket, and ends them. What is there already is left alone.
set -euo pipefail

missing=()
need() {
    local program=$1 package=$2
    if ! PATH=$PATH:/usr/sbin command -v "$program" >/dev/null; then missing+=("$package"); fi
}

need nats-server nats-server
need redis-server redis-server
need mosquitto mosquitto
need dbus-daemon dbus
need node nodejs
need python3 python3
need npm npm
need nginx nginx-light
need gunicorn gunicorn
need supervisord supervisor
need siege siege
if ! PATH=$PATH:/usr/sbin:/sbin ldconfig -p | grep -q 'libzmq\.so\.5'; then missing+=(libzmq5); fi

if [ "${#missing[@]}" -gt 0 ]; then
    sudo=
    if [ "$(id -u)" -ne 0 ]; then sudo=sudo; fi
    # Packages that bring a service must not start it.
    policy=/usr/sbin/policy-rc.d
    if [ ! -e $policy ]; then
        printf '#!/bin/sh\nexit 101\n' | $sudo tee $policy >/dev/null
        $sudo chmod 755 $policy
        trap '$sudo rm -f $policy' EXIT
    fi
    echo "installing ${missing[*]}" >&2
    $sudo apt-get update -qq >&2
    $sudo env DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends "${missing[@]}" >&2
fi

if ! command -v pm2-runtime >/dev/null; then
    sudo=
    if [ "$(id -u)" -ne 0 ]; then sudo=sudo; fi
    $sudo npm install --global --silent --no-audit --no-fund pm2 >&2
fi

# Artillery would fetch a browser, which nothing here needs.
clients=${TMPDIR:-/tmp}/ostler-clients
if [ ! -x "$clients/node_modules/.bin/loadtest" ] || [ ! -x "$clients/node_modules/.bin/artillery" ]; then
    mkdir -p "$clients"
    npm install --prefix "$clients" --silent --ignore-scripts --no-audit --no-fund loadtest artillery >&2
fi

PATH=$PATH:/usr/sbin
nats-server --version
redis-server --version
# It says so by its exit status that it was asked for help only.
{ mosquitto -h || true; } | head -n 1
dbus-daemon --version | head -n 1
echo "node $(node --version)"
ldconfig -p | grep -m 1 'libzmq\.so\.5'
nginx -v 2>&1
gunicorn --version
echo "supervisord $(supervisord --version)"
echo "PM2 $(pm2 --version | tail -n 1)"
siege --version 2>&1 | head -n 1
npm ls --prefix "$clients" --depth 0 2>/dev/null | grep -Eo '(loadtest|artillery)@.*'
