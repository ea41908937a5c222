import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { parseTagArguments } from '../../src/cli/arguments.js';
import { findClipPaths } from '../../src/cli/clip-paths.js';
import { inOrder } from '../../src/cli/in-order.js';
import { ProgressBar, toClock } from '../../src/cli/progress.js';
import { loadOpenApi, type OpenApiDocument } from '../../src/http/openapi-document.js';

describe('findClipPaths', () => {
  const root = mkdtempSync(join(tmpdir(), 'earshot-cli-'));
  beforeAll(() => {
    for (const name of ['b', 'b/c', '.git', 'Z']) mkdirSync(join(root, name));
    for (const name of ['b/2.wav', 'b/10.wav', 'b/c/x', 'a.wav', '.hidden', '.git/y', 'Z/z']) {
      writeFileSync(join(root, name), '');
    }
    symlinkSync(join(root, 'a.wav'), join(root, 'link.wav'));
    symlinkSync(root, join(root, 'b/circle'));
  });
  afterAll(() => rmSync(root, { recursive: true }));

  test('goes down folders in the order of names, links to files included, circles not', async () => {
    const found = await findClipPaths([root]);
    const names = ['Z/z', 'a.wav', 'b/10.wav', 'b/2.wav', 'b/c/x', 'link.wav'];
    expect(found.map(({ path }) => path)).toEqual(names.map((name) => join(root, name)));
    expect(found.every(({ isFromFolder }) => isFromFolder)).toBe(true);
  });

  test('keeps the order of the arguments, and each path once', async () => {
    const [a, b] = [join(root, 'a.wav'), join(root, 'b')];
    const found = await findClipPaths([`${b}/c/../c`, a, b, 'nowhere.wav', a]);
    const expected = [`${b}/c/x`, a, `${b}/10.wav`, `${b}/2.wav`, 'nowhere.wav'];
    expect(found.map(({ path }) => path)).toEqual(expected);
    expect(found[1]).toEqual({ path: a, isFromFolder: false });
  });
});

describe('inOrder', () => {
  test('yields in the order of the items and holds no more than it may', async () => {
    const releases: (() => void)[] = [];
    let [numHeld, mostHeld] = [0, 0];
    const work = async (item: number) => {
      mostHeld = Math.max(mostHeld, ++numHeld);
      await new Promise<void>((resolve) => releases.push(resolve));
      return item;
    };
    const taken: number[] = [];
    const run = (async () => {
      for await (const item of inOrder([0, 1, 2, 3, 4, 5, 6], work, { atOnce: 3 })) {
        taken.push(item);
        numHeld -= 1;
      }
    })();
    // The last that began ends first.
    while (taken.length < 7) {
      releases.pop()?.();
      await new Promise((resolve) => setImmediate(resolve));
    }
    await run;
    expect(taken).toEqual([0, 1, 2, 3, 4, 5, 6]);
    expect(mostHeld).toBe(3);
  });

  test('throws a failure when its turn comes, not before', async () => {
    const order: string[] = [];
    let release = () => {};
    const work = async (item: number) => {
      if (item === 1) throw new Error('item 1');
      await new Promise<void>((resolve) => {
        release = resolve;
      });
      return item;
    };
    const run = (async () => {
      for await (const item of inOrder([0, 1], work, { atOnce: 2 })) order.push(`took ${item}`);
    })();
    const ended = run.catch((error: Error) => order.push(error.message));
    // Time for Node to complain of a rejection without a handler, which would fail the test.
    await new Promise((resolve) => setImmediate(resolve));
    release();
    await ended;
    expect(order).toEqual(['took 0', 'item 1']);
  });

  test('ends with the first failure, when all that was begun has ended', async () => {
    let numEnded = 0;
    const work = async (item: number) => {
      await new Promise((resolve) => setImmediate(resolve));
      numEnded += 1;
      if (item === 1) throw new Error('item 1');
      return item;
    };
    const run = (async () => {
      for await (const _ of inOrder([0, 1, 2, 3], work, { atOnce: 4 }));
    })();
    await expect(run).rejects.toThrow('item 1');
    expect(numEnded).toBe(4);
  });
});

describe('ProgressBar', () => {
  const tally = { total: 40, done: 10, failed: 1, leftOut: 0, before: 5, audioSeconds: 3725 };
  function barOn({ isTTY }: { isTTY: boolean }) {
    const written: string[] = [];
    let nowMs = 0;
    const stream = { isTTY, columns: 100, write: (text: string) => written.push(text) };
    const bar = new ProgressBar(stream as never, () => nowMs);
    return { bar, written, pass: (ms: number) => (nowMs += ms) };
  }

  test('draws share, failures, sound and what is left; not more often than ten times a second', () => {
    const { bar, written, pass } = barOn({ isTTY: true });
    pass(10_000);
    bar.update(tally);
    pass(50);
    bar.update({ ...tally, done: 11 });
    expect(written).toEqual([
      '\r\u001b[K[######..................] 10/40, 1 failed, 1:02:05 of sound, 1:00 left',
    ]);
  });

  test('is silent where nobody looks', () => {
    const { bar, written } = barOn({ isTTY: false });
    bar.update(tally);
    bar.clear();
    expect(written).toEqual([]);
  });

  test.each([
    [0, '0:00'],
    [59.6, '1:00'],
    [3599, '59:59'],
    [36_000, '10:00:00'],
  ])('%d s is %s', (seconds, text) => expect(toClock(seconds)).toBe(text));
});

describe('parseTagArguments', () => {
  let openApi: OpenApiDocument;
  beforeAll(async () => {
    openApi = await loadOpenApi();
  });
  const parse = (...args: string[]) => parseTagArguments(args, openApi);

  test('takes the parameters of the HTTP operations as flags, with their defaults', () => {
    const { wanted, paths, format } = parse('a.wav', '--top-k', '3', '--labels', 'Dog', 'b');
    expect(paths).toEqual(['a.wav', 'b']);
    expect(format).toBe('ndjson');
    expect(wanted.tags).toMatchObject({ top_k: 3, threshold: 0, labels: ['Dog'], channel: 'mix' });
    expect(wanted.events).toBeUndefined();
    const both = parse('a', '--events', '--labels=Dog', '--on-threshold=0.3', '--end-seconds=9');
    expect(both.wanted.events).toMatchObject({
      labels: ['Dog'],
      on_threshold: 0.3,
      end_seconds: 9,
    });
    expect(both.wanted.tags).toMatchObject({ labels: ['Dog'], end_seconds: 9 });
  });

  test('takes the format from the name of the output, unless it is given', () => {
    expect(parse('a', '--out', 'x.csv').format).toBe('csv');
    expect(parse('a', '-o', 'x.json').format).toBe('json');
    expect(parse('a', '-o', 'x.txt').format).toBe('ndjson');
    expect(parse('a', '-o', 'x.csv', '--format', 'json').format).toBe('json');
  });

  test.each([
    [[], 'Expected files or folders, got none'],
    [['a', '--topk', '3'], "Unknown option '--topk'"],
    [['a', '--top-k', '0'], '--top-k: Expected an integer from 1'],
    [['a', '--threshold', 'often'], '--threshold: Expected'],
    [['a', '--top-k', '1', '--top-k', '2'], 'top_k once'],
    [['a', '--format', 'xml'], '--format: Expected one of ndjson, csv, json, got xml'],
    [['a', '--on-threshold', '0.5'], '--on-threshold needs --events'],
    [['a', '--channel', 'each', '--embeddings', 'e.npy'], '--embeddings: Expected one channel'],
  ])('%j: %s', (args, message) => {
    expect(() => parse(...args)).toThrow(message);
  });
});
