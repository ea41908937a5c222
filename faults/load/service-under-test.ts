/** Process entry: the service as it is, with a probe beside it and, in controls, a fault planted into its process. */
import { subscribe } from 'node:diagnostics_channel';
import { readdirSync } from 'node:fs';
import { type IncomingMessage, Server, type ServerResponse } from 'node:http';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { Spool } from '../../src/http/spool.js';

/**
 * `leak`: each request leaves 10 KB behind. `stall`: each clip is worked on for a while on the main thread. `deaf`: nobody
 * hears that a client has gone. `patient`: heads of requests may take for ever. `hoard`: what earlier processes left in the
 * spool stays there.
 */
export type PlantedFault = 'leak' | 'stall' | 'deaf' | 'patient' | 'hoard';

export interface Measured {
  /** After a full collection: what is still reachable, on the heap and in buffers. */
  readonly liveBytes: number;
  readonly rssBytes: number;
  readonly openFiles: number;
  /** Since the last measurement. */
  readonly loopDelayP99Ms: number;
  readonly loopDelayMaxMs: number;
}

interface Exchange {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
}

const LEAK_BYTES = 10_240;
const STALL_MS = 5000;
const NS_PER_MS = 1e6;
const RESOLUTION_MS = 1;
const COLLECTIONS = 4;

const loopDelay = monitorEventLoopDelay({ resolution: RESOLUTION_MS });
loopDelay.enable();
setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc') as () => void;

plant(process.argv.slice(2) as PlantedFault[]);
process.on('message', async () => process.send?.(await measure()));
// The service decides when it ends; without whoever started it, it is not wanted.
process.channel?.unref();
process.once('disconnect', () => process.exit(1));
await import('../../src/main.js');

async function measure(): Promise<Measured> {
  const loopDelayP99Ms = loopDelay.percentile(99) / NS_PER_MS;
  const loopDelayMaxMs = loopDelay.max / NS_PER_MS;
  // Buffers are given back only after the collection that found them unreachable.
  for (let round = 0; round < COLLECTIONS; round++) {
    collectGarbage();
    await nextTurn();
  }
  const { heapUsed, external, rss } = process.memoryUsage();
  loopDelay.reset();
  return {
    liveBytes: heapUsed + external,
    rssBytes: rss,
    openFiles: readdirSync('/proc/self/fd').length,
    loopDelayP99Ms,
    loopDelayMaxMs,
  };
}

function plant(faults: readonly PlantedFault[]): void {
  const onRequest = (work: (exchange: Exchange) => void) =>
    subscribe('http.server.request.start', (exchange) => work(exchange as Exchange));
  const leaked: unknown[] = [];
  if (faults.includes('leak')) onRequest(() => leaked.push(Buffer.alloc(LEAK_BYTES)));
  if (faults.includes('stall')) onRequest(({ request }) => request.method === 'POST' && stall());
  if (faults.includes('deaf')) onRequest(({ response }) => deafen(response));
  if (faults.includes('patient')) makePatient();
  if (faults.includes('hoard')) Spool.prototype.sweep = async () => 0;
}

function stall(): void {
  const endMs = performance.now() + STALL_MS;
  while (performance.now() < endMs);
}

function deafen(response: ServerResponse): void {
  const emit = response.emit.bind(response) as (event: string, ...values: unknown[]) => boolean;
  response.emit = (event: string, ...values: unknown[]) =>
    event !== 'close' && emit(event, ...values);
}

function makePatient(): void {
  const listen = Server.prototype.listen;
  Server.prototype.listen = function (this: Server, ...where: unknown[]) {
    Object.assign(this, { headersTimeout: 0, requestTimeout: 0 });
    return Reflect.apply(listen, this, where);
  } as Server['listen'];
}
