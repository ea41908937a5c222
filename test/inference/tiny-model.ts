/** The small model of the tests, windows of sound, and a look at the processes behind it. */
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { cp, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Window } from '../../src/audio/window.js';
import type { EngineSpec } from '../../src/inference/engine-messages.js';
import { graphSpecs } from '../../src/inference/graph-spec.js';
import { loadModelCard, type ModelCard } from '../../src/inference/model-card.js';
import {
  createModelRegistry,
  type ModelRegistry,
  type ModelRegistryOptions,
} from '../../src/inference/model-registry.js';
import { silentObserver } from '../../src/inference/observer.js';
import type { Log } from '../../src/log.js';
import { splitWeights } from './split-weights.js';

const MODELS_DIR = fileURLToPath(new URL('../fixtures/models', import.meta.url));
export const TINY_FOLDER = join(MODELS_DIR, 'tiny');
export const TOKEN_MODELS_DIR = fileURLToPath(new URL('../fixtures/token-models', import.meta.url));
/** A model with a tokenizer, and twelve labels of its own. */
export const TINY_TOKEN_FOLDER = join(TOKEN_MODELS_DIR, 'tiny-tokens');

export const tinyCard = (): Promise<ModelCard> => loadModelCard(TINY_FOLDER);

/** What an engine is told to open the model in `folder` on one core. */
export async function engineSpecOf(folder: string): Promise<EngineSpec> {
  const card = await loadModelCard(folder);
  return {
    folder,
    graphs: graphSpecs(card, 'fp32'),
    provider: 'cpu',
    deviceId: 0,
    intraOpThreads: 1,
    sharesWeights: false,
  };
}

/** A log that keeps its lines. */
export function recordingLog(): Log & { lines: { level: string; fields: object; text: string }[] } {
  const lines: { level: string; fields: object; text: string }[] = [];
  const at = (level: string) => (fields: object, text: string) =>
    lines.push({ level, fields, text });
  return { lines, info: at('info'), warn: at('warn'), error: at('error') } as never;
}

/** A registry on the tiny model, one engine on CPU unless told otherwise. */
export function startTiny(options: Partial<ModelRegistryOptions> = {}): Promise<ModelRegistry> {
  return createModelRegistry({
    modelsDir: MODELS_DIR,
    provider: 'cpu',
    precision: 'auto',
    engines: 1,
    intraOpThreads: 1,
    cudaDevices: [0],
    batchSizes: [1, 4],
    batchLengthsSeconds: [2, 6, 10],
    warmup: true,
    log: recordingLog(),
    observer: silentObserver,
    ...options,
  });
}

interface WireLabel {
  class_index: unknown;
  mid: string;
  [key: string]: unknown;
}

/** A model card as it stands in the file, loose enough to be spoilt. */
export interface WireCard {
  labels: WireLabel[];
  graphs: {
    encoder: { fp32: Record<string, unknown>; [precision: string]: Record<string, unknown> };
    tokenizer?: unknown;
  };
  [key: string]: unknown;
}

/** What a card says of a graph of lower precision: figures of no real one. */
export const wireGate = (passed: boolean) => ({
  passed,
  clips: 384,
  clips_sha256: 'a'.repeat(64),
  folds: [4],
  top1_agreement: 0.997,
  mean_absolute_score_difference: 0.001,
  map_change: -0.002,
  accuracy_change: 0.001,
});

/** A copy of the tiny model in a models folder of its own, which a test may spoil. */
export class TinyCopy implements AsyncDisposable {
  readonly modelsDir: string;
  readonly folder: string;

  static async create(): Promise<TinyCopy> {
    const copy = new TinyCopy(await mkdtemp(join(tmpdir(), 'earshot-models-')));
    await cp(TINY_FOLDER, copy.folder, { recursive: true });
    return copy;
  }

  private constructor(modelsDir: string) {
    this.modelsDir = modelsDir;
    this.folder = join(modelsDir, 'tiny');
  }

  async editCard(edit: (card: WireCard) => void): Promise<void> {
    const path = join(this.folder, 'model.json');
    const card = JSON.parse(await readFile(path, 'utf8'));
    edit(card);
    await writeFile(path, JSON.stringify(card));
    await this.sign();
  }

  /** Adds the fp32 graph under another precision's name, with what a card may say of it. */
  async addGraph(precision: 'int8' | 'fp16', gate: object | undefined): Promise<void> {
    const file = `encoder.${precision}.onnx`;
    await cp(join(this.folder, 'encoder.fp32.onnx'), join(this.folder, file));
    await this.editCard(({ graphs: { encoder } }) => {
      encoder[precision] = { ...encoder.fp32, file, ...(gate && { gate }) };
    });
  }

  /** Lays the weights into a file beside the graph. */
  async splitGraph(): Promise<void> {
    const path = join(this.folder, 'encoder.fp32.onnx');
    const data = 'encoder.fp32.data';
    const { graph, weights } = splitWeights(await readFile(path), data);
    await writeFile(path, graph);
    await writeFile(join(this.folder, data), weights);
    const checked = (content: Buffer) => ({
      bytes: content.length,
      sha256: createHash('sha256').update(content).digest('hex'),
    });
    await this.editCard(({ graphs }) => {
      const external_data = { file: data, ...checked(weights) };
      Object.assign(graphs.encoder.fp32, { ...checked(graph), external_data });
    });
  }

  /** Brings the checksums up to what lies in the folder now, `except` for files of which they say another sum. */
  async sign({ except = {} }: { except?: Readonly<Record<string, string>> } = {}): Promise<void> {
    const files = (await readdir(this.folder)).filter((file) => file !== 'SHA256SUMS');
    const lines = files.map(async (file) => {
      const content = await readFile(join(this.folder, file));
      const sha256 = createHash('sha256').update(content).digest('hex');
      return `${except[file] ?? sha256}  ${file}\n`;
    });
    await writeFile(join(this.folder, 'SHA256SUMS'), (await Promise.all(lines)).join(''));
  }

  /** Changes the graph; the card follows unless it is to be left behind. */
  async editGraph(
    edit: (graph: Buffer) => void,
    { card }: { card: 'follows' | 'stays' },
  ): Promise<void> {
    const path = join(this.folder, 'encoder.fp32.onnx');
    const graph = await readFile(path);
    edit(graph);
    await writeFile(path, graph);
    if (card === 'stays') return;
    const sha256 = createHash('sha256').update(graph).digest('hex');
    await this.editCard(({ graphs }) => Object.assign(graphs.encoder.fp32, { sha256 }));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await rm(this.modelsDir, { recursive: true });
  }
}

/** A window of tones and noise, different for each seed, the same for the same one. */
export function windowOf(seconds: number, seed = 1): Window {
  const samples = new Float32Array(Math.round(seconds * 16_000));
  let noise = seed;
  for (let i = 0; i < samples.length; i++) {
    noise = (noise * 48_271) % 2_147_483_647;
    const tone = Math.sin(2 * Math.PI * (200 + 137 * seed) * (i / 16_000));
    samples[i] = 0.2 * tone + 0.1 * (noise / 2_147_483_647 - 0.5);
  }
  return { samples };
}

/** Largest difference between two vectors of equal length. */
export function largestDifference(
  a: Float32Array | undefined,
  b: Float32Array | undefined,
): number {
  if (a === undefined || b === undefined || a.length !== b.length) return Number.NaN;
  return a.reduce(
    (largest, value, i) => Math.max(largest, Math.abs(value - (b[i] ?? Number.NaN))),
    0,
  );
}

/** Engine processes that this test process has started and that still live. */
export function enginePids(parent = process.pid): number[] {
  const table = execFileSync('ps', ['-A', '-o', 'pid=,ppid=,stat=,command='], { encoding: 'utf8' });
  return table.split('\n').flatMap((line) => {
    const [pid, ppid, state = 'Z'] = line.trim().split(/\s+/);
    const isEngine = line.includes('/inference/engine.') && !state.startsWith('Z');
    return isEngine && Number(ppid) === parent ? [Number(pid)] : [];
  });
}

/** Comes back when `condition` holds; the test's own time limit ends a wait in vain. */
export async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await condition())) await new Promise((resolve) => setTimeout(resolve, 5));
}

/** CPU time that a process has used, in milliseconds. Linux only. */
export async function cpuMs(pid: number): Promise<number> {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8');
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  // User and system time in ticks of 10 ms: fields 14 and 15 of the line.
  return 10 * (Number(fields[11]) + Number(fields[12]));
}
