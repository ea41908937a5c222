import { once } from 'node:events';
import { createServer, request as httpRequest, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { TinyCopy } from '../inference/tiny-model.js';
import {
  MAX_CLIP_SECONDS,
  openWorkshop,
  startService,
  type TestService,
  toneClip,
  type Workshop,
} from './test-service.js';

/** A probe that waits longer may be taken for a dead service. */
const MAX_ANSWER_MS = 50;

let models: TinyCopy;
let workshop: Workshop;
let service: TestService;

beforeAll(async () => {
  models = await TinyCopy.create();
  // One window for the whole clip, and so one run that takes a while.
  await models.editCard((card) => {
    card.window_seconds = MAX_CLIP_SECONDS;
  });
  workshop = await openWorkshop({ modelsDir: models.modelsDir });
  service = await startService(workshop);
});
afterAll(async () => {
  await service.close();
  await workshop.close();
  await models[Symbol.asyncDispose]();
});

interface Answer {
  readonly startMs: number;
  readonly endMs: number;
}

/** Asks `/livez` again and again until the work is done. */
async function askDuring(port: number, work: Promise<unknown>): Promise<Answer[]> {
  const answers: Answer[] = [];
  let isDone = false;
  const done = work.finally(() => {
    isDone = true;
  });
  while (!isDone) {
    const startMs = performance.now();
    const request = httpRequest({ port, host: '127.0.0.1', path: '/livez' }).end();
    const [response] = await once(request, 'response');
    expect(response.statusCode).toBe(200);
    await once(response.resume(), 'end');
    answers.push({ startMs, endMs: performance.now() });
  }
  await done;
  return answers;
}

/** Median over the answers that lie within the last `runMs` before `endMs`; Infinity if there is none. */
function medianMs(answers: readonly Answer[], { endMs, runMs }: { endMs: number; runMs: number }) {
  const within = answers.filter((a) => a.startMs >= endMs - runMs && a.endMs <= endMs);
  const durations = within.map((a) => a.endMs - a.startMs).toSorted((a, b) => a - b);
  return durations[Math.floor(durations.length / 2)] ?? Number.POSITIVE_INFINITY;
}

test('/livez answers while a run is in progress', async () => {
  const work = service
    .call('post', '/v1/tags')
    .attach('file', toneClip(MAX_CLIP_SECONDS), 'x')
    .then((reply) => ({
      reply,
      endMs: performance.now(),
    }));
  const answers = await askDuring(service.port, work);
  const { reply, endMs } = await work;
  expect(reply.body.usage.windows).toBe(1);
  const runMs = Number(/inference;dur=([\d.]+)/.exec(String(reply.headers['server-timing']))?.[1]);
  // Long enough to be told apart: one blocked answer would take all of it.
  expect(runMs).toBeGreaterThan(4 * MAX_ANSWER_MS);
  expect(medianMs(answers, { endMs, runMs })).toBeLessThanOrEqual(MAX_ANSWER_MS);
});

test('the measurement notices a run on the main thread', async () => {
  const runMs = 4 * MAX_ANSWER_MS;
  const server: Server = createServer((_request, response) => response.end()).listen(
    0,
    '127.0.0.1',
  );
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const work = new Promise<number>((resolve) => {
    setImmediate(() => {
      const endMs = performance.now() + runMs;
      while (performance.now() < endMs);
      resolve(endMs);
    });
  });
  const answers = await askDuring(port, work);
  expect(medianMs(answers, { endMs: await work, runMs })).toBeGreaterThan(MAX_ANSWER_MS);
  server.closeAllConnections();
  server.close();
});
