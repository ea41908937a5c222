/**
 * How long the service takes from the start of its process until /readyz says yes, and what memory its engines take.
 *
 * Starts the built service anew for each figure, in turns over models, precisions and one or two engines; the files are
 * in the page cache. Memory is read after some windows of 10 s have been run. Prints a table, and writes it into
 * bench/results/start-up.json and docs/performance.md.
 *
 * Run: `npm run bench:start -- [--rounds N] [MODEL_FOLDER ...]`; folders are of models of the released size, whose limit
 * is 5 s, the shipped model's is 2 s. Linux only (/proc).
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { availableParallelism, cpus, tmpdir } from 'node:os';
import { basename, join, resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { graphSpecs } from '../src/inference/graph-spec.js';
import { loadModelCard, type ModelCard, type Precision } from '../src/inference/model-card.js';
import { engineMemory, type ProcessMemory } from './engine-memory.js';
import { withTables } from './marked-tables.js';
import { RESULTS_FILE, type StartUpRow, startUpTables, tableOf } from './start-up-table.js';

const SHIPPED = fileURLToPath(new URL('../models/earshot-small', import.meta.url));
const PAGE = new URL('../docs/performance.md', import.meta.url);
const LIMIT_SECONDS = { shipped: 2, released: 5 };
const CLIP = readFileSync(new URL('../test/fixtures/clips/dog_44k.mp3', import.meta.url));
/** MP3 is a row of frames: twice the 5 s are 10 s, a whole window. */
const WINDOW = new Uint8Array(Buffer.concat([CLIP, CLIP]));
const WINDOWS_PER_ENGINE = 3;
const ENGINES = [2, 1] as const;

interface Subject {
  readonly folder: string;
  readonly card: ModelCard;
  readonly precision: Precision;
  readonly limitSeconds: number;
}
interface Start {
  readonly readySeconds: number;
  readonly memory: readonly ProcessMemory[];
}

const { values, positionals } = parseArgs({
  options: { rounds: { type: 'string', default: '5' } },
  allowPositionals: true,
});
const subjects = await findSubjects(positionals);
const starts = new Map<string, Start[]>();
for (let round = 0; round < Number(values.rounds); round += 1) {
  for (const subject of subjects) {
    for (const engines of ENGINES) {
      const key = keyOf(subject, engines);
      starts.set(key, [...(starts.get(key) ?? []), await startOnce(subject, engines)]);
    }
  }
}
const machine = `${cpus()[0]?.model.trim()}, ${availableParallelism()} cores, Node ${process.version}`;
const results = { machine, rows: subjects.map(rowOf) };
writeFileSync(RESULTS_FILE, `${JSON.stringify(results, null, 2)}\n`);
writeFileSync(PAGE, withTables(readFileSync(PAGE, 'utf8'), startUpTables(results)));
console.log(`${machine}, ${values.rounds} rounds, median (lowest to highest)\n${tableOf(results)}`);

async function findSubjects(folders: readonly string[]): Promise<Subject[]> {
  const limits = [
    [SHIPPED, LIMIT_SECONDS.shipped],
    ...folders.map((folder) => [resolve(folder), LIMIT_SECONDS.released]),
  ] as const;
  const found = limits.map(async ([folder, limitSeconds]) => {
    const card = await loadModelCard(String(folder));
    // fp16 is for CUDA; on CPU it only adds casts.
    const precisions = Object.keys(card.graphs.encoder).filter(
      (precision) => precision !== 'fp16',
    ) as Precision[];
    return precisions.map((precision) => {
      return { folder: String(folder), card, precision, limitSeconds: Number(limitSeconds) };
    });
  });
  return (await Promise.all(found)).flat();
}

function keyOf({ folder, precision }: Subject, engines: number): string {
  return `${folder} ${precision} ${engines}`;
}

/** A service on this model alone, from its start to its end. */
async function startOnce({ folder, precision }: Subject, engines: number): Promise<Start> {
  const scratch = mkdtempSync(join(tmpdir(), 'earshot-start-'));
  symlinkSync(folder, join(scratch, basename(folder)));
  const startMs = performance.now();
  const child = spawnService({
    MODELS_DIR: scratch,
    PRECISION: precision,
    ENGINES: String(engines),
  });
  try {
    const url = await urlOf(child);
    await assertOk(await fetch(`${url}/readyz`));
    const readySeconds = (performance.now() - startMs) / 1000;
    await Promise.all(Array.from({ length: engines * WINDOWS_PER_ENGINE }, () => postClip(url)));
    return { readySeconds, memory: await engineMemory(child.pid ?? 0) };
  } finally {
    child.kill('SIGINT');
    await once(child, 'exit');
    rmSync(scratch, { recursive: true });
  }
}

function spawnService(settings: Readonly<Record<string, string>>): ChildProcess {
  const main = fileURLToPath(new URL('../dist/main.js', import.meta.url));
  const common = { PORT: '0', HOST: '127.0.0.1', QUEUE_MAX_WINDOWS: '64' };
  return spawn(process.execPath, [main], {
    env: { PATH: process.env.PATH, ...common, ...settings },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
}

async function urlOf({ stdout }: ChildProcess): Promise<string> {
  if (stdout === null) throw new Error('Expected a pipe');
  for await (const line of createInterface({ input: stdout })) {
    const url = /listens on (http:\/\/[\w.:]+)/.exec(line)?.[1];
    if (url === undefined) continue;
    stdout.resume();
    return url;
  }
  throw new Error('Expected the service to say where it listens, it ended');
}

async function postClip(url: string): Promise<void> {
  const headers = { 'Content-Type': 'application/octet-stream' };
  await assertOk(await fetch(`${url}/v1/tags`, { method: 'POST', headers, body: WINDOW }));
}

async function assertOk(response: Response): Promise<void> {
  const text = await response.text();
  if (!response.ok) throw new Error(`Expected 200, got ${response.status}: ${text}`);
}

function rowOf(subject: Subject): StartUpRow {
  const { card, precision, limitSeconds } = subject;
  const startsWith = (engines: number) => starts.get(keyOf(subject, engines)) ?? [];
  return {
    model: card.name,
    precision,
    graphBytes: graphSpecs(card, precision).reduce(
      (sum, { file }) => sum + file.bytes + (file.externalData?.bytes ?? 0),
      0,
    ),
    limitSeconds,
    readyShares: startsWith(2).map(({ readySeconds }) => readySeconds / limitSeconds),
    engines: ENGINES.map((engines) => {
      const memory = startsWith(engines).flatMap((start) => start.memory);
      const privateBytes = median(memory.map((each) => each.privateBytes));
      const proportionalBytes = median(memory.map((each) => each.proportionalBytes));
      return { engines, privateBytes, proportionalBytes };
    }),
  };
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN;
}
