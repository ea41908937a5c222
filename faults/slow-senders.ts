import { connect, type Socket } from 'node:net';
import { setTimeout as wait } from 'node:timers/promises';
import { durationMs } from './load/answers.js';
import { realClip } from './load/clips.js';
import { send } from './load/requests.js';
import { type ServiceOptions, ServiceProcess } from './load/service-process.js';
import type { FaultFigures, FaultSuite, SuiteOptions } from './suite.js';

/** Of all uploads there may be at once. */
const UPLOAD_PLACES = 32;
const SCALES = {
  smoke: { heads: 20, limitMs: 1000, waitMs: 30_000 },
  // The limits as they are by default: five seconds for a head, at least 16 KiB a second from the third on.
  full: { heads: 400, limitMs: 5000, waitMs: 30_000 },
} as const;
/** Between the moments at which the service looks, and for the rest. */
const GRACE_MS = 2000;
const MAX_SERVED_MS = 5000;
const DRIP_MS = 250;
const RETRY_MS = 50;
const NO_LIMITS = { UPLOAD_MIN_BYTES_PER_SECOND: '0', UPLOAD_TIMEOUT_MS: '3600000' };

/** Senders that drip: some never come to the end of their head, others hold every upload place there is. */
export const slowSenders: FaultSuite = {
  name: 'slow-senders',
  shows: 'who sends a byte now and then is cut off, and others are served meanwhile',
  control: 'heads and bodies may take as long as they like',
  async run({ size, isGuarded }: SuiteOptions): Promise<FaultFigures> {
    const { heads, limitMs, waitMs } = SCALES[size];
    return ServiceProcess.during(optionsFor({ size, isGuarded }), async (service) => {
      const drips = [...dripping(service, heads, HEAD), ...dripping(service, UPLOAD_PLACES, BODY)];
      try {
        const held = await untilHeld(service);
        const maxMs = isGuarded ? waitMs : limitMs + GRACE_MS;
        const [served, closed] = await Promise.all([
          untilServed(service, maxMs),
          untilClosed(drips, maxMs),
        ]);
        return figuresOf({ service, limitMs, held, served, closed, drips });
      } finally {
        for (const drip of drips) drip.end();
      }
    });
  },
};

function optionsFor({ size, isGuarded }: SuiteOptions): ServiceOptions {
  if (!isGuarded) return { planted: ['patient'], env: NO_LIMITS };
  // Of time as a whole, so that a smoke run is short.
  return size === 'smoke' ? { env: { UPLOAD_TIMEOUT_MS: String(SCALES.smoke.limitMs) } } : {};
}

const HEAD = 'POST /v1/tags HTTP/1.1\r\nHost: x\r\nX-Slow: ';
const BODY =
  'POST /v1/tags HTTP/1.1\r\nHost: x\r\nContent-Type: audio/wav\r\nContent-Length: 1000000\r\n\r\nRIFF';

/** A connection on which a byte comes now and then, until the service closes it. */
class Drip {
  closedMs: number | undefined;
  readonly startMs = performance.now();
  readonly #socket: Socket;
  readonly #dripping: NodeJS.Timeout;

  constructor(url: string, beginning: string) {
    const { hostname, port } = new URL(url);
    this.#socket = connect({ host: hostname, port: Number(port) });
    this.#socket.on('error', () => {});
    this.#socket.on('close', () => this.end());
    this.#socket.resume();
    this.#socket.write(beginning);
    this.#dripping = setInterval(() => this.#socket.write('x'), DRIP_MS);
  }

  end(): void {
    clearInterval(this.#dripping);
    this.closedMs ??= performance.now();
    this.#socket.destroy();
  }
}

function dripping({ url }: ServiceProcess, count: number, beginning: string): Drip[] {
  return Array.from({ length: count }, () => new Drip(url, beginning));
}

/** Waits until the uploads have all places there are, or a while. */
async function untilHeld(service: ServiceProcess): Promise<number> {
  let most = 0;
  for (let look = 0; look < 20 && most < UPLOAD_PLACES; look++) {
    most = Math.max(most, await service.metric('earshot_active_uploads'));
  }
  return most;
}

interface Served {
  readonly isServed: boolean;
  readonly ms: number;
}

/** A client that sends as fast as others do, again and again until there is a place for it. */
async function untilServed({ url }: ServiceProcess, maxMs: number): Promise<Served> {
  const startMs = performance.now();
  const clip = realClip('dog.ogg');
  const since = () => performance.now() - startMs;
  while (since() < maxMs) {
    const answer = await send({ url, clip });
    if (answer.status === 200) return { isServed: true, ms: since() - durationMs(answer) };
    await wait(RETRY_MS);
  }
  return { isServed: false, ms: since() };
}

/** @returns how many were closed, and how long the slowest of them was open */
async function untilClosed(
  drips: readonly Drip[],
  maxMs: number,
): Promise<{ count: number; latestMs: number }> {
  const endMs = performance.now() + maxMs;
  const closed = () => drips.filter(({ closedMs }) => closedMs !== undefined);
  while (closed().length < drips.length && performance.now() < endMs) await wait(RETRY_MS);
  const times = closed().map(({ startMs, closedMs = Infinity }) => closedMs - startMs);
  return { count: times.length, latestMs: Math.max(0, ...times) };
}

function figuresOf(scene: {
  service: ServiceProcess;
  limitMs: number;
  held: number;
  served: Served;
  closed: { count: number; latestMs: number };
  drips: readonly Drip[];
}): FaultFigures {
  const { service, limitMs, held, served, closed, drips } = scene;
  return [
    { name: 'senders that drip', value: drips.length, atLeast: drips.length },
    { name: 'upload places that they held', value: held, atLeast: UPLOAD_PLACES },
    { name: 'not cut off', value: drips.length - closed.count, atMost: 0 },
    { name: 'files left in the spool', value: service.spooled().length, atMost: 0 },
    { name: 'another client served', value: Number(served.isServed), atLeast: 1 },
    timed('the other had to wait, ms', served.ms, MAX_SERVED_MS),
    timed('cut off within, most ms', closed.latestMs, limitMs + GRACE_MS),
  ];
}

const timed = (name: string, value: number, atMost: number) =>
  ({ name, value, atMost, isTimed: true }) as const;
