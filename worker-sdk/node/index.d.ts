// What `ostler.mjs` offers. All times are milliseconds.

/** What JSON can say. */
export type Json = null | boolean | number | string | Json[] | { [key: string]: Json };

/** Who sent it, stamped by the hub. */
export type Origin =
  | 'Master'
  | { Worker: { app: string; id: number; slot: number; generation: number; pid: number } }
  | { Client: { name: string; conn: number } };

export type Headers = Record<string, string>;

export class Disconnected extends Error {
  /** There will be no connection again. */
  readonly final: boolean;
}
export class Closed extends Disconnected {}
export class Full extends Error {}
export class Refused extends Error {
  readonly kind: string;
  readonly reason: string;
}

/** In the place of events. */
export class Lost {
  /** How many; null: nobody knows. */
  readonly missed: number | null;
  readonly reason: string;
}

export class Message<P = any> {
  readonly topic?: string;
  readonly origin: Origin;
  readonly seq?: number;
  /** What its JSON says, or a Buffer. */
  readonly payload: P;
  readonly headers: Headers;
  readonly isRetained: boolean;
}

export class Call<P = any> extends Message<P> {
  readonly timeout: number;
  readonly number: number;
  readonly isAnswered: boolean;
  reply(payload?: unknown, headers?: Headers): void;
}

/** The protocol's options of Subscribe. */
export interface SubscribeOptions {
  policy?: 'DropOldest' | 'DropNewest' | 'KeepLatest' | 'Disconnect' | { Backpressure: { max_wait_ms: number } };
  group?: string;
  /** Events that wait in this program at most; 256. */
  window?: number;
  history?: number;
  max_messages?: number;
  max_bytes?: number;
}

export class Subscription<P = any> implements AsyncIterable<Message<P> | Lost> {
  readonly bus: Bus;
  readonly pattern: string;
  next(): Promise<Message<P> | Lost>;
  close(): Promise<void>;
  [Symbol.asyncIterator](): AsyncIterator<Message<P> | Lost>;
}

export interface ConnectOptions {
  path?: string;
  name?: string;
  kind?: 'client' | 'observer' | 'operator';
  timeout?: number;
}

export interface EmitOptions {
  retain?: boolean;
  ttl?: number;
  headers?: Headers;
}

export interface RequestOptions {
  timeout?: number;
  headers?: Headers;
}

export class Bus {
  static connect(options?: ConnectOptions): Promise<Bus>;
  emit(topic: string, payload: unknown, options: EmitOptions & { ack: true }): Promise<number>;
  emit(topic: string, payload?: unknown, options?: EmitOptions): Promise<void>;
  request<P = any>(topic: string, payload?: unknown, options?: RequestOptions): Promise<P>;
  requestMany<P = any>(topic: string, payload?: unknown, options?: RequestOptions & { limit?: number }): Promise<Message<P>[]>;
  subscribe<P = any>(pattern: string, options?: SubscribeOptions): Promise<Subscription<P>>;
  serve<P = any>(pattern: string, handler: (call: Call<P>) => unknown): Promise<Subscription<P>>;
  flush(timeout?: number): Promise<void>;
  close(): Promise<void>;
}

export class Worker extends Bus {
  static start(): Promise<Worker>;
  readonly app: string;
  readonly id: number;
  readonly slot: number;
  readonly generation: number;
  /** Resolves at the master's word, TERM or INT; `deadline` is of `Date.now()`. */
  readonly draining: Promise<{ reason: string; deadline: number }>;
  listener(name: string): { fd: number };
  ready(): Promise<void>;
  /** Counts a request, for `max_requests` and `idle_timeout`; what this returns is to be called at its end. */
  countRequest(): () => void;
  disconnect(): Promise<void>;
  drain(reason: string, ms: number): void;
}
