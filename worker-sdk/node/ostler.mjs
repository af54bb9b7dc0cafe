// A client of Ostler's bus for Node 18 or newer, without dependencies, written from docs/protocol.md.
//
// Reading never waits for writing. A lost connection is made again, after a pause that grows from 0.1 to 5 s, with
// jitter: subscriptions go on, with a `Lost` where the gap is; what was asked fails with `Disconnected`; events wait, up to
// 4 MiB. Events that were being written when the connection was lost are lost with it: `emit(…, { ack: true })` tells.

import { randomBytes } from 'node:crypto';
import net from 'node:net';

const HELLO = 1, WELCOME = 2, CONTROL = 3;
const EMIT = 0x10, REQUEST = 0x11, REPLY = 0x12, RUN = 0x20, CALL = 0x21, ANSWER = 0x22;
const IGNORABLE = 0x01, RETAIN = 0x04, RETAINED = 0x20; // flags
const UNSENT_BYTES = 4 << 20, BATCH_BYTES = 256 << 10; // that wait to be written, and go into one write
const WAITERS = 1024; // who wait for room among them
const ITEMS = 65536, ITEM_BYTES = 8 << 20, WINDOW = 1024; // of a subscription, that wait for its reader
const OVERHEAD = 512 + 4096; // of a data frame: addresses, and headers

/** There is no connection. If it is `final` there will be none. */
export class Disconnected extends Error {
  name = 'Disconnected';
  final = false;
}

/** This program closed it. */
export class Closed extends Disconnected {
  name = 'Closed';
  final = true;
}

/** As much as may waits to be written. */
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

/** A question, to be answered once within `timeout` ms. */
export class Call extends Message {
  #bus; #call; #life;
  isAnswered = false;
  constructor(bus, body) {
    super(body);
    this.timeout = body.timeout_ms;
    [this.#bus, this.#call, this.#life] = [bus, body.call, bus._life];
  }
  reply(payload = null, headers) {
    this.isAnswered = true;
    return this.#bus._send(REPLY, { call: this.#call, payload, headers }, { life: this.#life });
  }
  decline(reason) {
    this.isAnswered = true;
    return this.#bus._tell({ Decline: { call: this.#call, reason } }, this.#life);
  }
}

/** What comes, in order, with `Lost` in the place of what didn't: `for await`. A reader that is too slow loses the
 * oldest. */
export class Subscription {
  #items = []; #head = 0; #bytes = 0; #lost = 0; #over = null; #waiting = []; #taken = 0;
  isOpen = false;
  constructor(bus, number, pattern, options, handler) {
    Object.assign(this, { bus, number, options, handler });
    this.op = { Subscribe: { sub: number, pattern, options } };
  }

  /** The next. Rejects with why it has ended if it has. */
  async next() {
    while (this.#head === this.#items.length && !this.#over) await new Promise((go) => this.#waiting.push(go));
    if (this.#lost > 0) {
      const lost = new Lost(this.#lost, 'this program reads too slowly');
      this.#lost = 0;
      return lost;
    }
    if (this.#head === this.#items.length) throw this.#over;
    const item = this.#shift();
    this.#taken += item instanceof Message ? 1 : 0;
    const { window } = this.options;
    if (window && this.#taken > 0 && (this.#taken * 2 >= window || this.#head === this.#items.length)) {
      const count = this.#taken; // The hub sends no more than a window beyond it.
      this.#taken = 0;
      await this.bus._tell({ Took: { sub: this.number, count } });
    }
    return item;
  }

  async *[Symbol.asyncIterator]() {
    try {
      for (;;) yield await this.next();
    } catch (error) {
      if (!(error instanceof Closed)) throw error;
    } finally {
      if (!this.#over) await this.close().catch(() => {});
    }
  }

  /** No more. What has come already can still be read. */
  async close() {
    this.bus._subs.delete(this.number);
    this._end(new Closed('unsubscribed'));
    await this.bus._ask(CONTROL, { op: { Unsubscribe: { sub: this.number } } });
  }

  _put(item, size = 64) {
    if (this.handler) return this.handler(item);
    const isFull = () => this.#items.length - this.#head >= ITEMS || this.#bytes + size > ITEM_BYTES;
    while (!this.options.window && this.#head < this.#items.length && isFull()) {
      const old = this.#shift();
      this.#lost += old instanceof Lost ? old.missed ?? 0 : 1;
    }
    this.#items.push({ item, size });
    this.#bytes += size;
    this.#waiting.shift()?.();
  }

  _end(why) {
    this.#over ??= why;
    for (const go of this.#waiting.splice(0)) go();
  }

  #shift() {
    const { item, size } = this.#items[this.#head];
    this.#items[this.#head++] = undefined;
    this.#bytes -= size;
    if (this.#head * 2 > this.#items.length) {
      this.#items.splice(0, this.#head);
      this.#head = 0;
    }
    return item;
  }
}

export class Bus {
  _subs = new Map(); _life = 0;
  #instance = randomBytes(16).toString('hex'); #token = null; #payload = 1 << 20; #lastRef = 0; #lastSub = 0;
  #asked = new Map(); #opening = new Map(); #held = new Set(); #released = [];
  #out = []; #unsent = 0; #room = []; #socket = null; #over = null; #flushing = false;

  /** Connects by `path`, or $OSTLER_BUS. `kind`: "client", "observer" (only listens), "operator" (commands). */
  static async connect(options = {}) {
    const bus = new this(options);
    await bus._open();
    return bus;
  }

  constructor({ path = process.env.OSTLER_BUS, name = 'node', kind = 'client', timeout = 10_000, fd } = {}) {
    Object.assign(this, { path, name, kind, timeout, fd });
  }

  /** Publishes: JSON, or a Buffer. With `ack`, gives how many subscriptions it matched once the hub has it. */
  async emit(topic, payload = null, { ack = false, retain = false, ttl, headers } = {}) {
    const data = Buffer.isBuffer(payload) ? { bytes: payload.toString('base64') } : { payload };
    const body = { topic, ...data, ttl_ms: ttl, headers };
    const end = Date.now() + this.timeout;
    // A subscriber with back-pressure may hold the topic.
    while (this.#held.has(topic) && !this.#over && Date.now() < end) await this.#change(this.#released, end);
    const flags = retain ? RETAIN : 0;
    return ack ? this._ask(EMIT, body, { flags }) : this._send(EMIT, body, { flags });
  }

  /** Asks one of those who serve the topic; gives the answer's payload. `timeout` in ms. */
  async request(topic, payload = null, { timeout = 5_000, headers } = {}) {
    const body = { topic, payload, headers, timeout_ms: timeout };
    return (await this._ask(REQUEST, body, { timeout: timeout + 1_000 })).payload;
  }

  /** Asks all who serve the topic; gives their answers, as Messages: at most `limit` (0: all). */
  async requestMany(topic, payload = null, { timeout = 5_000, limit = 0, headers } = {}) {
    const body = { topic, payload, headers, timeout_ms: timeout, limit };
    const answers = [];
    await this._ask(REQUEST, body, { timeout: timeout + 1_000, answers });
    return answers;
  }

  /** Events from here on. `options`: of the protocol's Subscribe. */
  async subscribe(pattern, options = {}, handler) {
    if ((options.group || options.policy?.Backpressure) && !options.window) options = { ...options, window: WINDOW };
    const sub = new Subscription(this, ++this.#lastSub, pattern, options, handler);
    this._subs.set(sub.number, sub);
    try {
      await this._ask(CONTROL, { op: sub.op }, { sub });
    } catch (error) {
      this._subs.delete(sub.number);
      throw error;
    }
    return sub;
  }

  /** Questions on these topics. What `handler` gives is the reply, unless it has replied itself; what it throws is told
   * to the asker. */
  serve(pattern, handler, options = {}) {
    const answer = async (call) => {
      if (!(call instanceof Call)) return;
      try {
        const reply = await handler(call);
        if (!call.isAnswered) await call.reply(reply);
      } catch (error) {
        await call.decline(`${error?.name}: ${error?.message}`).catch(() => {});
      }
    };
    return this.subscribe(pattern, { ...options, serve: true }, answer);
  }

  /** Resolves when the hub has taken everything so far. */
  async flush(timeout = 2_000) {
    await this._ask(CONTROL, { op: 'Drain' }, { timeout });
  }

  /** Flushes, and ends the connection with all its subscriptions. */
  async close() {
    await this.flush().catch(() => {});
    this.#finish(new Closed('this program closed it'));
  }

  // Asking and telling.

  _tell(op, life) {
    return this._send(CONTROL, { ref: 0, op }, { life });
  }

  async _ask(kind, body, { flags = 0, timeout = this.timeout, sub, answers } = {}) {
    const ref = ++this.#lastRef;
    if (sub) this.#opening.set(ref, sub);
    let timer;
    const answered = new Promise((resolve, reject) => {
      timer = setTimeout(() => reject(new Refused('TimedOut', 'the hub has not answered')), timeout);
      this.#asked.set(ref, { resolve, reject, answers });
    });
    try {
      return await Promise.race([answered, this._send(kind, { ref, ...body }, { flags }).then(() => answered)]);
    } finally {
      clearTimeout(timer);
      this.#asked.delete(ref);
    }
  }

  /** Queues a frame, with the reference that must be waited for when it is written; null: it is worth sending on any
   * connection. With `life`: on none but that. */
  async _send(kind, body, { flags = 0, life } = {}) {
    const bytes = frame(kind, flags, body);
    if (bytes.length > this.#payload + OVERHEAD) {
      throw new Refused('Limit', `a frame of ${bytes.length} bytes: a payload may have ${this.#payload}`);
    }
    const end = Date.now() + this.timeout;
    while (this.#unsent >= UNSENT_BYTES && !this.#over) {
      if (this.#room.length >= WAITERS || Date.now() >= end) throw new Full(`${this.#unsent} bytes wait to be written`);
      await this.#change(this.#room, end);
    }
    if (this.#over) throw this.#over;
    if (life !== undefined && life !== this._life) return;
    this.#out.push({ bytes, ref: kind === EMIT && !body.ref ? null : body.ref ?? 0 });
    this.#unsent += bytes.length;
    this.#flushSoon();
  }

  /** Waits until something changes, or until `end`. */
  #change(list, end) {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, Math.max(end - Date.now(), 0));
      list.push(() => (clearTimeout(timer), resolve()));
    });
  }

  #flushSoon() {
    if (this.#flushing || !this.#socket) return;
    this.#flushing = true;
    setImmediate(() => {
      this.#flushing = false;
      const socket = this.#socket;
      if (!socket || socket.writableNeedDrain || this.#out.length === 0) return;
      let count = 0, size = 0;
      while (count < this.#out.length && size < BATCH_BYTES) size += this.#out[count++].bytes.length;
      this.#unsent -= size;
      const wanted = this.#out.splice(0, count).filter(({ ref }) => !ref || this.#asked.has(ref));
      socket.write(Buffer.concat(wanted.map(({ bytes }) => bytes)));
      for (const go of this.#room.splice(0)) go();
      if (!socket.writableNeedDrain) this.#flushSoon();
    });
  }

  // The connection.

  /** Connects, agrees, subscribes again. */
  async _open() {
    if (this.fd === undefined && !this.path) throw new Disconnected('no path was given, and OSTLER_BUS is not set');
    const socket = this.fd === undefined ? net.connect(this.path) : new net.Socket({ fd: this.fd });
    this.fd = undefined;
    const hello = { magic: 'ostler', proto: [1, 1], codecs: ['json'], kind: this.kind, name: this.name };
    socket.write(frame(HELLO, 0, { ...hello, instance: this.#instance, token: this.#token }));
    await new Promise((resolve, reject) => {
      const timer = setTimeout(() => fail(new Disconnected('the hub has not answered')), this.timeout);
      const fail = (error) => (clearTimeout(timer), socket.destroy(), reject(error));
      let why = null, isOpen = false;
      const frames = reader(() => (isOpen ? 5 * this.#payload + (1 << 20) : 1 << 16), (kind, flags, body, size) => {
        if (isOpen) return this.#take(kind, flags, body, size);
        if (kind !== WELCOME) throw closing(body.op.Closing);
        isOpen = true;
        clearTimeout(timer);
        this.#welcome(socket, body);
        resolve();
      });
      socket.on('data', (chunk) => {
        try {
          if (!why) frames(chunk);
        } catch (error) {
          why = error;
          socket.destroy();
        }
      });
      socket.on('error', (error) => (why ??= isOpen ? null : error)); // It may say why it closes before it reads.
      socket.on('drain', () => this.#flushSoon());
      socket.on('close', () => {
        why ??= new Disconnected('the hub has closed the connection');
        if (isOpen) this.#reconnect(why);
        else fail(why);
      });
    });
  }

  #welcome(socket, { limits, token }) {
    this.#payload = limits.payload;
    this.#token = token ?? this.#token;
    const again = [...this._subs.values()].filter((sub) => sub.isOpen).map((sub) => {
      this.#opening.set(++this.#lastRef, sub);
      return { bytes: frame(CONTROL, 0, { ref: this.#lastRef, op: sub.op }), ref: 0 };
    });
    this.#out.unshift(...again);
    this.#unsent += again.reduce((sum, { bytes }) => sum + bytes.length, 0);
    this.#socket = socket;
    if (this.#over) socket.destroy();
    this.#flushSoon();
  }

  async #reconnect(why) {
    this.#drop(why);
    for (let pause = 100; !this.#over; pause = Math.min(pause * 2, 5_000)) {
      if (why.final || (this.kind === 'worker' && !this.#token)) return this.#finish(why);
      await new Promise((resolve) => setTimeout(resolve, pause * (0.5 + Math.random() / 2)));
      try {
        return this.#over ? undefined : await this._open();
      } catch (error) {
        why = error;
      }
    }
  }

  /** The connection is gone, and whatever was asked on it. */
  #drop(why) {
    this.#socket = null;
    this._life += 1;
    this.#out = this.#out.filter(({ ref }) => ref === null);
    this.#unsent = this.#out.reduce((sum, { bytes }) => sum + bytes.length, 0);
    this.#opening.clear();
    this.#held.clear();
    for (const { reject } of this.#asked.values()) reject(why);
    for (const go of [...this.#room.splice(0), ...this.#released.splice(0)]) go();
  }

  #finish(why) {
    this.#over ??= why;
    this.#socket?.destroy();
    this.#drop(this.#over);
    for (const sub of this._subs.values()) sub._end(this.#over);
  }

  #take(kind, flags, body, size) {
    if (kind === RUN) this._subs.get(body.sub)?._put(new Message(body, flags), size);
    else if (kind === CALL) this._subs.get(body.sub)?._put(new Call(this, body), size);
    else if (kind === ANSWER) this.#answer(body.ref, new Message(body));
    else if (kind === CONTROL) {
      const [name, fields] = typeof body.op === 'string' ? [body.op, {}] : Object.entries(body.op)[0];
      this.#control(body.ref, name, fields);
    } else if ((flags & IGNORABLE) === 0) throw new Disconnected(`the hub sent a frame of the unknown type ${kind}`);
  }

  #control(ref, name, fields) {
    const sub = this._subs.get(fields.sub);
    if (name === 'Closing') throw closing(fields);
    else if (name === 'Done') this.#answer(ref, fields.count);
    else if (name === 'Refused' && ref) this.#answer(ref, new Refused(fields.kind, fields.reason));
    else if (name === 'Refused') console.warn(`ostler: refused: ${fields.kind}: ${fields.reason}`);
    else if (name === 'Lagged') sub?._put(new Lost(fields.missed, 'the hub dropped them: too many waited'));
    else if (name === 'Misfit') sub?._put(new Lost(fields.missed, `${fields.topic}: ${fields.reason}`));
    else if (name === 'Hold') this.#held.add(fields.topic);
    else if (name === 'Release') {
      this.#held.delete(fields.topic);
      for (const go of this.#released.splice(0)) go();
    }
  }

  #answer(ref, what) {
    const asked = this.#asked.get(ref), sub = this.#opening.get(ref);
    this.#opening.delete(ref);
    if (sub) sub.isOpen = !(what instanceof Error);
    if (asked?.answers && what instanceof Message) asked.answers.push(what);
    else if (asked) what instanceof Error ? asked.reject(what) : asked.resolve(what);
    else if (what instanceof Error) sub?._end(what);
    else if (sub && !sub.options.serve) sub._put(new Lost(null, 'the connection was lost, and made again'));
  }
}

/** This process as the worker of Ostler that it is. `draining` resolves with `{ reason, deadline }` (of Date.now()) at the
 * master's word, TERM or INT. */
export class Worker extends Bus {
  #drain;
  #alive;
  draining = new Promise((resolve) => (this.#drain = resolve));

  static async start() {
    const { env } = process;
    if (!env.OSTLER_BUS_FD) throw new Disconnected('OSTLER_BUS_FD is not set: this process was not started by Ostler');
    const worker = new this({ name: env.OSTLER_APP, kind: 'worker', fd: Number(env.OSTLER_BUS_FD) });
    delete env.OSTLER_BUS_FD; // What this process starts is no worker.
    const [id, slot, generation] = ['WORKER_ID', 'SLOT', 'GENERATION'].map((key) => Number(env[`OSTLER_${key}`]));
    Object.assign(worker, { app: env.OSTLER_APP, id, slot, generation });
    for (const signal of ['SIGTERM', 'SIGINT']) process.on(signal, () => worker.drain(signal, 30_000));
    await worker._open();
    worker.#alive = setInterval(() => {}, 1 << 30); // Without the bus too, until a signal comes.
    await worker.serve(`to.worker.${id}.drain`, async (call) => {
      await call.reply(); // First: this program may end at once.
      worker.drain(call.payload.reason, call.payload.deadline_ms);
    });
    return worker;
  }

  /** What `server.listen` takes for the listening socket that the process file declares under this name. */
  listener(name) {
    const names = (process.env.LISTEN_FDNAMES ?? '').split(':');
    const isOurs = Number(process.env.LISTEN_PID ?? process.pid) === process.pid;
    if (!isOurs || !names.includes(name)) throw new Error(`no socket ${name} was inherited, but ${names}`);
    return { fd: 3 + names.indexOf(name) };
  }

  /** Says that it can serve. Until then the master takes no old worker away. */
  async ready() {
    await this.request('_sys.worker.ready', {});
  }

  /** Says that it goes of its own accord: its exit is no crash. */
  async disconnect() {
    await this.request('_sys.worker.disconnect', {});
  }

  async close() {
    clearInterval(this.#alive);
    await super.close();
  }

  /** Begins to drain; the first reason stands. */
  drain(reason, ms) {
    clearInterval(this.#alive);
    this.#drain({ reason, deadline: Date.now() + ms - Math.min(250, ms / 10) });
  }
}

function frame(kind, flags, body) {
  const text = Buffer.from(JSON.stringify(body));
  const head = Buffer.alloc(6);
  head.writeUInt32BE(text.length + 2);
  head[4] = kind;
  head[5] = flags;
  return Buffer.concat([head, text]);
}

/** Takes chunks, and calls `take` for each frame of at most `limit()` bytes. */
function reader(limit, take) {
  let chunks = [], have = 0, need = 6;
  return (chunk) => {
    chunks.push(chunk);
    have += chunk.length;
    if (have < need) return;
    let bytes = chunks.length === 1 ? chunks[0] : Buffer.concat(chunks);
    for (need = 6; bytes.length >= need; need = 6) {
      const length = bytes.readUInt32BE(0);
      if (length < 2 || length > limit()) throw new Disconnected(`the hub sent a frame of ${length} bytes`);
      need = length + 4;
      if (bytes.length < need) break;
      take(bytes[4], bytes[5], JSON.parse(bytes.toString('utf8', 6, need)), length);
      bytes = bytes.subarray(need);
    }
    [chunks, have] = [[bytes], bytes.length];
  };
}

function closing({ kind, reason }) {
  const final = ['Hello', 'Denied', 'Replaced'].includes(kind);
  return Object.assign(new Disconnected(`${kind}: ${reason}`), { final });
}
