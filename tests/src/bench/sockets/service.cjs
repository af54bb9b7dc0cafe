// A small web service for Node: by itself, as a worker of whoever gives it a socket (LISTEN_FDS) or a PORT, or with
// WORKERS as a cluster of its own, which starts another worker for each that dies (after RESPAWN_MS) and on SIGUSR2
// replaces all, one by one. With CRASH workers end by an error 1 to 4 seconds after they began.
'use strict';

const cluster = require('node:cluster');
const { once } = require('node:events');
const http = require('node:http');

const { CRASH, LISTEN_FDS, PORT, RESPAWN_MS, WORKERS } = process.env;
const STALL_MS = 20;

function serve() {
  const first = process.env.OSTLER_SLOT === '0' || cluster.worker?.id === 1;
  const body = JSON.stringify({ pid: process.pid });
  const still = new Int32Array(new SharedArrayBuffer(4));
  const server = http.createServer((request, response) => {
    if (first && request.url === '/stall') Atomics.wait(still, 0, 0, STALL_MS);
    response.setHeader('Content-Type', 'application/json');
    response.end(body);
  });
  if (LISTEN_FDS) server.listen({ fd: 3 });
  else server.listen(Number(PORT), '127.0.0.1');
  for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => server.close(() => process.exit(0)));
  if (CRASH) setTimeout(() => { throw new Error('as planned'); }, 1000 + Math.random() * 3000);
}

async function replace() {
  for (const old of Object.values(cluster.workers)) {
    await once(cluster.fork(), 'listening');
    old.disconnect();
  }
}

if (WORKERS && cluster.isPrimary) {
  for (let n = 0; n < Number(WORKERS); n += 1) cluster.fork();
  cluster.on('exit', (worker) => {
    if (!worker.exitedAfterDisconnect) setTimeout(() => cluster.fork(), Number(RESPAWN_MS || 0));
  });
  process.on('SIGUSR2', replace);
} else serve();
