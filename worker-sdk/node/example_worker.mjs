// A worker of Ostler: HTTP on the socket it inherits, an event for each visit, an answer to each question.
//
//     ostler run -n web -i 2 -l http=127.0.0.1:8080 --ready sdk -- node worker-sdk/node/example_worker.mjs

import http from 'node:http';
import { once } from 'node:events';
import { Worker } from './ostler.mjs';

const worker = await Worker.start();

const server = http.createServer((request, response) => {
  response.on('close', worker.countRequest());
  worker.emit('visits.seen', { path: request.url, slot: worker.slot }).catch((error) => console.error(`${error}`));
  const body = JSON.stringify({ worker: worker.id, generation: worker.generation });
  // One connection a request: nothing stays open when this worker drains.
  response.writeHead(200, { 'Content-Type': 'application/json', 'Content-Length': Buffer.byteLength(body), Connection: 'close' });
  response.end(body);
});
server.listen(worker.listener('http'));
await once(server, 'listening');
await worker.serve('visits.double', ({ payload }) => ({ number: payload.number * 2, slot: worker.slot }));
await worker.ready();

const { reason } = await worker.draining;
console.log(`draining: ${reason}`);
server.close();
await once(server, 'close');
await worker.close();
