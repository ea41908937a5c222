import { Agent } from 'node:http';
import { setTimeout as wait } from 'node:timers/promises';
import { durationMs, saidIn, withStatus } from './load/answers.js';
import { barks } from './load/clips.js';
import { closedLoop, openLoop } from './load/open-loop.js';
import { type Answered, send } from './load/requests.js';
import { ServiceProcess } from './load/service-process.js';
import { quantile } from './load/statistics.js';
import type { FaultFigures, FaultSuite, SuiteOptions, SuiteSize } from './suite.js';

/**
 * In a full run a clip is long beside what a refusal costs, a second of work or so, as ten seconds of sound are with a
 * large model; and clients wait for the work of so many places: of far more than there are, of far less than all of the
 * requests would take.
 */
const SCALES = {
  smoke: { barks: 1, seconds: 1, patiencePlaces: 45 },
  full: { barks: 24, seconds: 30, patiencePlaces: 32 },
} as const;
type Scale = (typeof SCALES)[SuiteSize];

const SENDERS = 4;
const TIMES_THE_CAPACITY = 10;
/** In the queue, by default, with one engine. */
const PLACES = 8;
/** Those in places, the one in the engine, and those whose last bytes are on the way. */
const MAX_IN_HAND = PLACES + 4;
const NO_LIMIT = '100000';
/** Until the queue is full and the flow is even. */
const RUN_IN_SHARE = 0.1;
/** Windows that the engines have run; of a request that was answered they all count, whenever it was. */
const WINDOWS_RUN = 'earshot_batch_windows_sum';

/** Ten times the capacity, from senders that do not wait: as much work is done as without them, and others hear at once. */
export const overload: FaultSuite = {
  name: 'overload',
  shows: 'ten times the load is refused at once, without harm to what was taken in',
  control: 'no limit on what waits',
  async run({ size, isGuarded }: SuiteOptions): Promise<FaultFigures> {
    const env = isGuarded ? {} : { QUEUE_MAX_WINDOWS: NO_LIMIT, MAX_UPLOADS: NO_LIMIT };
    return ServiceProcess.during({ env }, async (service) => {
      const calm = await measureCalm(service, SCALES[size]);
      const rush = await rushUpon(service, calm);
      return [...counts(calm, rush), ...times(calm, rush)];
    });
  },
};

/** The service as it is without a rush. */
interface Calm {
  readonly clip: Buffer;
  readonly expected: string | undefined;
  readonly requestsPerSecond: number;
  readonly windowsPerSecond: number;
  /** Of the rush to come. */
  readonly seconds: number;
  readonly patienceMs: number;
}

interface Rush {
  readonly answers: readonly Answered[];
  /** From when the flow was even to the last request. */
  readonly windowsPerSecond: number;
  readonly loopDelayP99Ms: number;
  readonly loopDelayMaxMs: number;
}

async function measureCalm(
  service: ServiceProcess,
  { barks: times, seconds, patiencePlaces }: Scale,
): Promise<Calm> {
  const { url } = service;
  const clip = barks(times);
  const sendOne = () => send({ url, clip });
  const expected = saidIn(await sendOne());
  const before = await windowsRun(service);
  const startMs = performance.now();
  const isOver = () => performance.now() - startMs > 1000 * seconds;
  const answers = await closedLoop({ senders: SENDERS, sendOne, isOver });
  const tookMs = Math.max(...answers.map(({ endMs }) => endMs)) - startMs;
  const requestsPerSecond = (1000 * withStatus(answers, 200).length) / tookMs;
  const windowsPerSecond = rateBetween(before, await windowsRun(service));
  const patienceMs = Math.round((1000 * patiencePlaces) / requestsPerSecond);
  return { clip, expected, requestsPerSecond, windowsPerSecond, seconds, patienceMs };
}

interface Reading {
  readonly ms: number;
  readonly windows: number;
}

async function windowsRun(service: ServiceProcess): Promise<Reading> {
  const windows = await service.metric(WINDOWS_RUN);
  return { ms: performance.now(), windows };
}

const rateBetween = (from: Reading, to: Reading): number =>
  (1000 * (to.windows - from.windows)) / (to.ms - from.ms);

async function rushUpon(service: ServiceProcess, calm: Calm): Promise<Rush> {
  const { clip, requestsPerSecond, seconds, patienceMs } = calm;
  const agent = new Agent({ keepAlive: true, maxSockets: Infinity });
  const request = { url: service.url, path: `/v1/tags?timeout_ms=${patienceMs}`, clip, agent };
  await service.measure();
  const startMs = performance.now();
  const rush = openLoop({
    requestsPerSecond: TIMES_THE_CAPACITY * requestsPerSecond,
    sendOne: () => send(request),
    isOver: () => performance.now() - startMs >= 1000 * seconds,
  });
  await wait(1000 * RUN_IN_SHARE * seconds);
  const even = await windowsRun(service);
  await wait(startMs + 1000 * seconds - performance.now());
  const windowsPerSecond = rateBetween(even, await windowsRun(service));
  const answers = await rush;
  agent.destroy();
  const { loopDelayP99Ms, loopDelayMaxMs } = await service.measure();
  return { answers, windowsPerSecond, loopDelayP99Ms, loopDelayMaxMs };
}

function counts({ expected }: Calm, { answers }: Rush): FaultFigures {
  const [taken, refused] = [withStatus(answers, 200), withStatus(answers, 429)];
  const wrong = taken.filter((answer) => saidIn(answer) !== expected);
  const mute = refused.filter(({ retryAfterSeconds = 0 }) => retryAfterSeconds < 1);
  const others = answers.length - taken.length - refused.length;
  return [
    { name: 'requests', value: answers.length, atLeast: 1 },
    { name: 'answered 200', value: taken.length, atLeast: 1 },
    { name: 'refused 429', value: refused.length, atLeast: 1 },
    { name: 'neither 200 nor 429', value: others, atMost: 0 },
    { name: 'in hand at once, most', value: mostAtOnce(taken), atMost: MAX_IN_HAND },
    { name: '429 without Retry-After', value: mute.length, atMost: 0 },
    { name: 'other answers than in calm', value: wrong.length, atMost: 0 },
  ];
}

/** Of requests that were taken in, from the first byte sent to the last received. */
function mostAtOnce(answers: readonly Answered[]): number {
  const changes = answers.flatMap(({ startMs, endMs }) => [
    { ms: startMs, by: 1 },
    { ms: endMs, by: -1 },
  ]);
  let [now, most] = [0, 0];
  for (const { by } of changes.toSorted((a, b) => a.ms - b.ms)) {
    now += by;
    most = Math.max(most, now);
  }
  return most;
}

function times({ requestsPerSecond, windowsPerSecond }: Calm, rush: Rush): FaultFigures {
  const [taken, refused] = [withStatus(rush.answers, 200), withStatus(rush.answers, 429)];
  const goodput = rush.windowsPerSecond / windowsPerSecond;
  const placesMs = (1000 * PLACES) / requestsPerSecond;
  const ms = (name: string, value: number, atMost: number) =>
    ({ name, value, atMost, isTimed: true }) as const;
  return [
    { name: 'capacity, requests per second', value: requestsPerSecond },
    { name: 'goodput, of the capacity', value: goodput, atLeast: 0.95, isTimed: true },
    ms('refused within, p50 ms', quantile(refused.map(durationMs), 0.5), 5),
    ms('refused within, p99 ms', quantile(refused.map(durationMs), 0.99), 50),
    ms('answered within, p99 ms', quantile(taken.map(durationMs), 0.99), 1.3 * placesMs),
    ms('event loop delay, p99 ms', rush.loopDelayP99Ms, 15),
    ms('event loop delay, max ms', rush.loopDelayMaxMs, 50),
  ];
}
