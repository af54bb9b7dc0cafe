// A Node server that knows nothing of what supervises it: it listens on the socket it inherits as descriptor 3 and
// closes on SIGTERM, as Node's documentation shows it.
//
// It answers with the version it read from `version.txt` beside it when it started, and with its pid. A bad version is
// made with FAIL=exit (it exits at start) or FAIL=never (it starts and never listens), in the environment or, as an
// update changes files and not the environment, in a file `fail` beside it.
//
// If SYSTEMD_NOTIFY names a command (such as `systemd-notify`), it is run with STATUS=… at start and with READY=1 once
// the server listens: Node has no datagram sockets of the Unix kind.
'use strict';

const { execFile } = require('node:child_process');
const fs = require('node:fs');
const http = require('node:http');
const path = require('node:path');

function read(name, otherwise) {
  try {
    return fs.readFileSync(path.join(__dirname, name), 'utf8').trim();
  } catch (error) {
    if (error.code === 'ENOENT') return otherwise;
    throw error;
  }
}

function notify(text, then = () => {}) {
  const [command, ...args] = (process.env.SYSTEMD_NOTIFY || '').split(' ').filter(Boolean);
  if (!command || !process.env.NOTIFY_SOCKET) return then();
  execFile(command, [...args, text], (error) => {
    if (error) console.error(`server.js: ${error.message}`);
    then();
  });
}

const version = read('version.txt', 'none');
const fail = process.env.FAIL || read('fail', '');

if (fail === 'exit') {
  console.error("server.js: this version can't start");
  process.exit(1);
}

const server = http.createServer((request, response) => {
  const body = JSON.stringify({ server: 'node', version, pid: process.pid });
  response.writeHead(200, { 'Content-Type': 'application/json', 'Content-Length': Buffer.byteLength(body) });
  response.end(body);
});

notify('STATUS=loading', () => {
  if (fail === 'never') {
    console.error('server.js: this version never becomes ready');
    setTimeout(() => process.exit(1), 600_000);
    return;
  }
  server.listen({ fd: 3 }, () => {
    console.log(`listening ${version}`);
    notify('READY=1');
  });
  process.on('SIGTERM', () => server.close());
});
