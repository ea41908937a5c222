import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import type { BenchedPrecision } from '../clip-work.js';
import type { Contender } from '../contender.js';
import { cpuSecondsOf } from '../process-cpu.js';

const MAIN = fileURLToPath(new URL('../../dist/main.js', import.meta.url));

/** A running service, built, of which requests are asked. */
export interface BenchedService {
  readonly pid: number;
  readonly url: string;
  readonly version: string;
  close(): Promise<void>;
}

export interface ServiceOptions {
  readonly modelsDir: string;
  readonly precision: BenchedPrecision;
  /** Cores that it may use, 0 the first; as many engines and decode threads as cores. */
  readonly cores: number;
  /** Other than one per core. */
  readonly engines?: number;
}

/** Starts `dist/main.js` with its own defaults for so many cores; comes back when it is ready. */
export async function startService(options: ServiceOptions): Promise<BenchedService> {
  const { modelsDir, precision, cores, engines } = options;
  const coreList = Array.from({ length: cores }, (_, core) => core).join(',');
  const child = spawn('taskset', ['-c', coreList, process.execPath, MAIN], {
    env: {
      PATH: process.env.PATH,
      ...{ PORT: '0', HOST: '127.0.0.1', EXECUTION_PROVIDER: 'cpu', LOG_LEVEL: 'info' },
      ...{ MODELS_DIR: modelsDir, PRECISION: precision, PRE_STOP_MS: '0' },
      ...(engines !== undefined && { ENGINES: String(engines) }),
    },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const url = await announcedUrl(child);
  const info = (await (await fetch(`${url}/v1/info`)).json()) as { version: string };
  await assertPrecision(url, precision);
  return {
    pid: child.pid as number,
    url,
    version: info.version,
    async close() {
      const exit = once(child, 'exit');
      child.kill('SIGINT');
      await exit;
    },
  };
}

async function announcedUrl(child: ChildProcess): Promise<string> {
  if (child.stdout === null) throw new Error('Expected standard output of the service');
  for await (const line of createInterface({ input: child.stdout })) {
    const url = /http:\/\/[\w.:]+/.exec(line)?.[0];
    if (url === undefined) continue;
    child.stdout.resume();
    return url;
  }
  throw new Error('Expected the service to say where it listens, it ended');
}

async function assertPrecision(url: string, precision: BenchedPrecision): Promise<void> {
  const models = (await (await fetch(`${url}/v1/models`)).json()) as {
    data: { precision: string }[];
  };
  const runs = models.data[0]?.precision;
  if (runs !== precision) throw new Error(`Expected the service to run ${precision}, got ${runs}`);
}

/** Clips posted to a service one after the other: processor time of all its processes. */
export async function openHttpContender(
  service: BenchedService,
  options: { readonly name: string; readonly clip: string; readonly runsPerTurn: number },
): Promise<Contender> {
  const { name, clip, runsPerTurn } = options;
  const bytes = await readFile(clip);
  await postClip(service.url, bytes);
  return {
    name,
    version: service.version,
    async turn() {
      const before = await cpuSecondsOf(service.pid);
      for (let run = 0; run < runsPerTurn; run += 1) await postClip(service.url, bytes);
      const after = await cpuSecondsOf(service.pid);
      const spent = after.self - before.self + (after.children - before.children);
      return spent / runsPerTurn;
    },
    close: async () => {},
  };
}

/** Asks for the tags of a clip. @throws Error unless they come, of one window */
export async function postClip(url: string, bytes: Buffer): Promise<void> {
  const response = await fetch(`${url}/v1/tags`, {
    method: 'POST',
    headers: { 'Content-Type': 'application/octet-stream' },
    body: new Uint8Array(bytes),
  });
  if (response.status !== 200) throw new Error(`Expected 200, got ${await response.text()}`);
  const { usage } = (await response.json()) as { usage: { windows: number } };
  if (usage.windows !== 1) throw new Error(`Expected one window, got ${usage.windows}`);
}
