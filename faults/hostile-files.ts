import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Decoder } from '../src/audio/decode.js';
import { loadConfig } from '../src/config.js';
import { ServiceError } from '../src/errors.js';
import { openWorkshop, startService, type TestService } from '../test/http/test-service.js';
import { honestFiles, hostileFiles } from './hostile/corpus.js';
import type { NamedFile } from './hostile/forgeries.js';
import { childrenOf, numLeft } from './hostile/processes.js';
import { inTurns } from './in-turns.js';
import type { FaultFigures, FaultSuite, SuiteOptions } from './suite.js';

const COUNTS = { smoke: 60, full: 1500 } as const;
/** Enough to meet faults that nobody turns into refusals. */
const CONTROL_COUNT = 20;
/** Of the clips whose answers must stay as they were. */
const GOLDEN_BYTES = 20_000;
const SEED = 7;
const AT_ONCE = 4;
const PATHS = [
  '/v1/tags',
  '/v1/tags?include=windows,peaks,audio&channel=left',
  '/v1/events',
  '/v1/events?response_format=ndjson',
  '/v1/embeddings?short=pad',
];

/** Damaged, forged and lying files by the hundred, each answered, none to the harm of the files after it. */
export const hostileCorpus: FaultSuite = {
  name: 'hostile-files',
  shows:
    'no file is answered with a fault of the service, leaves something behind or changes later answers',
  control: 'what decoders throw is passed on as it is',
  run,
};

async function run({ size, isGuarded }: SuiteOptions): Promise<FaultFigures> {
  const listener = await openListener();
  const { ffmpegPath = 'off' } = loadConfig();
  const workshop = await openWorkshop({ ffmpegPath, maxClipSeconds: 60 });
  const decoder = isGuarded ? workshop.decoder : unguarded(workshop.decoder);
  const service = await startService(workshop, { decoder, env: { REQUEST_TIMEOUT_MS: '30000' } });
  try {
    const count = isGuarded ? COUNTS[size] : CONTROL_COUNT;
    const files = hostileFiles({ count, seed: SEED, listenerUrl: listener.url });
    return await figuresOf({ files, service, listener });
  } finally {
    await service.close();
    await workshop.close();
    await listener.close();
  }
}

interface Scene {
  readonly files: readonly NamedFile[];
  readonly service: TestService;
  readonly listener: Listener;
}

async function figuresOf({ files, service, listener }: Scene): Promise<FaultFigures> {
  const honest = honestFiles().filter(({ bytes }) => bytes.length <= GOLDEN_BYTES);
  const before = await askAll(service, honest, () => '/v1/tags');
  const known = new Set(childrenOf(process.pid).map(({ pid }) => pid));
  const replies = await askAll(service, files, (index) => PATHS[index % PATHS.length] as string);
  const after = await askAll(service, honest, () => '/v1/tags');
  const count = (isOne: (reply: Reply) => boolean) => replies.filter(isOne).length;
  return [
    { name: 'files', value: files.length, atLeast: files.length },
    { name: 'answered 200', value: count(({ status }) => status === 200) },
    { name: 'refused 4xx', value: count(({ status }) => status >= 400 && status < 500) },
    { name: 'answered 5xx', value: count(isFault), atMost: 0 },
    { name: 'answered not at all, or not as documented', value: count(isLost), atMost: 0 },
    { name: 'honest files answered otherwise after', value: numChanged(before, after), atMost: 0 },
    { name: 'connections that files led to', value: listener.connections(), atMost: 0 },
    { name: 'files left in the spool', value: service.spooled().length, atMost: 0 },
    { name: 'child processes left', value: await numLeft(({ pid }) => !known.has(pid)), atMost: 0 },
    {
      name: 'p99, times that of honest files',
      value: slowness(replies, before),
      atMost: 2,
      isTimed: true,
    },
  ];
}

interface Reply {
  readonly name: string;
  /** 0: none, or one that openapi.yaml does not know. */
  readonly status: number;
  readonly body: string;
  readonly ms: number;
}

const isLost = ({ status }: Reply): boolean => status === 0;

/** Also where it comes as the last line of a stream. */
const isFault = ({ status, body }: Reply): boolean =>
  status >= 500 || /"status":5\d\d\b/.test(body);

function askAll(
  service: TestService,
  files: readonly NamedFile[],
  pathOf: (index: number) => string,
): Promise<Reply[]> {
  return inTurns(files, AT_ONCE, async ({ name, bytes }, index) => {
    const startMs = performance.now();
    const headers = { 'Content-Type': 'application/octet-stream' };
    const exchange = await service
      .callRaw({ method: 'POST', path: pathOf(index), headers }, (request) => request.end(bytes))
      .catch((error: Error) => ({ status: 0, body: error.message }));
    return { name, status: exchange.status, body: exchange.body, ms: performance.now() - startMs };
  });
}

function numChanged(before: readonly Reply[], after: readonly Reply[]): number {
  const told = ({ status, body }: Reply) => `${status} ${withoutTimes(body)}`;
  return before.filter((reply, index) => told(reply) !== told(after[index] as Reply)).length;
}

/** What is another in each reply to the same clip. */
function withoutTimes(body: string): string {
  return body.replace(/"(?:id|request_id|instance|created)":\s*(?:"[^"]*"|\d+)/g, '');
}

function slowness(replies: readonly Reply[], honest: readonly Reply[]): number {
  return percentile99(replies) / percentile99(honest);
}

function percentile99(replies: readonly Reply[]): number {
  const times = replies.map(({ ms }) => ms).sort((a, b) => a - b);
  return times[Math.min(times.length - 1, Math.ceil(times.length * 0.99) - 1)] ?? Number.NaN;
}

/** Faults of decoders as they come, without the one place that makes refusals of them. */
function unguarded(decoder: Decoder): Pick<Decoder, 'decode'> {
  return {
    decode: (...clip) =>
      decoder.decode(...clip).catch((error: unknown) => {
        const isCaught = error instanceof ServiceError && error.code === 'undecodable_audio';
        throw isCaught ? new Error(error.message) : error;
      }),
  };
}

interface Listener {
  readonly url: string;
  connections(): number;
  close(): Promise<void>;
}

/** A server on this machine that counts who comes. */
async function openListener(): Promise<Listener> {
  let numConnections = 0;
  const server = createServer((_request, response) => response.end());
  server.on('connection', () => {
    numConnections += 1;
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const close = async () => void (await new Promise((resolve) => server.close(resolve)));
  return { url, connections: () => numConnections, close };
}
