/** Events of whole clips, through the real decoder and real models. */
import { mkdtemp, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { EventOptions } from '../../src/analyze/detect-events.js';
import type { AnalysisDeps } from '../../src/analyze/hear.js';
import { listEvents } from '../../src/analyze/list-events.js';
import { createDecoder, type Decoder } from '../../src/audio/decode.js';
import type { ModelRegistry } from '../../src/inference/model-registry.js';
import { toEventThresholds } from '../../src/outputs/events/event-thresholds.js';
import { writeWav } from '../audio/wav-writer.js';
import { startTiny } from '../inference/tiny-model.js';

const MODELS_DIR = fileURLToPath(new URL('../../models', import.meta.url));
const HOUR_SECONDS = 3600;
const ROW_SECONDS = 0.16;
/** An hour takes some 15 s, but the machine may have other things to do. */
const LOADED_MACHINE_MS = 300_000;

let decoder: Decoder;
let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'earshot-events-'));
  decoder = createDecoder({ threads: 1, maxClipSeconds: HOUR_SECONDS, timeoutMs: 600_000 });
});
afterAll(async () => {
  await decoder.close();
  await rm(folder, { recursive: true });
});

const silentObserver = {
  enter() {},
  spent() {},
  decodeDone() {},
  decodeFailed() {},
};

async function eventsOf(path: string, registry: ModelRegistry, change: Partial<EventOptions> = {}) {
  const model = registry.get();
  const labels = change.labels ?? model.card.labels.filter(({ trained }) => trained);
  const { signal } = new AbortController();
  const deps: AnalysisDeps = { decoder, model, observer: silentObserver, signal };
  const options = {
    labels,
    thresholds: toEventThresholds(labels, { on: 'auto' }),
    ...{ smoothSeconds: 0.48, mergeGapSeconds: 0.32, minDurationSeconds: 0, minLevelDbfs: -80 },
    hearing: { channel: 'mix', startSeconds: 0, short: 'reject' } as const,
    maxEvents: 100_000,
    ...change,
  };
  return listEvents({ path, bytes: (await stat(path)).size }, options, deps);
}

/** Silence with a click of one sample at each of these times, as nearly as the rate allows. */
function clickTrain(seconds: number, times: readonly number[], sampleRate: number): Buffer {
  const samples = new Float32Array(seconds * sampleRate);
  for (const time of times) samples[Math.round(time * sampleRate)] = 1;
  return writeWav({ kind: 'u8', sampleRate, channels: [samples] });
}

describe('clicks', () => {
  let registry: ModelRegistry;
  beforeAll(async () => {
    registry = await startTiny();
  });
  afterAll(() => registry.close());

  /** Whatever label, at any score: an event is a row in which something sounds. */
  async function onsets(path: string): Promise<{ start: number; end: number }[]> {
    const labels = registry.get().card.labels.slice(0, 1);
    const thresholds = toEventThresholds(labels, { on: 0 });
    const plain = { smoothSeconds: 0, mergeGapSeconds: 0, minLevelDbfs: -60 };
    const { events } = await eventsOf(path, registry, { labels, thresholds, ...plain });
    return events.map((event) => ({ start: event.start_seconds, end: event.end_seconds }));
  }

  // 8006 Hz is resampled by a rounded ratio: counted in samples, an hour would be 2.7 s too long.
  test.each([
    { seconds: HOUR_SECONDS, sampleRate: 8006, everyRows: 563 },
    { seconds: 60, sampleRate: 44_099, everyRows: 44 },
  ])(
    'of $seconds s at $sampleRate Hz lie in their rows',
    async ({ seconds, sampleRate, everyRows }) => {
      const numRows = Math.floor(seconds / ROW_SECONDS) - 1;
      const rows = Array.from(
        { length: Math.floor(numRows / everyRows) },
        (_, i) => (i + 1) * everyRows,
      );
      const path = join(folder, `clicks-${sampleRate}.wav`);
      const times = rows.map((row) => (row + 0.4) * ROW_SECONDS);
      await writeFile(path, clickTrain(seconds, times, sampleRate));
      const found = await onsets(path);
      expect(found.map(({ start }) => start / ROW_SECONDS)).toEqual(
        rows.map((row) => expect.closeTo(row, 6)),
      );
      expect(found.map(({ end }) => end / ROW_SECONDS)).toEqual(
        rows.map((row) => expect.closeTo(row + 1, 6)),
      );
    },
    LOADED_MACHINE_MS,
  );
});

describe('earshot-small', () => {
  let registry: ModelRegistry;
  beforeAll(async () => {
    registry = await startTiny({ modelsDir: MODELS_DIR });
  });
  afterAll(() => registry.close());

  const fixture = (name: string) =>
    fileURLToPath(new URL(`../fixtures/clips/${name}`, import.meta.url));

  test('hears the bark when the dog barks, and nothing in the silence around it', async () => {
    const { events } = await eventsOf(fixture('dog.ogg'), registry);
    // What else it takes the bark for, it is less sure of.
    const surest = events.toSorted((one, other) => other.score - one.score).slice(0, 2);
    expect(new Set(surest.map(({ label }) => label))).toEqual(new Set(['Dog', 'Bark']));
    for (const event of events) {
      // In the file: sound from 2.24 to 2.6 s.
      expect(Math.abs(event.start_seconds - 2.24)).toBeLessThanOrEqual(0.16);
      expect(Math.abs(event.end_seconds - 2.6)).toBeLessThanOrEqual(0.16);
    }
  });

  test('hears rain for as long as it rains', async () => {
    const { events } = await eventsOf(fixture('rain.ogg'), registry);
    expect(events.filter(({ label }) => label === 'Rain')).toMatchObject([
      { start_seconds: 0, end_seconds: 31 * 0.16 },
    ]);
  });
});
