// A client of Ostler's bus for Node 18 or newer, without dependencies, written from docs/protocol.md.
//
// A lost connection is made again. Meanwhile events wait, up to 4 MiB, and questions until their time-out; what was asked
// already rejects with `Disconnected`. Subscriptions go on where they ended: what can't be brought any more is told by a
// `Lost` in its place, with its exact number. An event that was written just before may be lost with the connection:
// `emit(…, { ack: true })` tells.

import { randomBytes } from 'node:crypto';
import net from 'node:net';

const HELLO = 1, WELCOME = 2, CONTROL = 3;
const EMIT = 0x10, REQUEST = 0x11, REPLY = 0x12, RUN = 0x20, CALL = 0x21, ANSWER = 0x22;
const IGNORABLE = 0x01, RETAIN = 0x04, CONTROL_LANE = 0x10, RETAINED = 0x20, HISTORY = 0x80; // flags
const UNSENT_BYTES = 4 << 20; // that wait to be written
const WINDOW = 256, MOST = 65536; // events that the hub sends ahead of their reader; what may wait for it in any case
const FIRST_PAUSE = 50, LONGEST_PAUSE = 5_000; // ms before another connection, at most

/** There is no connection. If it is `final` there will be none. */
export class Disconnected extends Error {
  name = 'Disconnected';
  constructor(reason, final = false) {
    super(reason);
    this.final = final;
  }
}

/** This program closed it. */
export class Closed extends Disconnected {
  name = 'Closed';
}

/** Nothing more can wait to be sent. */
export class Full extends Error {
  name = 'Full';
}

/** The hub or whoever was asked said no: `kind` (Denied, NoResponders, TimedOut, Misfit …) and `reason`. */
export class Refused extends Error {
  name = 'Refused';
  constructor(kind, reason) {
    super(`${kind}: ${reason}`);
    Object.assign(this, { kind, reason });
  }
}

/** In the place of events: `missed` of them (null: nobody knows how many), and the `reason`. */
export class Lost {
  constructor(missed, reason) {
    Object.assign(this, { missed, reason });
  }
}

/** An event, question or answer: `payload` (what its JSON says, or a Buffer), `topic`, `origin`, `headers`, `seq`. */
export class Message {
  constructor({ topic, origin, seq, payload, bytes, headers = {} }, flags = 0) {
    const data = bytes === undefined ? payload : Buffer.from(bytes, 'base64');
    Object.assign(this, { topic, origin, seq, payload: data, headers, isRetained: (flags & RETAINED) !== 0 });
  }
}

/** A question, to be answered within `timeout` ms by what its handler gives, or by `reply` before that. */
export class Call extends Message {
  #bus; #link; isAnswered = false;
  constructor(body, bus) {
    super(body);
    Object.assign(this, { timeout: body.timeout_ms, number: body.call });
    [this.#bus, this.#link] = [bus, bus._link];
  }
  reply(payload = null, headers) {
    this.#bus._send(REPLY, { call: this.number, payload, headers }, { link: this.#link });
    this.isAnswered = true;
  }
  _decline(error) {
    const reason = `${error?.name}: ${error?.message}`.slice(0, 1000);
    this.#bus._send(CONTROL, op('Decline', { call: this.number, reason }), { link: this.#link });
  }
}

/** What comes, in order: Messages, and a `Lost` in the place of what didn't. `for await`, or `next`. */
export class Subscription {
  #items = []; #waiting = []; #link = 0; #untold = 0; // read, of a connection, and not told
  #since = 0; #taken = 0; #isResumed = false; // to go on by on another connection
  _answering = 0;

  constructor(bus, number, pattern, options, handler) {
    Object.assign(this, { bus, number, pattern, options, handler });
  }

  /** The next. Rejects with why it has ended if it has. */
  async next() {
    while (this.#items.length === 0) await new Promise((go) => this.#waiting.push(go));
    const [item, link] = this.#items[0];
    if (item instanceof Error) throw item;
    this.#items.shift();
    if (link) [this.#link, this.#untold] = [link, 1 + (link === this.#link ? this.#untold : 0)];
    if (this.#untold > 0 && (this.#items.length === 0 || this.#untold * 2 >= this.options.window)) {
      const took = op('Took', { sub: this.number, count: this.#untold });
      this.#untold = 0;
      this.bus._send(CONTROL, took, { link: this.#link }); // The hub sends no more than a window beyond it.
    }
    return item;
  }

  async *[Symbol.asyncIterator]() {
    try {
      for (;;) yield await this.next();
    } catch (error) {
      if (!(error instanceof Closed)) throw error;
    } finally {
      await this.close();
    }
  }

  /** No more. What has come already can still be read, and is answered. */
  async close() {
    if (!this.bus._subs.has(this.number)) return;
    await this.bus._ask(CONTROL, op('Unsubscribe', { sub: this.number })).catch(() => {}); // Then there is nobody to tell.
    this._end(new Closed(`${this.pattern} was unsubscribed`));
    await this.bus._until(() => this._answering === 0, this.bus.timeout);
  }

  _subscribe(resume) {
    this.#isResumed = false;
    return op('Subscribe', { sub: this.number, pattern: this.pattern, options: { ...this.options, resume } });
  }

  _resume(isSameLife) {
    if (!isSameLife) this.#since = 0;
    return this._subscribe(this.handler ? undefined : { sub: this.number, since: this.#since, taken: this.#taken });
  }

  _event(body, flags) {
    if (!(flags & CONTROL_LANE)) this.#since = body.seq;
    if ((this.#isResumed && flags & HISTORY) || !(flags & (HISTORY | RETAINED))) this.#taken += 1;
    this._put(new Message(body, flags), flags & CONTROL_LANE ? 0 : this.bus._link);
  }

  _lose({ missed, reason }, why) {
    this.#isResumed ||= why === 'Resumed';
    this.#taken = missed === null ? 0 : this.#taken + missed;
    if (missed !== 0) this._put(new Lost(missed, reason ?? WHY[why]));
  }

  _put(item, link = 0) {
    // A window holds back events; this is for questions, and the control lane.
    if (this.#items.length + this._answering >= MOST) throw new Disconnected(`nobody takes what comes for ${this.pattern}`);
    if (this.handler) return void this.#answer(item);
    this.#items.push([item, link]);
    this.#waiting.shift()?.();
  }

  async #answer(call) {
    this._answering += 1;
    try {
      const answer = await this.handler(call);
      if (!call.isAnswered) call.reply(answer);
    } catch (error) {
      call._decline(error);
    }
    this._answering -= 1;
    this.bus._wake();
  }

  _end(why) {
    if (!this.bus._subs.delete(this.number)) return;
    this.#items.push([why, 0]);
    for (const go of this.#waiting.splice(0)) go();
  }
}

export class Bus {
  _subs = new Map(); _link = 0;
  #instance = randomBytes(16).toString('hex'); #token; #life; #limits; #lastRef = 0; #lastSub = 0;
  #out = []; #unsent = 0; #held = new Map(); #asked = new Map(); #waiting = new Set();
  #wire; #socket = null; #over = null; #running;

  /** Connects by `path`, or $OSTLER_BUS, as a "client", an "observer" (only listens) or an "operator" (commands). */
  static async connect(options = {}) {
    const bus = new this(options);
    await bus._open(options.fd);
    return bus;
  }

  constructor({ path = process.env.OSTLER_BUS, name = 'node', kind = 'client', timeout = 10_000 } = {}) {
    Object.assign(this, { path, name, kind, timeout });
  }

  /** Publishes: JSON, or a Buffer. With `ack`, gives how many subscriptions it matched once the hub has it. */
  async emit(topic, payload = null, { ack = false, retain = false, ttl, headers } = {}) {
    const data = Buffer.isBuffer(payload) ? { bytes: payload.toString('base64') } : { payload };
    const body = { topic, ...data, ttl_ms: ttl, headers }, flags = retain ? RETAIN : 0;
    if (ack) return this._ask(EMIT, body, { flags });
    this._send(EMIT, body, { flags });
    await this._until(() => this.#unsent * 2 <= UNSENT_BYTES && !this.#held.has(topic), this.timeout);
  }

  /** Asks one of those who serve the topic; gives the answer's payload. `timeout` in ms. */
  async request(topic, payload = null, { timeout = 5_000, headers } = {}) {
    const body = { topic, payload, headers, timeout_ms: timeout };
    return (await this._ask(REQUEST, body, { timeout: timeout + 1_000 })).payload;
  }

  /** Asks all who serve the topic; gives their answers, as Messages: at most `limit` (0: all). */
  async requestMany(topic, payload = null, { timeout = 5_000, limit = 0, headers } = {}) {
    const body = { topic, payload, headers, timeout_ms: timeout, limit }, answers = [];
    await this._ask(REQUEST, body, { timeout: timeout + 1_000, answers });
    return answers;
  }

  /** Events from here on. `options`: of the protocol's Subscribe. */
  subscribe(pattern, options = {}) {
    return this.#subscribe(pattern, { window: WINDOW, ...options });
  }

  /** Has questions on these topics answered by `handler`. What it throws is told to the asker. */
  serve(pattern, handler) {
    return this.#subscribe(pattern, { serve: true }, handler);
  }

  async #subscribe(pattern, options, handler) {
    const sub = new Subscription(this, ++this.#lastSub, pattern, options, handler);
    await this._ask(CONTROL, sub._subscribe(), { opens: sub });
    return sub;
  }

  /** Resolves when the hub has taken everything so far. */
  async flush(timeout = 2_000) {
    await this._ask(CONTROL, { op: 'Drain' }, { timeout });
  }

  /** Drains, and ends: takes nothing new, answers what was asked, waits until the hub has taken everything. */
  async close() {
    for (const sub of [...this._subs.values()]) await sub.close();
    await this.flush().catch(() => {});
    this.#over ??= new Closed('this program closed the connection');
    this.#wire?.destroy();
    this._wake();
    await this.#running;
  }

  // Asking and telling.

  async _ask(kind, body, { flags = 0, timeout = this.timeout, answers, opens } = {}) {
    await this._until(() => this.#socket || this.#over, timeout);
    const ref = ++this.#lastRef;
    let timer;
    try {
      return await new Promise((resolve, reject) => {
        const late = () => reject(new Refused('TimedOut', `the hub has not answered within ${timeout} ms`));
        timer = setTimeout(late, timeout);
        const take = (answer) => {
          if (opens) this._subs.set(opens.number, opens);
          resolve(answer);
        };
        this.#asked.set(ref, { resolve: take, reject, answers });
        this._send(kind, { ...body, ref }, { flags });
      });
    } finally {
      clearTimeout(timer);
      this.#asked.delete(ref);
    }
  }

  /** Queues a frame; with a `link`, for that connection or none. Events wait for one. */
  _send(kind, body, { flags = 0, link } = {}) {
    if (link && (this.#over || link !== this._link)) return;
    if (this.#over) throw this.#over;
    const bytes = frame(kind, body, flags), isEvent = kind === EMIT && !body.ref;
    const size = bytes.length - 4, { control, payload } = this.#limits;
    const most = kind === CONTROL ? control : payload + 4608; // for topic and headers
    if (size > most) throw new Refused('Limit', `a frame of ${size} bytes, and the hub takes ${most}: send less at once`);
    if (!isEvent && !this.#socket) throw new Disconnected(`there is no connection to ${this.path}: try again`);
    if (kind !== CONTROL && this.#unsent + bytes.length > UNSENT_BYTES) {
      throw new Full(`${this.#unsent} bytes wait to be written to ${this.path}: await each emit, or emit less`);
    }
    const held = kind === EMIT ? this.#held.get(body.topic) : undefined; // by a subscriber with back-pressure
    (held ?? this.#out).push({ bytes, isEvent });
    this.#unsent += bytes.length;
    this.#flush();
  }

  /** Writes what the socket has room for; all that is said in one turn, at once. */
  #flush() {
    const socket = this.#socket;
    if (!socket || socket.writableNeedDrain || this.#out.length === 0) return;
    socket.cork();
    process.nextTick(() => socket.uncork());
    let count = 0;
    while (count < this.#out.length && !socket.writableNeedDrain) {
      socket.write(this.#out[count].bytes);
      this.#unsent -= this.#out[count++].bytes.length;
    }
    this.#out.splice(0, count);
    this._wake();
  }

  /** Waits until this is so, or for so many ms. */
  async _until(isSo, ms) {
    for (const end = Date.now() + ms; !isSo() && Date.now() < end; ) {
      await new Promise((resolve) => {
        const timer = setTimeout(go, Math.ceil(end - Date.now())), waiting = this.#waiting;
        function go() {
          clearTimeout(timer);
          waiting.delete(go);
          resolve();
        }
        waiting.add(go);
      });
    }
  }

  _wake() {
    for (const go of [...this.#waiting]) go();
  }

  // The connection.

  _open(fd) {
    return new Promise((resolve, reject) => (this.#running = this.#run(fd, resolve).then(() => reject(this.#over))));
  }

  /** Connects again and again, until this program closes it or the hub doesn't want it. */
  async #run(fd, opened) {
    for (let ceiling = FIRST_PAUSE; !this.#over; ceiling = Math.min(ceiling * 2, LONGEST_PAUSE)) {
      const since = Date.now();
      const why = await this.#talk(fd, opened).catch((error) => error instanceof Disconnected ? error
        : new Disconnected(`no connection to ${this.path}: ${error.message}: does its master run?`));
      fd = undefined;
      if (why.final || !this._link || (this.kind === 'worker' && !this.#token)) this.#over ??= why;
      this.#drop(this.#over ?? why);
      if (Date.now() - since > 2 * LONGEST_PAUSE) ceiling = FIRST_PAUSE;
      await this._until(() => this.#over, Math.random() * ceiling);
    }
    for (const sub of [...this._subs.values()]) sub._end(this.#over);
  }

  /** One connection: agrees, and takes what comes, to its end. */
  async #talk(fd, opened) {
    if (fd === undefined && !this.path) {
      throw new Disconnected("no path was given, and OSTLER_BUS is not set: give the path of a master's bus.sock", true);
    }
    const socket = this.#wire = fd === undefined ? net.connect(this.path) : new net.Socket({ fd });
    const late = () => socket.destroy(new Disconnected(`the hub has not answered within ${this.timeout} ms`));
    const timer = setTimeout(late, this.timeout);
    socket.on('error', () => {}); // Whoever reads hears of it.
    socket.on('drain', () => this.#flush());
    const hello = { magic: 'ostler', proto: [1, 1], codecs: ['json'], kind: this.kind, name: this.name };
    socket.write(frame(HELLO, { ...hello, instance: this.#instance, token: this.#token }));
    const most = () => (this.#socket ? 4 * Math.max(...Object.values(this.#limits)) + (1 << 20) : 1 << 16);
    try {
      for await (const [kind, flags, body] of frames(socket, most)) {
        if (this.#socket) this.#take(kind, flags, body);
        else if (kind !== WELCOME) throw closing(body.op.Closing);
        else {
          clearTimeout(timer);
          this.#enter(socket, body);
          opened();
        }
      }
    } finally {
      clearTimeout(timer);
      socket.destroy();
    }
    throw new Disconnected('the hub has closed the connection');
  }

  /** Subscribes again, and sends what waits. */
  #enter(socket, { limits, life, token = this.#token }) {
    this._link += 1;
    const again = [...this._subs.values()].map((sub) => {
      const reject = (error) => error instanceof Refused && sub._end(error);
      this.#asked.set(++this.#lastRef, { resolve() {}, reject });
      const bytes = frame(CONTROL, { ...sub._resume(life === this.#life), ref: this.#lastRef });
      this.#unsent += bytes.length;
      return { bytes, isEvent: false };
    });
    this.#out.unshift(...again);
    [this.#limits, this.#life, this.#token, this.#socket] = [limits, life, token, socket];
    this.#flush();
    this._wake();
  }

  /** The connection is gone, and whatever was asked on it or held back because of it. */
  #drop(why) {
    this.#socket = null;
    this.#out = [this.#out, ...this.#held.values()].flat().filter(({ isEvent }) => isEvent);
    this.#unsent = this.#out.reduce((sum, { bytes }) => sum + bytes.length, 0);
    this.#held.clear();
    for (const { reject } of this.#asked.values()) reject(why);
    this.#asked.clear();
    this._wake();
  }

  #take(kind, flags, body) {
    const sub = this._subs.get(body.sub), asked = this.#asked.get(body.ref);
    if (kind === RUN) sub?._event(body, flags);
    else if (kind === CALL) sub?._put(new Call(body, this));
    else if (kind === ANSWER) asked?.answers ? asked.answers.push(new Message(body)) : asked?.resolve(new Message(body));
    else if (kind === CONTROL) this.#control(...Object.entries(body.op)[0], asked);
    else if (!(flags & IGNORABLE)) throw new Disconnected(`the hub sent a frame of the unknown type ${kind}`);
  }

  #control(name, fields, asked) {
    if (name === 'Done') asked?.resolve(fields.count);
    else if (name === 'Refused') asked?.reject(new Refused(fields.kind, fields.reason));
    else if (name === 'Closing') throw closing(fields);
    else if (['Lagged', 'Misfit', 'Resumed'].includes(name)) this._subs.get(fields.sub)?._lose(fields, name);
    else if (name === 'Hold' && !this.#held.has(fields.topic)) this.#held.set(fields.topic, []);
    else if (name === 'Release' && this.#held.has(fields.topic)) {
      this.#out.push(...this.#held.get(fields.topic));
      this.#held.delete(fields.topic);
      this.#flush();
      this._wake();
    }
  }
}

/** This process as the worker of Ostler that it is. `draining` resolves with `{ reason, deadline }` (of Date.now()) at the
 * master's word, TERM or INT. */
export class Worker extends Bus {
  #drain; #alive; #telling;
  #begun = 0; #ended = 0; #counts = process.env.OSTLER_COUNT_REQUESTS === '1';
  draining = new Promise((resolve) => (this.#drain = resolve));

  static async start() {
    const { env } = process;
    if (!env.OSTLER_BUS_FD) throw new Disconnected('OSTLER_BUS_FD is not set: start this program by `ostler run`', true);
    const worker = new this({ name: env.OSTLER_APP, kind: 'worker' }), fd = Number(env.OSTLER_BUS_FD);
    delete env.OSTLER_BUS_FD; // What this process starts is no worker.
    const [id, slot, generation] = ['WORKER_ID', 'SLOT', 'GENERATION'].map((key) => Number(env[`OSTLER_${key}`]));
    Object.assign(worker, { app: env.OSTLER_APP, id, slot, generation });
    for (const signal of ['SIGTERM', 'SIGINT']) process.on(signal, () => worker.drain(signal, 30_000));
    await worker._open(fd);
    worker.#alive = setInterval(() => {}, 1 << 30); // Without the bus too, until a signal comes.
    await worker.serve(`to.worker.${id}.drain`, (call) => {
      call.reply(); // First: this program may end at once.
      worker.drain(call.payload.reason, call.payload.deadline_ms);
    });
    return worker;
  }

  /** What `server.listen` takes for the listening socket that the process file declares under this name. */
  listener(name) {
    const names = (process.env.LISTEN_FDNAMES ?? '').split(':');
    if (Number(process.env.LISTEN_PID ?? process.pid) !== process.pid || !names.includes(name)) {
      throw new Error(`no socket ${name} was inherited, but ${names}: declare it in the app's \`listen\``);
    }
    return { fd: 3 + names.indexOf(name) };
  }

  /** Says that it can serve. Until then the master takes no old worker away. */
  async ready() {
    if (this.#counts) await this.#sayServed();
    await this.request('_sys.worker.ready', {});
  }

  /** Counts a request, for `max_requests` and `idle_timeout`; what this returns is to be called at its end. */
  countRequest() {
    let isUnderWay = true;
    this.#begun += 1;
    this.#sayServedSoon();
    return () => {
      this.#ended += isUnderWay ? 1 : 0;
      isUnderWay = false;
      this.#sayServedSoon();
    };
  }

  async #sayServed() {
    await this.request('_sys.worker.served', { requests: this.#begun, under_way: this.#begun - this.#ended });
  }

  #sayServedSoon() {
    if (!this.#counts || this.#telling) return;
    this.#telling = setTimeout(() => {
      this.#telling = undefined; // What comes while it is said is said next.
      this.#sayServed().catch((error) => error.final || this.#sayServedSoon());
    }, 1000).unref();
  }

  /** Says that it goes of its own accord: its exit is no crash. */
  async disconnect() {
    await this.request('_sys.worker.disconnect', {});
  }

  async close() {
    clearInterval(this.#alive);
    clearTimeout(this.#telling);
    this.#counts = false;
    await super.close();
  }

  /** Begins to drain; the first reason stands. */
  drain(reason, ms) {
    clearInterval(this.#alive);
    this.#drain({ reason, deadline: Date.now() + ms - Math.min(250, ms / 10) });
  }
}

const WHY = { Lagged: 'the hub dropped them: too many waited', Resumed: 'the connection was lost, and made again' };

function op(name, fields) {
  return { ref: 0, op: { [name]: fields } };
}

function frame(kind, body, flags = 0) {
  const bytes = Buffer.from(`      ${JSON.stringify(body)}`);
  bytes.writeUInt32BE(bytes.length - 4);
  bytes.writeUInt16BE((kind << 8) | flags, 4);
  return bytes;
}

/** What comes, frame by frame, each of at most `most()` bytes. */
async function* frames(socket, most) {
  let bytes = Buffer.alloc(0);
  for await (const chunk of socket) {
    bytes = bytes.length > 0 ? Buffer.concat([bytes, chunk]) : chunk;
    while (bytes.length >= 6) {
      const length = bytes.readUInt32BE(0);
      if (length < 2 || length > most()) throw new Disconnected(`the hub sent a frame of ${length} bytes`);
      if (bytes.length < length + 4) break;
      yield [bytes[4], bytes[5], JSON.parse(bytes.toString('utf8', 6, length + 4))];
      bytes = bytes.subarray(length + 4);
    }
  }
}

function closing({ kind, reason }) {
  const final = ['Denied', 'Hello', 'Replaced', 'Framing'].includes(kind);
  return new Disconnected(`the hub has closed the connection: ${kind}: ${reason}`, final);
}
