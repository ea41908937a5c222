/** What README shows is what the service answers, and what it says of the model is in the model's card. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { loadConfig } from '../src/config.js';
import { createLog } from '../src/log.js';
import { type Service, startService } from '../src/service.js';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const readme = readFileSync(join(ROOT, 'README.md'), 'utf8');

interface Reply {
  readonly id?: string;
  readonly instance?: string;
}

/** Commands that README shows with their answers. */
const shown = [
  ...readme.matchAll(/^\$ curl -F file=@(\S+) '?localhost:8080(\S+?)'?\n(\{.+\})$/gm),
].map(([, file, path, reply]) => ({
  file: file ?? '',
  path: path ?? '',
  reply: JSON.parse(reply ?? '') as Reply,
}));

/** The same with every number meant to two decimals: the others are the processor's, whose float32 sums round in their own order. */
function toClose(value: unknown): unknown {
  if (typeof value === 'number') return expect.closeTo(value, 2);
  if (Array.isArray(value)) return value.map(toClose);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, each]) => [key, toClose(each)]));
}

describe('the answers shown', () => {
  const spoolDir = mkdtempSync(join(tmpdir(), 'earshot-readme-'));
  let service: Service;

  beforeAll(async () => {
    const env = { PORT: '0', HOST: '127.0.0.1', ENGINES: '1', SPOOL_DIR: spoolDir };
    service = await startService(loadConfig(env), createLog({ level: 'silent' }));
  });
  afterAll(async () => {
    await service.close({ preStopMs: 0 });
    rmSync(spoolDir, { recursive: true });
  });

  test('there are some', () => {
    expect(shown.length).toBeGreaterThanOrEqual(3);
  });

  test.each(shown)('$path of $file', async ({ file, path, reply }) => {
    const form = new FormData();
    form.append('file', new Blob([new Uint8Array(readFileSync(join(ROOT, file)))]), file);
    const response = await fetch(service.url + path, { method: 'POST', body: form });
    const { id, instance, ...rest } = (await response.json()) as Reply;
    const { id: shownId, instance: shownInstance, ...shownRest } = reply;
    expect(rest).toEqual(toClose(shownRest));
    expect([typeof id, typeof instance]).toEqual([typeof shownId, typeof shownInstance]);
  });
});

test('the scores said are those of the card', () => {
  const path = join(ROOT, 'models/earshot-small/model.json');
  const { evaluation } = JSON.parse(readFileSync(path, 'utf8')) as {
    evaluation: {
      mean_average_precision: number;
      accuracy: { value: number; wilson_95: number[]; correct: number; clips: number };
    };
  };
  const { value, wilson_95: interval, correct, clips } = evaluation.accuracy;
  const [low, high] = interval.map((bound) => (100 * bound).toFixed(1));
  expect(readme).toContain(`**${(100 * value).toFixed(1)} %** (95 % interval ${low} to ${high})`);
  expect(readme).toContain(`${correct} of ${clips} clips`);
  expect(readme).toContain(`| ${evaluation.mean_average_precision.toFixed(3)} |`);
});
