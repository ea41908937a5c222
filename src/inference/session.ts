import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { join } from 'node:path';
import { InferenceSession, Tensor } from 'onnxruntime-node';
import {
  type Batch,
  type BatchOutput,
  OUTPUT_NAMES,
  type OutputName,
  splitOutputs,
} from './batch.js';
import type { EngineSpec } from './engine-messages.js';
import type { CheckedFile } from './model-card.js';

/** An encoder graph, open and ready to run. */
export interface EncoderSession {
  /** Computes only the outputs asked for. Blocks the thread of the process until it is done. */
  run(batch: Batch, outputs: readonly OutputName[]): Promise<BatchOutput>;
  release(): Promise<void>;
}

/**
 * Opens an encoder graph after checking its files, then checks its inputs and outputs.
 *
 * @throws Error that names the file and what was expected of it
 */
export async function openEncoder(spec: EngineSpec): Promise<EncoderSession> {
  const { folder, graph } = spec;
  await assertUnchanged(folder, graph);
  if (graph.externalData !== null) await assertUnchanged(folder, graph.externalData);
  const path = join(folder, graph.file);
  // From a path, never from a buffer: that would hold the weights twice.
  const session = await InferenceSession.create(path, sessionOptions(spec));
  assertValues(path, 'inputs', session.inputMetadata, inputShapes());
  assertValues(path, 'outputs', session.outputMetadata, outputShapes(spec));
  return {
    run: (batch, outputs) => runBatch(session, batch, outputs),
    release: () => session.release(),
  };
}

async function assertUnchanged(
  folder: string,
  { file, bytes, sha256 }: CheckedFile,
): Promise<void> {
  const path = join(folder, file);
  const hash = createHash('sha256');
  let bytesRead = 0;
  for await (const piece of createReadStream(path)) {
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

function sessionOptions(spec: EngineSpec): InferenceSession.SessionOptions {
  const common = {
    interOpNumThreads: 1,
    // Always set: the runtime's own count ignores the limits of a container.
    intraOpNumThreads: spec.intraOpThreads,
    executionMode: 'sequential',
    graphOptimizationLevel: 'all',
  } as const;
  if (spec.provider === 'cpu')
    return { ...common, executionProviders: ['cpu'], logSeverityLevel: 3 };
  return {
    ...common,
    executionProviders: [{ name: 'cuda', deviceId: spec.deviceId }],
    // Warnings too: the cause of a failed load is in them.
    logSeverityLevel: 2,
    // Without it a node that CUDA cannot run would land on the CPU without a word.
    extra: { session: { disable_cpu_ep_fallback: '1' } },
  };
}

interface ValueShape {
  readonly type: string;
  readonly rank: number;
  /** Size of the last dimension, where it is fixed. */
  readonly width?: number;
}

function inputShapes(): Record<string, ValueShape> {
  return { waveform: { type: 'float32', rank: 2 }, num_samples: { type: 'int64', rank: 1 } };
}

function outputShapes({ numLabels, embeddingDim }: EngineSpec): Record<OutputName, ValueShape> {
  return {
    clip_logits: { type: 'float32', rank: 2, width: numLabels },
    clip_embedding: { type: 'float32', rank: 2, width: embeddingDim },
    row_logits: { type: 'float32', rank: 3, width: numLabels },
    row_embeddings: { type: 'float32', rank: 3, width: embeddingDim },
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
  session: InferenceSession,
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
  const arrays: Partial<Record<OutputName, Float32Array>> = {};
  for (const name of OUTPUT_NAMES) {
    const tensor = results[name];
    if (tensor !== undefined) arrays[name] = tensor.data as Float32Array;
  }
  return { windows: splitOutputs(batch, arrays), inferenceMs };
}
