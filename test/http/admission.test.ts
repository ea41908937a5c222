import type { Request } from 'express';
import { expect, test } from 'vitest';
import type { DecodedClip, DecodedWindow, Decoder } from '../../src/audio/decode.js';
import { ServiceError } from '../../src/errors.js';
import { Admission } from '../../src/http/admission.js';
import { Lifecycle } from '../../src/http/lifecycle.js';
import type { Model } from '../../src/inference/model-registry.js';
import { WHOLE_PLAN } from '../audio/whole-clip.js';

const QUEUE_MAX_WINDOWS = 3;
const RETRY_AFTER_SECONDS = 7;

/** Only what the gate asks of a model. */
function modelWith(queuedWindows = 0, queuedBy: Record<string, number> = {}): Model {
  const asked: Partial<Model> = {
    queuedWindows,
    queuedWindowsOf: (client) => queuedBy[client] ?? 0,
    queueMaxWindows: QUEUE_MAX_WINDOWS,
    retryAfterSeconds: RETRY_AFTER_SECONDS,
    assertCanAdmit() {},
  };
  return asked as Model;
}

const requestOf = (length?: number) =>
  ({ get: () => length?.toString(), is: () => false }) as unknown as Request;

function createGate(options: { maxUploads?: number; isReady?: boolean } = {}) {
  const { maxUploads = 2, isReady = true } = options;
  const uploads: string[] = [];
  const metrics = {
    uploadStarted: (route: string) => uploads.push(`+${route}`),
    uploadFinished: (route: string) => uploads.push(`-${route}`),
  };
  const lifecycle = new Lifecycle();
  const gate = new Admission({
    maxUploads,
    maxUploadBytes: 1000,
    lifecycle,
    isReady: () => isReady,
    metrics,
  });
  return { gate, lifecycle, uploads };
}

function codeOf(work: () => unknown): string | undefined {
  try {
    work();
    return undefined;
  } catch (error) {
    return error instanceof ServiceError ? error.code : String(error);
  }
}

test('an idle service is open to what fits', () => {
  const { gate } = createGate();
  expect(codeOf(() => gate.assertOpen(requestOf(1000), modelWith()))).toBeUndefined();
  expect(codeOf(() => gate.assertOpen(requestOf(), modelWith()))).toBeUndefined();
});

test('shutting down is said first, then not ready, then the size, then the queue', () => {
  const full = modelWith(QUEUE_MAX_WINDOWS);
  const huge = requestOf(10_000_000);
  const { gate, lifecycle } = createGate({ isReady: false });
  expect(codeOf(() => gate.assertOpen(huge, full))).toBe('not_ready');
  lifecycle.drain();
  expect(codeOf(() => gate.assertOpen(huge, full))).toBe('draining');
  const { gate: ready } = createGate();
  expect(codeOf(() => ready.assertOpen(huge, full))).toBe('file_too_large');
  expect(codeOf(() => ready.assertOpen(requestOf(1), full))).toBe('overloaded');
});

test('who is leaving still serves', () => {
  const { gate, lifecycle } = createGate();
  lifecycle.leave();
  expect(codeOf(() => gate.assertOpen(requestOf(1), modelWith()))).toBeUndefined();
});

test('an upload place is free again after the upload, however that ended', async () => {
  const { gate, uploads } = createGate({ maxUploads: 1 });
  let finish = () => {};
  const first = gate.uploading(
    { route: '/v1/tags' },
    () => new Promise((resolve) => (finish = resolve)),
  );
  await expect(gate.uploading({ route: '/v1/tags' }, async () => {})).rejects.toMatchObject({
    code: 'overloaded',
    extensions: { limits: { max_uploads: 1 } },
  });
  finish();
  await first;
  const failing = gate.uploading({ route: '/v1/tags' }, () => Promise.reject(new Error('gone')));
  await expect(failing).rejects.toThrow('gone');
  await gate.uploading({ route: '/v1/tags' }, async () => {});
  expect(uploads).toEqual(Array(3).fill(['+/v1/tags', '-/v1/tags']).flat());
});

test('clips in decoding have places in the queue of their model, and of no other', async () => {
  const { gate } = createGate();
  const [model, other] = [modelWith(1), modelWith(1)];
  const ends: (() => void)[] = [];
  const decode = () => new Promise<never>((_resolve, reject) => ends.push(() => reject('end')));
  const counted = gate.counting({ decode }, model);
  const start = () => counted.decode('a', WHOLE_PLAN, { onWindow() {} });
  const decoding = [start(), start()];
  expect(codeOf(() => gate.assertWorkPlace(model))).toBe('overloaded');
  expect(codeOf(() => gate.assertWorkPlace(other))).toBeUndefined();
  for (const end of ends) end();
  await Promise.allSettled(decoding);
  expect(codeOf(() => gate.assertWorkPlace(model))).toBeUndefined();
});

test('a clip in decoding counts until its first window counts for itself', async () => {
  const { gate } = createGate();
  const model = modelWith(QUEUE_MAX_WINDOWS - 1);
  const codes: (string | undefined)[] = [];
  const decode: Decoder['decode'] = async (_path, _plan, { onWindow }) => {
    for (let count = 0; count < 2; count++) await onWindow({} as DecodedWindow);
    return {} as DecodedClip;
  };
  const counted = gate.counting({ decode }, model);
  const onWindow = () => {
    codes.push(codeOf(() => gate.assertWorkPlace(model)));
  };
  await counted.decode('a', WHOLE_PLAN, { onWindow });
  expect(codes).toEqual(['overloaded', undefined]);
});

test('a full queue says when the work that waits is done', () => {
  const { gate } = createGate();
  expect(() => gate.assertWorkPlace(modelWith(QUEUE_MAX_WINDOWS))).toThrow(
    expect.objectContaining({
      extensions: {
        retry_after_seconds: RETRY_AFTER_SECONDS,
        limits: { queue_max_windows: QUEUE_MAX_WINDOWS },
      },
    }),
  );
});

test('a client takes places as long as it holds fewer than are free; without keys nobody is told apart', () => {
  const { gate } = createGate();
  // Three places: two of the greedy one, one free.
  const model = modelWith(2, { greedy: 2 });
  expect(codeOf(() => gate.assertWorkPlace(model, 'greedy'))).toBe('overloaded');
  expect(codeOf(() => gate.assertWorkPlace(model, 'other'))).toBeUndefined();
  expect(codeOf(() => gate.assertWorkPlace(model))).toBeUndefined();
  expect(codeOf(() => gate.assertWorkPlace(modelWith(1, { greedy: 1 }), 'greedy'))).toBeUndefined();
});

test('clips in decoding count for their client', async () => {
  const { gate } = createGate();
  const model = modelWith();
  let end = () => {};
  const decode = () => new Promise<never>((_resolve, reject) => (end = () => reject('end')));
  const start = () =>
    gate.counting({ decode }, model, 'greedy').decode('a', WHOLE_PLAN, { onWindow() {} });
  const decoding = [start(), start()];
  expect(codeOf(() => gate.assertWorkPlace(model, 'greedy'))).toBe('overloaded');
  expect(codeOf(() => gate.assertWorkPlace(model, 'other'))).toBeUndefined();
  end();
  await Promise.race(decoding).catch(() => {});
  expect(codeOf(() => gate.assertWorkPlace(model, 'greedy'))).toBeUndefined();
});

test('uploads of one client leave places for those of others', async () => {
  const { gate } = createGate({ maxUploads: 3 });
  const ends: (() => void)[] = [];
  const upload = (client: string) =>
    gate.uploading({ route: '/v1/tags', client }, () => new Promise((end) => ends.push(end)));
  const running = [upload('greedy'), upload('greedy')];
  await expect(upload('greedy')).rejects.toMatchObject({ code: 'overloaded' });
  running.push(upload('other'));
  expect(ends).toHaveLength(3);
  for (const end of ends) end();
  await Promise.all(running);
});
