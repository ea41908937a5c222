import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { join } from 'node:path';
import { InferenceSession, Tensor } from 'onnxruntime-node';
import {
  type Batch,
  type BatchOutput,
  type GraphName,
  graphOf,
  type OutputArrays,
  type OutputName,
  splitOutputs,
} from './batch.js';
import type { EngineSpec } from './engine-messages.js';
import type { GraphSpec, ValueShape } from './graph-spec.js';
import type { CheckedFile } from './model-card.js';

/** The graphs of a model, open and ready to run. */
export interface ModelSession {
  /**
   * Computes only the outputs asked for, which are those of one graph. Blocks the thread of the process until it is
   * done.
   */
  run(batch: Batch, outputs: readonly OutputName[]): Promise<BatchOutput>;
  release(): Promise<void>;
}

interface OpenGraph {
  readonly spec: GraphSpec;
  readonly session: InferenceSession;
}

/** Read at once: a large file takes half as long as in pieces of the default 64 KiB. */
const HASHED_BYTES = 2 ** 20;
const INPUTS: Readonly<Record<string, ValueShape>> = {
  waveform: { type: 'float32', rank: 2 },
  num_samples: { type: 'int64', rank: 1 },
};

/**
 * Opens graphs, each after its files were checked, and checks their inputs and outputs.
 *
 * @throws Error that names the file and what was expected of it
 */
export async function openGraphs(spec: EngineSpec): Promise<ModelSession> {
  const graphs = new Map<GraphName, OpenGraph>();
  // One after another: opening a graph takes more memory than having it open.
  for (const graph of spec.graphs) graphs.set(graph.name, await openGraph(graph, spec));
  return {
    async run(batch, outputs) {
      const name = graphOf(outputs);
      const graph = graphs.get(name);
      if (graph === undefined) throw new Error(`Expected a model with a ${name}, it has none`);
      return runBatch(graph, batch, outputs);
    },
    async release() {
      for (const { session } of graphs.values()) await session.release();
    },
  };
}

async function openGraph(spec: GraphSpec, options: EngineSpec): Promise<OpenGraph> {
  const { folder } = options;
  const { file, outputs } = spec;
  await assertUnchanged(folder, file);
  if (file.externalData !== null) await assertUnchanged(folder, file.externalData);
  const path = join(folder, file.file);
  // From a path, never from a buffer: that would hold the weights twice.
  const session = await InferenceSession.create(path, sessionOptions(options, spec));
  assertValues(path, 'inputs', session.inputMetadata, INPUTS);
  assertValues(path, 'outputs', session.outputMetadata, outputs);
  return { spec, session };
}

async function assertUnchanged(
  folder: string,
  { file, bytes, sha256 }: CheckedFile,
): Promise<void> {
  const path = join(folder, file);
  const hash = createHash('sha256');
  let bytesRead = 0;
  for await (const piece of createReadStream(path, { highWaterMark: HASHED_BYTES })) {
    bytesRead += piece.length;
    hash.update(piece);
  }
  const found = hash.digest('hex');
  if (bytesRead !== bytes || found !== sha256) {
    throw new Error(
      `${path}: expected ${bytes} bytes with sha256 ${sha256}, got ${bytesRead} with ${found}`,
    );
  }
}

function sessionOptions(spec: EngineSpec, graph: GraphSpec): InferenceSession.SessionOptions {
  const common = {
    interOpNumThreads: 1,
    // Always set: the runtime's own count ignores the limits of a container.
    intraOpNumThreads: spec.intraOpThreads,
    executionMode: 'sequential',
    graphOptimizationLevel: 'all',
  } as const;
  if (spec.provider === 'cpu') {
    // Pages of the file that are only read are the same memory in every engine. Not of int8, which has a quarter to share
    // and loses nearly as much by it; see docs/decisions/0015-engines-share-weights.md.
    const { file, precision } = graph;
    const asTheyLie = spec.sharesWeights && file.externalData !== null && precision !== 'int8';
    const extra = asTheyLie ? { session: { disable_prepacking: '1' } } : {};
    return { ...common, executionProviders: ['cpu'], logSeverityLevel: 3, extra };
  }
  return {
    ...common,
    executionProviders: [{ name: 'cuda', deviceId: spec.deviceId }],
    // Warnings too: the cause of a failed load is in them.
    logSeverityLevel: 2,
    // Without it a node that CUDA cannot run would land on the CPU without a word.
    extra: { session: { disable_cpu_ep_fallback: '1' } },
  };
}

function assertValues(
  path: string,
  kind: 'inputs' | 'outputs',
  found: readonly InferenceSession.ValueMetadata[],
  expected: Readonly<Record<string, ValueShape>>,
): void {
  const wanted = Object.keys(expected).sort().join(', ');
  const names = found
    .map(({ name }) => name)
    .sort()
    .join(', ');
  if (names !== wanted) throw new Error(`${path}: expected the ${kind} ${wanted}, got ${names}`);
  for (const value of found) assertShape(path, value, expected[value.name] as ValueShape);
}

function assertShape(
  path: string,
  value: InferenceSession.ValueMetadata,
  expected: ValueShape,
): void {
  const { type, rank, width } = expected;
  const shape = value.isTensor ? value.shape : [];
  const last = shape.at(-1);
  const fits = value.isTensor && value.type === type && shape.length === rank;
  if (fits && (width === undefined || last === width)) return;
  const came = value.isTensor ? `${value.type} [${shape.join(', ')}]` : 'no tensor';
  throw new Error(
    `${path}: expected ${value.name} to be ${type} of rank ${rank}${width === undefined ? '' : ` and width ${width}`}, got ${came}`,
  );
}

async function runBatch(
  { session, spec }: OpenGraph,
  batch: Batch,
  outputs: readonly OutputName[],
): Promise<BatchOutput> {
  const { size, samples, numSamples } = batch;
  const feeds = {
    waveform: new Tensor('float32', batch.waveform, [size, samples]),
    num_samples: new Tensor('int64', BigInt64Array.from(numSamples, BigInt), [size]),
  };
  const startMs = performance.now();
  const results = await session.run(feeds, [...outputs]);
  const inferenceMs = performance.now() - startMs;
  const arrays: OutputArrays = Object.fromEntries(
    outputs.map((name) => [name, toArray(results[name]?.data, spec.outputs[name]?.below)]),
  );
  return { windows: splitOutputs(batch, arrays), inferenceMs };
}

/** Numbers as they are; ids in two bytes each, since they go through a pipe and into a reply. */
function toArray(data: unknown, below: number | undefined): Float32Array | Int16Array {
  if (data instanceof Float32Array) return data;
  if (!(data instanceof BigInt64Array) || below === undefined)
    throw new Error('Expected float32 numbers, or int64 ids below a limit');
  const outside = data.find((id) => id < 0n || id >= BigInt(below));
  if (outside !== undefined) throw new Error(`Expected ids from 0 to ${below - 1}, got ${outside}`);
  return Int16Array.from(data, Number);
}
