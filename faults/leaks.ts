import { once } from 'node:events';
import { childrenOf, residentBytes } from './hostile/processes.js';
import { barks, realClip } from './load/clips.js';
import { closedLoop } from './load/open-loop.js';
import { type Answered, open, send } from './load/requests.js';
import { restOf } from './load/rest.js';
import { ServiceProcess } from './load/service-process.js';
import type { Measured } from './load/service-under-test.js';
import { slope } from './load/statistics.js';
import type { FaultFigures, FaultSuite, SuiteOptions, SuiteSize } from './suite.js';

/** Over few requests what is compiled and kept for good weighs as much as a small leak would. */
const SCALES = {
  smoke: { requests: 300, maxBytesPerRequest: 8000 },
  full: { requests: 10_000, maxBytesPerRequest: 1024 },
} as const;
/** What is left behind on purpose shows in few. */
const CONTROL_REQUESTS = 100;
const MEASUREMENTS = 10;
const SENDERS = 4;
const MAX_MORE_FILES = 2;

/** Requests of all kinds, a fifth of them faulty. */
export const leaks: FaultSuite = {
  name: 'leaks',
  shows: 'memory and descriptors do not grow with the number of requests',
  control: '10 KB left behind by each request',
  isFullOnly: true,
  async run({ size, isGuarded }: SuiteOptions): Promise<FaultFigures> {
    const planted = isGuarded ? [] : (['leak'] as const);
    return ServiceProcess.during({ planted }, async (service) => {
      const { maxBytesPerRequest, ...scale } = SCALES[size];
      const requests = isGuarded ? scale.requests : CONTROL_REQUESTS;
      const measured: Snapshot[] = [];
      const statuses = new Set<number>();
      while (measured.length < MEASUREMENTS) {
        for (const status of await sendMixed(service.url, requests / MEASUREMENTS)) {
          statuses.add(status);
        }
        // Those that left early are still being cleared away.
        await restOf(service);
        measured.push({ ...(await service.measure()), engineBytes: engineBytesOf(service) });
      }
      return figuresOf({ measured, statuses, requests, maxBytesPerRequest, size });
    });
  },
};

interface Snapshot extends Measured {
  /** Resident, of all engines together. */
  readonly engineBytes: number;
}

const engineBytesOf = ({ pid }: ServiceProcess): number =>
  childrenOf(pid).reduce((sum, child) => sum + residentBytes(child.pid), 0);

/** One of each kind in turn: four that are answered, one that cannot be. */
async function sendMixed(url: string, requests: number): Promise<number[]> {
  const dog = realClip('dog.ogg');
  const kinds: readonly (() => Promise<Answered>)[] = [
    () => send({ url, clip: dog, path: brief('/v1/tags') }),
    () => send({ url, clip: realClip('dog.opus'), path: brief('/v1/events', 'ndjson') }),
    () => send({ url, clip: Buffer.from('no audio at all') }),
    () => send({ url, clip: realClip('dog_44k.mp3'), path: brief('/v1/embeddings') }),
    () => send({ url, clip: realClip('dog_16k_s16.wav'), path: brief('/v1/tags') }),
    () => send({ url, clip: dog, path: `${brief('/v1/tags')}&include=windows,peaks` }),
    () => send({ url, clip: dog.subarray(0, dog.length / 2), path: brief('/v1/events') }),
    () => send({ url, clip: dog, path: '/v1/tags?top_k=none' }),
    () => send({ url, clip: barks(3) }),
    () => leave(url, dog),
  ];
  let next = 0;
  const sendOne = () => (kinds[next++ % kinds.length] as () => Promise<Answered>)();
  const isOver = () => next >= requests;
  return (await closedLoop({ senders: SENDERS, sendOne, isOver })).map(({ status }) => status);
}

/** One second of the clip is heard: what a request leaves behind does not hang on more. */
const brief = (path: string, form = 'json'): string =>
  `${path}?end_seconds=1${form === 'json' ? '' : `&response_format=${form}`}`;

async function leave(url: string, clip: Buffer): Promise<Answered> {
  const startMs = performance.now();
  const request = open({ url, clip });
  request.on('error', () => {});
  request.end(clip);
  await once(request, 'finish');
  request.destroy();
  const endMs = performance.now();
  return {
    status: 0,
    retryAfterSeconds: undefined,
    body: '',
    startMs,
    sentMs: endMs,
    endMs,
  };
}

function figuresOf({
  measured,
  statuses,
  requests,
  maxBytesPerRequest,
  size,
}: {
  measured: readonly Snapshot[];
  statuses: ReadonlySet<number>;
  requests: number;
  maxBytesPerRequest: number;
  size: SuiteSize;
}): FaultFigures {
  const half = measured.slice(measured.length / 2);
  const growth = (of: (each: Snapshot) => number) =>
    slope(half.map((each, i) => ({ x: (i * requests) / MEASUREMENTS, y: of(each) })));
  const files = half.map(({ openFiles }) => openFiles);
  const faults = [...statuses].filter((status) => status >= 500).length;
  return [
    { name: 'requests', value: requests },
    { name: 'kinds of answers', value: statuses.size, atLeast: 3 },
    { name: 'of them faults of the service', value: faults, atMost: 0 },
    {
      name: 'live bytes more per request',
      value: growth(({ liveBytes }) => liveBytes),
      atMost: maxBytesPerRequest,
    },
    { name: 'resident bytes more per request', value: growth(({ rssBytes }) => rssBytes) },
    {
      name: 'of the engines, resident bytes more per request',
      value: growth(({ engineBytes }) => engineBytes),
      // Over few requests an allocator still takes what it keeps.
      ...(size === 'full' && { atMost: maxBytesPerRequest }),
    },
    {
      name: 'descriptors, most and least apart',
      value: Math.max(...files) - Math.min(...files),
      atMost: MAX_MORE_FILES + SENDERS,
    },
  ];
}
