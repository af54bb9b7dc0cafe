// Does with the Node client what a test asks: `agent.mjs FOLDER_OF_THE_CLIENT PATH`, one JSON line each way.
//
// `agent.mjs FOLDER_OF_THE_CLIENT worker` is a worker instead, on the socket it inherits, that says what it hears; with
// `serving`, it answers questions too.

import readline from 'node:readline';

const [, , folder, path] = process.argv;
const { Bus, Lost, Refused, Worker } = await import(`${folder}/ostler.mjs`);

function show(item) {
  if (item instanceof Lost) return { lost: item.missed, reason: item.reason };
  const { topic, headers, origin } = item;
  const payload = Buffer.isBuffer(item.payload) ? { hex: item.payload.toString('hex') } : item.payload;
  return { topic: topic ?? null, payload, headers, origin, retained: item.isRetained };
}

const answers = {
  echo: (call) => call.reply({ by: 'echo', asked: call.payload, headers: call.headers }, { 'answered-by': 'echo' }),
  double: ({ payload }) => ({ number: payload.number * 2, slot: 7 }),
  fail: () => { throw new TypeError('on purpose'); },
  die: () => process.exit(1),
  silent: () => new Promise(() => {}),
};

class Agent {
  constructor(bus) {
    this.bus = bus;
    this.subs = new Map();
  }
  emit({ topic, payload, hex, ...options }) {
    return this.bus.emit(topic, hex === undefined ? payload : Buffer.from(hex, 'hex'), options);
  }
  emit_text({ topic, text, times }) {
    return this.bus.emit(topic, text.repeat(times), { ack: true });
  }
  async emit_numbers({ topic, first, count }) {
    for (let number = first; number < first + count; number++) await this.bus.emit(topic, number);
  }
  async subscribe({ pattern, ...options }) {
    this.subs.set(pattern, await this.bus.subscribe(pattern, options));
  }
  async unsubscribe({ pattern }) {
    await this.subs.get(pattern).close();
  }
  async next({ pattern }) {
    return show(await this.subs.get(pattern).next());
  }
  /** All numbers up to `until`: how many, how many were told as lost, and whether they came in order. */
  async numbers({ pattern, until }) {
    let got = 0, lost = 0, last = -1, in_order = true;
    while (last !== until) {
      const item = await this.subs.get(pattern).next();
      if (item instanceof Lost) lost += item.missed ?? 0;
      else [got, in_order, last] = [got + 1, in_order && item.payload > last, item.payload];
    }
    return { got, lost, in_order };
  }
  async serve({ pattern, how }) {
    this.subs.set(pattern, await this.bus.serve(pattern, answers[how]));
  }
  request({ topic, payload, ...options }) {
    return this.bus.request(topic, payload, in_ms(options));
  }
  async request_many({ topic, payload, ...options }) {
    return (await this.bus.requestMany(topic, payload, in_ms(options))).map(show);
  }
  flush() {
    return this.bus.flush(45_000);
  }
  close() {
    return this.bus.close();
  }
}

/** Tests speak of seconds. */
function in_ms({ timeout = 5, ...options }) {
  return { ...options, timeout: timeout * 1000 };
}

if (path === 'worker' || path === 'serving') {
  const worker = await Worker.start();
  if (path === 'serving') {
    await worker.serve('tests.who', () => worker.emit('tests.seen', null, { ack: true }));
    await worker.serve('tests.slow', async ({ payload }) => {
      console.log('asked');
      await new Promise((done) => setTimeout(done, payload.seconds * 1000));
      return 'late';
    });
  }
  await worker.ready();
  console.log('ready');
  const { reason } = await worker.draining;
  console.log(`draining: ${reason}`);
  await worker.close();
  process.exit(0);
}

const agent = new Agent(await Bus.connect({ path, name: 'agent-mjs' }));
console.log('"connected"');
for await (const line of readline.createInterface({ input: process.stdin })) {
  const { do: what, ...asked } = JSON.parse(line);
  let answer;
  try {
    answer = { ok: (await agent[what](asked)) ?? null };
  } catch (error) {
    answer = error instanceof Refused
      ? { refused: error.kind, reason: error.reason }
      : { error: error.name, reason: error.message };
  }
  console.log(JSON.stringify(answer));
}
process.exit(0);
