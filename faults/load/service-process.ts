import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import type { Measured, PlantedFault } from './service-under-test.js';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const ENTRY = fileURLToPath(new URL('service-under-test.ts', import.meta.url));
const TASKSET = '/usr/bin/taskset';

export interface ServiceOptions {
  readonly env?: Readonly<Record<string, string>>;
  /** Faults of the product that the harness brings in, as controls. */
  readonly planted?: readonly PlantedFault[];
  /** A folder for uploads that outlives the service; without it there is one for as long as it runs. */
  readonly spoolDir?: string;
}

/** The whole service in a process of its own, as `npm start` runs it, around the tiny model. */
export class ServiceProcess {
  readonly url: string;
  readonly exitCode: Promise<number | null>;
  readonly #child: ChildProcess;
  readonly #spoolDir: string;
  /** To be taken away with the service. */
  readonly #ownFolder: string | undefined;

  /** On one core, the last, so that the load comes from the others; one engine, one decode thread. */
  static async start(options: ServiceOptions = {}): Promise<ServiceProcess> {
    const { env = {}, planted = [] } = options;
    const ownFolder = options.spoolDir ? undefined : mkdtempSync(join(tmpdir(), 'earshot-faults-'));
    const spoolDir = options.spoolDir ?? (ownFolder as string);
    const command = [process.execPath, '--import', 'tsx', ENTRY, ...planted];
    const [program, ...args] = [...pinning(), ...command] as [string, ...string[]];
    const child = spawn(program, args, {
      cwd: ROOT,
      env: { PATH: process.env.PATH, ...baseEnvironment(spoolDir), ...env },
      stdio: ['ignore', 'pipe', 'inherit', 'ipc'],
    });
    try {
      const url = await urlSaidBy(child);
      return new ServiceProcess(child, { url, spoolDir, ownFolder });
    } catch (error) {
      child.kill('SIGKILL');
      if (ownFolder) rmSync(ownFolder, { recursive: true });
      throw error;
    }
  }

  /** Starts it for the time of `work`. */
  static async during<T>(
    options: ServiceOptions,
    work: (service: ServiceProcess) => Promise<T>,
  ): Promise<T> {
    const service = await ServiceProcess.start(options);
    try {
      return await work(service);
    } finally {
      await service.stop();
    }
  }

  private constructor(
    child: ChildProcess,
    places: { url: string; spoolDir: string; ownFolder: string | undefined },
  ) {
    this.#child = child;
    this.#spoolDir = places.spoolDir;
    this.#ownFolder = places.ownFolder;
    this.url = places.url;
    this.exitCode = once(child, 'exit').then(([code]) => code as number | null);
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  /** Value of a metric, of all its series together. */
  async metric(name: string): Promise<number> {
    const page = await (await fetch(`${this.url}/metrics`)).text();
    const values = [...page.matchAll(new RegExp(`^${name}(?:\\{.*\\})? (\\S+)$`, 'gm'))];
    if (values.length === 0) throw new Error(`Expected the metric ${name}, found none`);
    return values.reduce((sum, [, value]) => sum + Number(value), 0);
  }

  /** Files that uploads have left, or are in. */
  spooled(): string[] {
    return readdirSync(this.#spoolDir);
  }

  /** What the process says of itself; what it says of its event loop begins with the question before. */
  async measure(): Promise<Measured> {
    this.#child.send('measure');
    const [measured] = (await once(this.#child, 'message')) as [Measured];
    return measured;
  }

  /** SIGTERM: the service ends in order. */
  terminate(): void {
    this.#child.kill('SIGTERM');
  }

  /** SIGKILL: it has no time for anything. */
  async kill(): Promise<void> {
    this.#child.kill('SIGKILL');
    await this.exitCode;
  }

  /** Ends it, whatever state it is in, and takes its folder away. */
  async stop(): Promise<void> {
    await this.kill();
    if (this.#ownFolder) rmSync(this.#ownFolder, { recursive: true });
  }
}

function pinning(): string[] {
  const cores = availableParallelism();
  return process.platform === 'linux' && cores > 1 ? [TASKSET, '-c', String(cores - 1)] : [];
}

function baseEnvironment(spoolDir: string): Record<string, string> {
  return {
    MODELS_DIR: join(ROOT, 'test/fixtures/models'),
    EXECUTION_PROVIDER: 'cpu',
    SPOOL_DIR: spoolDir,
    HOST: '127.0.0.1',
    PORT: '0',
    ENGINES: '1',
    DECODE_CONCURRENCY: '1',
    FFMPEG_PATH: 'off',
    PRE_STOP_MS: '0',
  };
}

/** Reads the log to its end, since a full pipe would hold the service up. */
function urlSaidBy(child: ChildProcess): Promise<string> {
  return new Promise((resolve, reject) => {
    createInterface({ input: child.stdout as Readable }).on('line', (line) => {
      const said = /Earshot listens on (http:\/\/[^\s,]+)/.exec(line);
      if (said?.[1]) resolve(said[1]);
    });
    child.once('error', reject);
    child.once('exit', (code) =>
      reject(new Error(`Expected a service that starts, it ended with ${code}`)),
    );
  });
}
