/** POST /v1/events around the tiny model: every format, held to the scores that they come from. */
import { readFileSync } from 'node:fs';
import { request as httpRequest, type IncomingMessage } from 'node:http';
import { parse as parseCsv } from 'csv-parse/sync';
import { fileTypeFromBuffer } from 'file-type';
import { PNG } from 'pngjs';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import type { Decoder } from '../../src/audio/decode.js';
import type { ModelRegistry } from '../../src/inference/model-registry.js';
import { writeWav } from '../audio/wav-writer.js';
import { wholeWindows } from '../audio/whole-windows.js';
import {
  clip,
  openWorkshop,
  startService,
  type TestService,
  type TestServiceOptions,
  toneClip,
  type Workshop,
} from './test-service.js';

const ROW_SECONDS = 0.16;
const NDJSON = 'application/x-ndjson';

let workshop: Workshop;
let service: TestService;

beforeAll(async () => {
  workshop = await openWorkshop({ model: 'tiny' });
  service = await startService(workshop);
});
afterAll(async () => {
  await service.close();
  await workshop.close();
});
afterEach(() => expect(service.spooled()).toEqual([]));

const events = (query = '', own = service) => own.call('post', `/v1/events${query}`);
const ofDog = (query = '', own = service) =>
  events(query, own).attach('file', clip('dog.ogg'), 'x');

interface Line {
  readonly object: string;
  readonly [member: string]: unknown;
}
const linesOf = (text: string): Line[] =>
  text
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as Line);

/** Samples of a WAV file of 16 bits, one channel and the plain head of 44 bytes. */
function readPlainWav(name: string): Float32Array {
  const bytes = readFileSync(new URL(`../fixtures/clips/${name}`, import.meta.url));
  const start = bytes.indexOf('data') + 8;
  const numSamples = bytes.readUInt32LE(start - 4) / 2;
  return Float32Array.from(
    { length: numSamples },
    (_, i) => bytes.readInt16LE(start + 2 * i) / 32_768,
  );
}

describe('the events', () => {
  test('are those of the row logits, computed alone', async () => {
    const samples = readPlainWav('dog_16k_s16.wav');
    const { labels, activation } = workshop.registry.get().card;
    const columns = labels.filter(({ trained }) => trained).map(({ classIndex }) => classIndex);
    const stream = workshop.registry.get().open({ outputs: ['row_logits'] });
    const outputs = await Promise.all(wholeWindows(samples).map((window) => stream.run(window)));
    stream.close();
    expect(activation).toBe('sigmoid');
    const scores = outputs.flatMap(({ rows, values }) =>
      Array.from({ length: rows }, (_, row) =>
        columns.map(
          (column) => 1 / (1 + Math.exp(-(values.row_logits?.[row * labels.length + column] ?? 0))),
        ),
      ),
    );
    const { body } = await events(
      '?include=timeline&on_threshold=0.5&off_threshold=0.45&smooth_seconds=0&merge_gap_seconds=0&min_level_dbfs=-200&max_events=100000',
    ).attach('file', clip('dog_16k_s16.wav'), 'x');
    expect(body.timeline.rows).toBe(scores.length);
    for (const [row, expected] of scores.entries()) {
      for (const [i, score] of expected.entries())
        expect(body.timeline.scores[row][i]).toBeCloseTo(score, 5);
    }
    const expected = columns.flatMap((column, i) => {
      const found: { class_index: number; first: number; end: number }[] = [];
      for (const [row, values] of scores.entries()) {
        const [last, score = 0] = [found.at(-1), values[i]];
        if (last && last.end === row && score >= 0.45) last.end = row + 1;
        else if (score >= 0.5) found.push({ class_index: column, first: row, end: row + 1 });
      }
      return found;
    });
    const inOrder = expected.toSorted(
      (a, b) => a.first - b.first || a.end - b.end || a.class_index - b.class_index,
    );
    expect(inOrder.length).toBeGreaterThan(3);
    const rowOf = (seconds: number) => Math.round(seconds / ROW_SECONDS);
    expect(
      body.events.map(
        (event: { class_index: number; start_seconds: number; end_seconds: number }) => ({
          class_index: event.class_index,
          first: rowOf(event.start_seconds),
          end: rowOf(event.end_seconds),
        }),
      ),
    ).toEqual(inOrder);
  });

  test('are of trained labels only, unless others are named; labels and exclude_labels choose', async () => {
    const { labels } = workshop.registry.get().card;
    const all = '&on_threshold=0&min_level_dbfs=-200';
    const midsOf = async (query: string) => {
      const { body } = await ofDog(`?max_events=100000${all}${query}`);
      return [...new Set(body.events.map(({ mid }: { mid: string }) => mid))].sort();
    };
    const trained = labels.filter((label) => label.trained).map(({ mid }) => mid);
    expect(await midsOf('')).toEqual(trained.toSorted());
    const untrained = labels.find((label) => !label.trained)?.mid ?? '';
    const [first = '', second = ''] = trained;
    const named = [first, untrained].map((mid) => `&labels=${encodeURIComponent(mid)}`).join('');
    expect(await midsOf(named)).toEqual([first, untrained].toSorted());
    expect(await midsOf(`&exclude_labels=${encodeURIComponent(second)}`)).toEqual(
      trained.filter((mid) => mid !== second).toSorted(),
    );
  });

  test('stop at max_events, and say so; top_k keeps the labels with the highest scores', async () => {
    const all = (await ofDog('?on_threshold=0&min_level_dbfs=-200')).body;
    expect(all.truncated).toBe(false);
    const few = (await ofDog('?on_threshold=0&min_level_dbfs=-200&max_events=2')).body;
    expect([few.events.length, few.truncated]).toEqual([2, true]);
    const best = (await ofDog('?on_threshold=0&min_level_dbfs=-200&top_k=1')).body;
    const largest = Math.max(...all.events.map(({ score }: { score: number }) => score));
    expect(new Set(best.events.map(({ mid }: { mid: string }) => mid)).size).toBe(1);
    expect(Math.max(...best.events.map(({ score }: { score: number }) => score))).toBe(largest);
  });

  test('are not found where nothing sounds', async () => {
    const { body } = await ofDog('?on_threshold=0&smooth_seconds=0&merge_gap_seconds=0');
    expect(body.events.length).toBeGreaterThan(0);
    for (const { start_seconds: start, end_seconds: end } of body.events) {
      // The bark, in digital silence.
      expect(start).toBeGreaterThan(2);
      expect(end).toBeLessThan(3);
    }
  });

  test('of each channel say which one it is', async () => {
    const channels = [toneSamples(440), new Float32Array(32_000)];
    const stereo = writeWav({ kind: 's16', sampleRate: 16_000, channels });
    const query = '?channel=each&on_threshold=0&include=timeline';
    const { body } = await events(query).attach('file', stereo, 'x');
    expect(new Set(body.events.map(({ channel }: { channel: number }) => channel))).toEqual(
      new Set([0]),
    );
    expect(body.timeline.channels.map(({ channel }: { channel: number }) => channel)).toEqual([
      0, 1,
    ]);
    const left = await events('?channel=left&on_threshold=0').attach('file', stereo, 'x');
    const plain = body.events.map(({ channel: _, ...event }: { channel: number }) => event);
    expect(plain).toEqual(left.body.events);
  });

  test('of a part of the recording have the times of the whole', async () => {
    const query = '?start_seconds=2&end_seconds=3&on_threshold=0&min_level_dbfs=-200';
    const { body } = await ofDog(query);
    for (const { start_seconds: start, end_seconds: end } of body.events) {
      expect(start).toBeGreaterThanOrEqual(2);
      expect(end).toBeLessThanOrEqual(3);
    }
    expect(body.events[0].start_seconds).toBe(2);
    expect(body.audio.duration_seconds).toBeCloseTo(3, 1);
  });

  test('come as a list for several files, each with its own status', async () => {
    const { body } = await ofDog('?include=timeline').attach('file', Buffer.alloc(0), 'y');
    expect(body.data.map(({ status }: { status: number }) => status)).toEqual([200, 422]);
    const alone = await ofDog('?include=timeline');
    expect(body.data[0].events).toEqual(alone.body.events);
    expect(body.data[0].timeline).toEqual(alone.body.timeline);
  });
});

const toneSamples = (hz: number) =>
  Float32Array.from({ length: 32_000 }, (_, i) => 0.5 * Math.sin((2 * Math.PI * hz * i) / 16_000));

describe('refused are', () => {
  test.each<[string, number, string, string | undefined]>([
    ['?on_threshold=0.3&off_threshold=0.4', 422, 'invalid_value', 'off_threshold'],
    ['?on_threshold=2', 422, 'invalid_value', 'on_threshold'],
    ['?labels=no-such-sound', 422, 'invalid_value', 'labels'],
    ['?exclude_labels=no-such-sound', 422, 'invalid_value', 'exclude_labels'],
    ['?top_k=9999', 422, 'invalid_value', 'top_k'],
    ['?response_format=gif', 422, 'invalid_value', 'response_format'],
    ['?include=everything', 422, 'invalid_value', 'include'],
    ['?response_format=png&channel=each', 422, 'invalid_value', 'channel'],
    ['?response_format=ndjson&top_k=3', 400, 'conflicting_parameters', undefined],
    ['?response_format=ndjson&labels=no-such-sound', 422, 'invalid_value', 'labels'],
    ['?response_format=svg&start_seconds=60', 422, 'range_outside_clip', 'start_seconds'],
  ])('%s', async (query, expectedStatus, code, parameter) => {
    const { status, body } = await ofDog(query);
    expect([status, body.code, body.errors?.[0].parameter]).toEqual([
      expectedStatus,
      code,
      parameter,
    ]);
  });

  test('all labels excluded', async () => {
    const { labels } = workshop.registry.get().card;
    const excluded = labels
      .filter(({ trained }) => trained)
      .map(({ mid }) => mid)
      .join(',');
    const { status, body } = await ofDog(`?exclude_labels=${encodeURIComponent(excluded)}`);
    expect([status, body.code]).toEqual([422, 'invalid_value']);
  });

  test.each(['csv', 'audacity', 'vtt', 'svg', 'png'])('%s of several files', async (format) => {
    const two = ofDog(`?response_format=${format}`).attach('file', clip('rain.ogg'), 'y');
    const { status, body } = await two;
    expect([status, body.code]).toEqual([422, 'invalid_value']);
    expect(body.detail).toContain('Expected one file');
  });

  test.each(['csv', 'ndjson', 'png'])('what is no audio, in %s as in JSON', async (format) => {
    const { status, body } = await events(`?response_format=${format}`).attach(
      'file',
      Buffer.from('no audio'),
      'x',
    );
    expect([status, body.code]).toEqual([415, 'unsupported_format']);
  });
});

describe('as', () => {
  const query = '?on_threshold=0.4&smooth_seconds=0&min_level_dbfs=-200';

  test('NDJSON: an event per line in the order of their ends, the summary last', async () => {
    const { text, headers } = await ofDog(`${query}&response_format=ndjson`);
    const { body } = await ofDog(query);
    expect(headers['content-type']).toBe(NDJSON);
    const lines = linesOf(text);
    const found = lines.slice(0, -1).map(({ object, ...event }) => event);
    const ends = found.map(({ end_seconds: end }) => Number(end));
    expect(ends).toEqual(ends.toSorted((a, b) => a - b));
    expect(body.events.length).toBeGreaterThan(3);
    expect(new Set(found.map((event) => JSON.stringify(event)))).toEqual(
      new Set(body.events.map((event: object) => JSON.stringify(event))),
    );
    const { events: _, object: __, id, timeline, ...same } = body;
    expect(lines.at(-1)).toMatchObject({
      object: 'audio.events.summary',
      num_events: found.length,
      ...same,
    });
    const few = linesOf((await ofDog(`${query}&response_format=ndjson&max_events=1`)).text);
    expect(few.map(({ object }) => object)).toEqual(['audio.event', 'audio.events.summary']);
    expect(few[1]).toMatchObject({ num_events: 1, truncated: true });
  });

  test('NDJSON with a timeline: the rows of the whole, window by window', async () => {
    const long = toneClip(12);
    const parts = linesOf(
      (await events('?include=timeline&response_format=ndjson').attach('file', long, 'x')).text,
    );
    const whole = (await events('?include=timeline').attach('file', long, 'x')).body.timeline;
    const timelines = parts.filter(({ object }) => object === 'audio.events.timeline');
    expect(timelines.map((part) => part.start_seconds)).toEqual([0, 9.92]);
    expect(timelines.flatMap((part) => part.scores)).toEqual(whole.scores);
  });

  test('NDJSON of several files: in their order, a bad one leaves its problem', async () => {
    const reply = await ofDog(`${query}&response_format=ndjson`)
      .attach('file', Buffer.alloc(0), 'y')
      .attach('file', clip('rain.ogg'), 'z');
    expect(reply.status).toBe(200);
    const lines = linesOf(reply.text);
    const indices = lines.map(({ index }) => Number(index));
    expect(indices).toEqual(indices.toSorted((a, b) => a - b));
    const last = (index: number) => lines.findLast((line) => line.index === index);
    expect([0, 1, 2].map((index) => last(index)?.object)).toEqual([
      'audio.events.summary',
      'error',
      'audio.events.summary',
    ]);
    expect(last(1)).toMatchObject({ code: 'empty_audio', status: 422 });
  });

  test('CSV, label track and captions: the events of the JSON', async () => {
    const { body } = await ofDog(query);
    const csv = await ofDog(`${query}&response_format=csv`);
    expect(csv.headers['content-type']).toBe('text/csv; charset=utf-8; header=present');
    const rows: Record<string, string>[] = parseCsv(csv.text, { columns: true });
    expect(rows.map((row) => ({ ...row }))).toEqual(
      body.events.map((event: Record<string, unknown>) =>
        Object.fromEntries(Object.entries(event).map(([key, value]) => [key, String(value)])),
      ),
    );
    const labels = (await ofDog(`${query}&response_format=audacity`)).text.trimEnd().split('\n');
    expect(labels.map((line) => Number(line.split('\t')[0]))).toEqual(
      body.events.map((event: { start_seconds: number }) => event.start_seconds),
    );
    const vtt = await ofDog(`${query}&response_format=vtt`);
    expect(vtt.text.match(/-->/g)).toHaveLength(body.events.length);
  });

  test('a picture: SVG that loads nothing, PNG of the same size', async () => {
    const svg = await ofDog(`${query}&response_format=svg`);
    expect(svg.headers['content-security-policy']).toContain("default-src 'none'");
    const text = (svg.body as Buffer).toString();
    expect(text).toMatch(/^<svg xmlns="http:\/\/www.w3.org\/2000\/svg" width="1200"/);
    const png = await ofDog(`${query}&response_format=png`);
    expect(await fileTypeFromBuffer(png.body)).toEqual({ ext: 'png', mime: 'image/png' });
    const { width, height } = PNG.sync.read(png.body);
    expect(text).toContain(`viewBox="0 0 ${width} ${height}"`);
  });

  test.each([
    ['image/png', 'image/png'],
    ['image/avif,image/svg+xml;q=0.9', 'image/svg+xml'],
    [NDJSON, NDJSON],
    ['text/csv', 'text/csv'],
    ['text/vtt', 'text/vtt'],
    ['text/html', 'application/json'],
    ['*/*', 'application/json'],
  ])('Accept: %s asks for %s; response_format comes first', async (accept, expected) => {
    const { headers } = await ofDog().set('Accept', accept);
    expect(headers['content-type']?.split(';')[0]).toBe(expected);
    const { body } = await ofDog('?response_format=json').set('Accept', accept);
    expect(body.object).toBe('audio.events');
  });
});

async function withService<T>(
  options: TestServiceOptions,
  work: (own: TestService) => Promise<T>,
): Promise<T> {
  const own = await startService(workshop, options);
  try {
    return await work(own);
  } finally {
    await own.close();
  }
}

describe('lines while the clip is being read', () => {
  const path = '/v1/events?response_format=ndjson&include=timeline';

  /** The real decoder, which stops before its fifth window until it is let go. */
  function haltingDecoder() {
    let letGo = () => {};
    const halted = new Promise<void>((resolve) => {
      letGo = resolve;
    });
    let isDone = false;
    const decoder: Pick<Decoder, 'decode'> = {
      async decode(clipPath, plan, options) {
        const onWindow: typeof options.onWindow = async (window) => {
          if (window.index === 4) await halted;
          await options.onWindow(window);
        };
        const decoded = await workshop.decoder.decode(clipPath, plan, { ...options, onWindow });
        isDone = true;
        return decoded;
      },
    };
    return { decoder, letGo: () => letGo(), isDone: () => isDone };
  }

  test('the first line is there before the clip has been read, and the last when it has', async () => {
    const { decoder, letGo, isDone } = haltingDecoder();
    await withService({ decoder }, async (own) => {
      const request = httpRequest({ port: own.port, host: '127.0.0.1', method: 'POST', path });
      request.end(toneClip(65));
      const reply = await new Promise<IncomingMessage>((resolve) =>
        request.on('response', resolve),
      );
      let text = '';
      let wasDone: boolean | undefined;
      for await (const piece of reply) {
        text += piece;
        if (wasDone === undefined && text.includes('\n')) {
          wasDone = isDone();
          letGo();
        }
      }
      expect(wasDone).toBe(false);
      expect(isDone()).toBe(true);
      expect(linesOf(text).at(-1)).toMatchObject({
        object: 'audio.events.summary',
        usage: { windows: 7 },
      });
    });
  });

  /** The real model, whose streams fail from their third window on. */
  function failingRegistry(error: () => Promise<never>): ModelRegistry {
    const model = workshop.registry.get();
    const failing = {
      ...model,
      queuedWindows: 0,
      open(options: Parameters<typeof model.open>[0]) {
        const stream = model.open(options);
        let numRun = 0;
        const run: typeof stream.run = (window) => {
          numRun += 1;
          return numRun > 2 ? error() : stream.run(window);
        };
        return { ...stream, run, timings: () => stream.timings(), close: () => stream.close() };
      },
    };
    return { ...workshop.registry, get: () => failing, list: () => [failing] };
  }

  test('a failure after the first line is the last line, and is logged once', async () => {
    const registry = failingRegistry(() => Promise.reject(new Error('a secret of the machine')));
    await withService({ registry }, async (own) => {
      const { status, text } = await own.call('post', path).attach('file', toneClip(65), 'x');
      expect(status).toBe(200);
      const lines = linesOf(text);
      expect(lines.length).toBeGreaterThan(1);
      expect(lines.at(-1)).toMatchObject({ object: 'error', code: 'internal', status: 500 });
      expect(text).not.toContain('secret');
      await expect.poll(() => own.logLines.filter(({ msg }) => msg === 'request')).toHaveLength(1);
      expect(own.logLines.find(({ msg }) => msg === 'request')).toMatchObject({
        status: 200,
        code: 'internal',
      });
      expect(own.logLines.filter(({ msg }) => msg === 'clip failed')).toHaveLength(1);
      expect(own.spooled()).toEqual([]);
    });
  });

  test('a failure before the first line is a problem', async () => {
    const registry = failingRegistry(() => Promise.reject(new Error('x')));
    const none = '/v1/events?response_format=ndjson&on_threshold=1';
    await withService({ registry }, async (own) => {
      const { status, body } = await own.call('post', none).attach('file', toneClip(65), 'x');
      expect([status, body.code]).toEqual([500, 'internal']);
    });
  });

  test('the deadline ends them with deadline_exceeded', async () => {
    const registry = failingRegistry(() => new Promise(() => {}));
    await withService({ registry }, async (own) => {
      const { text } = await own
        .call('post', `${path}&timeout_ms=1500`)
        .attach('file', toneClip(65), 'x');
      expect(linesOf(text).at(-1)).toMatchObject({ object: 'error', code: 'deadline_exceeded' });
    });
  });

  test('a client that leaves ends the work and leaves no file', async () => {
    const { decoder, letGo } = haltingDecoder();
    await withService({ decoder }, async (own) => {
      const request = httpRequest({ port: own.port, host: '127.0.0.1', method: 'POST', path });
      request.end(toneClip(65));
      const reply = await new Promise<IncomingMessage>((resolve) =>
        request.on('response', resolve),
      );
      await new Promise((resolve) => reply.once('data', resolve));
      request.destroy();
      letGo();
      await expect.poll(() => own.spooled()).toEqual([]);
      await expect
        .poll(() => own.logLines.find(({ msg }) => msg === 'request'))
        .toMatchObject({ code: 'client_gone' });
    });
  });
});
