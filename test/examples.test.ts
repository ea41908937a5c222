/** The examples, run against a service: they say what it says. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Earshot } from '../clients/typescript/earshot-client.js';
import {
  clip,
  openWorkshop,
  startService,
  type TestService,
  type Workshop,
} from './http/test-service.js';
import { LinkedModels } from './inference/linked-models.js';
import { TINY_FOLDER, TINY_TOKEN_FOLDER } from './inference/tiny-model.js';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const CLIPS = ['dog.ogg', 'rooster.ogg', 'tabla.flac'].map((name) => `test/fixtures/clips/${name}`);
const [DOG = ''] = CLIPS;
const models = new LinkedModels(TINY_FOLDER, TINY_TOKEN_FOLDER);
const folder = mkdtempSync(join(tmpdir(), 'earshot-examples-'));

let workshop: Workshop;
let service: TestService;

beforeAll(async () => {
  workshop = await openWorkshop({ ...models, model: 'tiny' });
  service = await startService(workshop);
});
afterAll(async () => {
  await service.close();
  await workshop.close();
  models[Symbol.dispose]();
  rmSync(folder, { recursive: true });
});

const has = (program: string): boolean =>
  (process.env.PATH ?? '').split(delimiter).some((path) => existsSync(join(path, program)));
const PYTHON = has('python3') ? 'python3' : 'training/.venv/bin/python';

async function run(program: string, ...args: string[]) {
  const own = { EARSHOT_URL: service.url, TOKEN_MODEL: 'tiny-tokens', OUT: join(folder, 'v.npy') };
  const env = { ...process.env, ...own };
  const child = spawn(program, args, { cwd: ROOT, env, stdio: ['ignore', 'pipe', 'pipe'] });
  const [[code], stdout, stderr] = await Promise.all([
    once(child, 'close'),
    text(child.stdout),
    text(child.stderr),
  ]);
  return { code, stdout, stderr };
}
const runTypeScript = (...args: string[]) => run(process.execPath, '--import', 'tsx', ...args);

/** What `tag.ts` and `tag.py` print of a clip, from the service's own replies. */
async function expectedLines(path: string): Promise<string> {
  const ask = async (query: string) =>
    (await service.call('post', query).attach('file', readFileSync(join(ROOT, path)), 'x')).body;
  const { tags } = await ask('/v1/tags?top_k=3');
  const { events } = await ask('/v1/events?max_events=3');
  const lines = [
    ...tags.map(
      ({ label, score }: { label: string; score: number }) => `${score.toFixed(3)} ${label}`,
    ),
    ...events.map(
      (event: { label: string; start_seconds: number; end_seconds: number }) =>
        `${event.start_seconds.toFixed(2)} to ${event.end_seconds.toFixed(2)} s ${event.label}`,
    ),
  ];
  return `${[path, ...lines.map((line) => `  ${line}`)].join('\n')}\n`;
}

describe.each([
  ['TypeScript', 'ts', runTypeScript],
  ['Python', 'py', (...args: string[]) => run(PYTHON, ...args)],
] as const)('%s', (_, extension, runExample) => {
  test('tags and events of each file; a bad one is named', async () => {
    const result = await runExample(`examples/tag.${extension}`, DOG, 'README.md');
    expect(result.stdout).toBe(await expectedLines(DOG));
    expect(result.stderr).toMatch(/^README\.md: Unsupported audio format\. Expected wav/);
    expect(result.code).toBe(1);
  });

  test('search puts the clip itself first', async () => {
    const { stdout, code } = await runExample(`examples/search.${extension}`, DOG, ...CLIPS);
    const lines = stdout.trimEnd().split('\n');
    expect(code).toBe(0);
    expect(lines[0]).toBe(`1.000 ${DOG}`);
    expect(lines.map((line) => line.slice(6)).toSorted()).toEqual(CLIPS.toSorted());
  });
});

test('curl gets every kind of answer', async () => {
  const { stdout, stderr, code } = await run('sh', 'examples/curl.sh', DOG);
  expect([stderr, code]).toEqual(['', 0]);
  const parts = stdout.split(/^# .*\n/m).slice(1);
  const [tags, later, events, , tokens, labels] = parts.map((part) => part.trimEnd());
  expect(JSON.parse(tags ?? '').tags).toHaveLength(3);
  expect(JSON.parse(later ?? '').usage.audio_seconds).toBeCloseTo(4, 2);
  expect(events?.split('\n')).toHaveLength(4);
  expect(readFileSync(join(folder, 'v.npy')).subarray(1, 6).toString()).toBe('NUMPY');
  expect(JSON.parse(tokens ?? '')).toMatchObject({ object: 'audio.tokens', shape: [31, 8] });
  expect(JSON.parse(labels ?? '').object).toBe('list');
});

describe('the TypeScript client', () => {
  test('gives tokens, and a problem as an error', async () => {
    const earshot = new Earshot({ url: service.url });
    const dog = new Blob([new Uint8Array(clip('dog.ogg'))]);
    const { tokens } = await earshot.tokens(dog, { model: 'tiny-tokens' });
    expect(tokens).toHaveLength(31);
    await expect(earshot.tag(new Blob(['no sound']))).rejects.toMatchObject({
      name: 'EarshotError',
      problem: { code: 'unsupported_format', status: 415 },
    });
  });
});
