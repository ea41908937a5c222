/** The built service as a process: started, asked, ended, as an operator does it. */
import { type ChildProcess, execFileSync, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { enginePids } from './inference/tiny-model.js';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const MODELS_DIR = join(ROOT, 'test/fixtures/models');
const ACCEPTED = [
  'dog_16k_s16.wav',
  'dog_8k_mulaw.wav',
  'dog_48k_stereo_s24.wav',
  'dog_44k.mp3',
  'dog_96k.flac',
  'dog.ogg',
  'dog.opus',
];

let spoolDir: string;
let running: ChildProcess | undefined;

beforeAll(() => {
  const tsc = join(ROOT, 'node_modules/typescript/bin/tsc');
  execFileSync(process.execPath, [tsc, '-p', 'tsconfig.build.json'], { cwd: ROOT });
}, 180_000);
beforeEach(() => {
  spoolDir = mkdtempSync(join(tmpdir(), 'earshot-spool-'));
});
afterEach(() => {
  running?.kill('SIGKILL');
  rmSync(spoolDir, { recursive: true });
});

function spawnService(env: Record<string, string>): ChildProcess {
  const child = spawn(process.execPath, ['dist/main.js'], {
    cwd: ROOT,
    env: {
      PATH: process.env.PATH,
      MODELS_DIR,
      SPOOL_DIR: spoolDir,
      PORT: '0',
      ENGINES: '1',
      DECODE_CONCURRENCY: '1',
      PRE_STOP_MS: '0',
      ...env,
    },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  running = child;
  return child;
}

interface Started {
  readonly process: ChildProcess;
  readonly pid: number;
  readonly url: string;
  /** The log so far. */
  readonly lines: Record<string, unknown>[];
  readonly exitCode: Promise<number | null>;
}

/** Starts the service and waits for the line that says where it listens. */
async function start(env: Record<string, string> = {}): Promise<Started> {
  const child = spawnService(env);
  const exitCode = once(child, 'exit').then(([code]) => code as number | null);
  const lines: Record<string, unknown>[] = [];
  const url = new Promise<string>((resolve, reject) => {
    let rest = '';
    child.stdout?.setEncoding('utf8').on('data', (piece: string) => {
      const parts = (rest + piece).split('\n');
      rest = parts.pop() ?? '';
      for (const line of parts) {
        lines.push(JSON.parse(line));
        const said = /Earshot listens on (http:\/\/\S+?),/.exec(String(lines.at(-1)?.msg));
        if (said?.[1]) resolve(said[1]);
      }
    });
    void exitCode.then((code) => reject(new Error(`Expected a service, got exit code ${code}`)));
  });
  return { process: child, pid: child.pid ?? 0, url: await url, lines, exitCode };
}

/** A service that does not come up: its exit code, and what it says on stderr. */
async function fail(env: Record<string, string>): Promise<{ code: number; stderr: string }> {
  const child = spawnService(env);
  const [[code], stderr] = await Promise.all([
    once(child, 'exit'),
    text(child.stderr as NodeJS.ReadableStream),
  ]);
  return { code, stderr };
}

function formOf(names: readonly string[]): FormData {
  const form = new FormData();
  for (const name of names) {
    form.append('file', new Blob([readFileSync(join(ROOT, 'test/fixtures/clips', name))]), name);
  }
  return form;
}

const tagClips = async (url: string, names: readonly string[]) =>
  fetch(`${url}/v1/tags`, { method: 'POST', body: formOf(names) });

const isAlive = (pid: number): boolean => {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
};

describe('a service', () => {
  test('says where it is and what runs, answers real clips, and ends without a trace', async () => {
    const service = await start({ EXECUTION_PROVIDER: 'auto', FFMPEG_PATH: 'off' });
    expect(service.lines.at(-1)?.msg).toMatch(
      /^Earshot listens on http:\/\/localhost:\d+, model tiny \(fp32, no (int8: no_graph\), execution provider cpu \(no cuda: \w+\)|fp16: no_graph\), execution provider cuda), open access, docs http:\/\/localhost:\d+\/docs$/,
    );
    expect(await (await fetch(`${service.url}/readyz`)).json()).toEqual({ status: 'ready' });
    const reply = await tagClips(service.url, [...ACCEPTED, 'dog_44k_aac.m4a']);
    const { data } = (await reply.json()) as { data: { status: number; tags?: unknown[] }[] };
    expect(data.map(({ status }) => status)).toEqual([...ACCEPTED.map(() => 200), 415]);
    for (const { tags } of data.slice(0, -1)) expect(tags).toHaveLength(5);
    const engines = enginePids(service.pid);
    expect(engines).toHaveLength(1);
    service.process.kill('SIGTERM');
    expect(await service.exitCode).toBe(0);
    expect(engines.filter(isAlive)).toEqual([]);
    expect(readdirSync(spoolDir)).toEqual([]);
  });

  test('SIGTERM: not ready at once, serving for a while, then every request in hand is answered', async () => {
    const service = await start({ PRE_STOP_MS: '2000' });
    const ready = () => fetch(`${service.url}/readyz`).then(({ status }) => status);
    service.process.kill('SIGTERM');
    await expect.poll(ready).toBe(503);
    const replies = await Promise.all([
      tagClips(service.url, ['dog.ogg']),
      tagClips(service.url, ['rain.ogg']),
    ]);
    expect(replies.map(({ status }) => status)).toEqual([200, 200]);
    expect(await service.exitCode).toBe(0);
  });

  test('Ctrl-C does not wait for balancers', async () => {
    const service = await start({ PRE_STOP_MS: '2000000000' });
    service.process.kill('SIGINT');
    expect(await service.exitCode).toBe(0);
  });

  test('killed outright, it leaves no engine, and the next one cleans up after it', async () => {
    const service = await start();
    const engines = enginePids(service.pid);
    expect(engines).toHaveLength(1);
    // An upload that never ends is on the disk when the process dies.
    const upload = new AbortController();
    const body = new ReadableStream({ start: (c) => c.enqueue(new Uint8Array(1000)) });
    const sending = fetch(`${service.url}/v1/tags`, {
      method: 'POST',
      body,
      signal: upload.signal,
      duplex: 'half',
    } as RequestInit);
    await expect.poll(() => readdirSync(spoolDir)).toHaveLength(1);
    service.process.kill('SIGKILL');
    await expect(sending).rejects.toThrow();
    await expect.poll(() => engines.filter(isAlive)).toEqual([]);
    expect(readdirSync(spoolDir)).toHaveLength(1);
    const next = await start();
    expect(readdirSync(spoolDir)).toEqual([]);
    next.process.kill('SIGINT');
    expect(await next.exitCode).toBe(0);
  });

  test('a key opens it until its line is gone from the file', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'earshot-keys-'));
    const path = join(folder, 'keys.jsonl');
    const make = [join(ROOT, 'dist/make-api-key.js'), 'lab'];
    const { stdout, stderr } = spawnSync(process.execPath, make, { encoding: 'utf8' });
    writeFileSync(path, stdout);
    const service = await start({ API_KEYS_FILE: path });
    expect(service.lines.at(-1)?.msg).toContain(', access by API key,');
    const headers = { Authorization: `Bearer ${stderr.trim()}` };
    const ask = async () => (await fetch(`${service.url}/v1/info`, { headers })).status;
    expect(await ask()).toBe(200);
    writeFileSync(`${path}.new`, '# none\n');
    renameSync(`${path}.new`, path);
    await expect.poll(ask).toBe(401);
    expect(JSON.stringify(service.lines)).not.toContain(stderr.trim().split('.')[1]);
    rmSync(folder, { recursive: true });
    service.process.kill('SIGINT');
    expect(await service.exitCode).toBe(0);
  });

  test('metrics on a port of their own', async () => {
    const service = await start({ METRICS_PORT: '0' });
    const url = /metrics (http:\/\/\S+)$/.exec(String(service.lines.at(-1)?.msg))?.[1];
    const scrape = await fetch(String(url));
    expect(await scrape.text()).toContain('earshot_ready 1');
    expect(scrape.headers.get('x-content-type-options')).toBe('nosniff');
    expect((await fetch(`${service.url}/metrics`)).status).toBe(404);
    expect((await fetch(new URL('/openapi.json', url))).status).toBe(404);
    service.process.kill('SIGINT');
    expect(await service.exitCode).toBe(0);
  });
});

describe('what it cannot start with is said in one line', () => {
  test.each([
    [{ PORT: 'abc' }, /^earshot: PORT: expected an integer from 0 to 65535, got "abc"\n$/],
    [{ MODELS_DIR: '/nonexistent' }, /^earshot: \/nonexistent: expected a folder of models.*\n$/],
    [{ API_KEYS_FILE: '/nonexistent' }, /^earshot: API_KEYS_FILE: ENOENT.*\n$/],
    [{ MODEL: 'huge' }, /^earshot: MODEL: expected one of the models in .*\(tiny\), got huge\n$/],
    [{ SPOOL_DIR: '/dev/null/spool' }, /^earshot: SPOOL_DIR: expected a folder to write in.*\n$/],
    [
      { CUDA_DEVICES: '97', EXECUTION_PROVIDER: 'cuda' },
      /^earshot: Model tiny: CUDA was asked for.*\n$/,
    ],
  ])('%o', async (env, line) => {
    const { code, stderr } = await fail(env as unknown as Record<string, string>);
    expect(code).toBe(1);
    expect(stderr).toMatch(line);
  });

  test('a port that is taken', async () => {
    const other = createServer().listen(0);
    await once(other, 'listening');
    const { port } = other.address() as AddressInfo;
    const { code, stderr } = await fail({ PORT: String(port) });
    other.close();
    expect(code).toBe(1);
    expect(stderr).toBe(`earshot: PORT: ${port} is in use already\n`);
  });
});
