import { readdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import {
  assertAgrees,
  assertUnchanged,
  CHECKSUMS_FILE,
  type Checksums,
  loadChecksums,
} from './checksums.js';

export type Precision = 'fp32' | 'int8' | 'fp16';
export type Activation = 'sigmoid' | 'softmax';

/** One column of the logits. */
export interface Label {
  readonly classIndex: number;
  /** AudioSet's machine id, such as `/m/0bt9lr`. */
  readonly mid: string;
  readonly name: string;
  /** Whether training saw positives of it; the scores of other labels mean nothing. */
  readonly trained: boolean;
  readonly positives: number;
  readonly averagePrecision: number | null;
  readonly threshold: number | null;
}

export interface CheckedFile {
  readonly file: string;
  readonly bytes: number;
  readonly sha256: string;
}

export interface GraphFile extends CheckedFile {
  /** The weights, where they lie in a file of their own. */
  readonly externalData: CheckedFile | null;
}

/** How an encoder graph answered beside the float32 one, on labelled clips. */
interface PrecisionGate {
  readonly passed: boolean;
  readonly clips: number;
  readonly clipsSha256: string;
  readonly folds: readonly number[];
  /** Share of the clips whose highest trained label is the same. */
  readonly top1Agreement: number;
  readonly meanAbsoluteScoreDifference: number;
  /** Mean average precision less that of float32, as a share: 0.003 is 0.3 points. */
  readonly mapChange: number;
  /** Accuracy less that of float32; null where the clips have no class. */
  readonly accuracyChange: number | null;
}

interface EncoderGraphFile extends GraphFile {
  /** Null where nothing was measured: for float32 itself, and for graphs exported ungated. */
  readonly gate: PrecisionGate | null;
}

/** A model's `model.json`, checked and frozen. */
export interface ModelCard {
  readonly name: string;
  readonly revision: string;
  readonly license: string;
  readonly description: string;
  readonly sampleRate: number;
  readonly minSamples: number;
  readonly windowSeconds: number;
  readonly activation: Activation;
  /** Empty for a model that was not fine-tuned: it gives embeddings only. */
  readonly labels: readonly Label[];
  readonly embeddingDim: number;
  readonly rowsPerSecond: number;
  readonly tokens: { readonly codebookSize: number; readonly bands: number } | null;
  readonly graphs: {
    readonly encoder: Readonly<Partial<Record<Precision, EncoderGraphFile>>> & {
      readonly fp32: EncoderGraphFile;
    };
    readonly tokenizer: { readonly fp32: GraphFile } | null;
  };
  readonly training: Readonly<Record<string, unknown>>;
  readonly evaluation: Readonly<Record<string, unknown>>;
}

const CARD_FILE = 'model.json';

const count = z.int().min(0);
const checkedFile = {
  file: z.string().regex(/^\w[\w.-]*$/, 'expected a plain file name in the model folder'),
  bytes: z.int().positive(),
  sha256: z.string().regex(/^[0-9a-f]{64}$/, 'expected 64 lower-case hex digits'),
};
const graphKeys = { ...checkedFile, external_data: z.strictObject(checkedFile).optional() };
const graphFile = z
  .strictObject(graphKeys)
  .transform(({ external_data, ...file }) => ({ ...file, externalData: external_data ?? null }));

const change = z.number().min(-1).max(1);
const gate = z
  .strictObject({
    passed: z.boolean(),
    clips: z.int().positive(),
    clips_sha256: checkedFile.sha256,
    folds: z.array(z.int()),
    top1_agreement: z.number().min(0).max(1),
    mean_absolute_score_difference: z.number().min(0).max(1),
    map_change: change,
    accuracy_change: change.nullable(),
  })
  .transform(({ passed, clips, folds, ...figures }) => ({
    ...{ passed, clips, folds },
    clipsSha256: figures.clips_sha256,
    top1Agreement: figures.top1_agreement,
    meanAbsoluteScoreDifference: figures.mean_absolute_score_difference,
    mapChange: figures.map_change,
    accuracyChange: figures.accuracy_change,
  }));
const smallerGraphFile = z
  .strictObject({ ...graphKeys, gate: gate.optional() })
  .transform(({ external_data, gate, ...file }) => ({
    ...file,
    externalData: external_data ?? null,
    gate: gate ?? null,
  }));

const label = z
  .strictObject({
    class_index: count,
    mid: z.string().min(1),
    name: z.string().min(1),
    trained: z.boolean(),
    positives: count,
    average_precision: z.number().min(0).max(1).nullable(),
    threshold: z.number().min(0).max(1).nullable(),
  })
  .transform(({ class_index, average_precision, ...same }) => ({
    ...same,
    classIndex: class_index,
    averagePrecision: average_precision,
  }));

const wireCard = z.strictObject({
  schema_version: z.literal(1),
  name: z.string().regex(/^[a-z0-9][a-z0-9._-]*$/, 'expected lower-case letters, digits, . _ -'),
  revision: z.string().min(1),
  license: z.string().min(1),
  description: z.string(),
  // The graphs hold the filterbank and the patch grid, so these two cannot vary.
  sample_rate: z.literal(16_000),
  rows: z.strictObject({ per_second: z.literal(6.25) }),
  min_samples: z.int().min(2800),
  window_seconds: z.number().positive(),
  activation: z.enum(['sigmoid', 'softmax']),
  labels: z.array(label),
  embedding: z.strictObject({ dim: z.int().positive() }),
  // Token ids leave as int16.
  tokens: z
    .strictObject({
      codebook_size: z
        .int()
        .positive()
        .max(2 ** 15),
      bands: z.literal(8),
    })
    .nullable(),
  graphs: z.strictObject({
    encoder: z.strictObject({
      fp32: graphFile,
      int8: smallerGraphFile.optional(),
      fp16: smallerGraphFile.optional(),
    }),
    tokenizer: z.strictObject({ fp32: graphFile }).optional(),
  }),
  training: z.record(z.string(), z.unknown()),
  evaluation: z.record(z.string(), z.unknown()),
});
type WireCard = z.output<typeof wireCard>;

const cardSchema = wireCard.superRefine((card, context) => {
  for (const [path, message] of contradictions(card)) {
    context.addIssue({ code: 'custom', path, message });
  }
});

/**
 * Reads and checks `folder/model.json`, that the folder holds the files it names and, beside
 * documents, no other, and that all of them are what `SHA256SUMS` says.
 *
 * The graphs are not read here: an engine checks their sha256 right before it opens them.
 *
 * @throws Error whose message names the file, the key, what was expected and what came
 */
export async function loadModelCard(folder: string): Promise<ModelCard> {
  const path = join(folder, CARD_FILE);
  const checksums = await loadChecksums(folder);
  const parsed = cardSchema.safeParse(await readJson(path), { reportInput: true });
  if (!parsed.success) throw new Error(`${path}: ${parsed.error.issues.map(toMessage).join('; ')}`);
  const card = toModelCard(parsed.data);
  await assertFolder(folder, card);
  await assertWhole(folder, card, checksums);
  return deepFreeze(card);
}

/** Every graph of the card with the weights that lie beside it. */
function graphFiles(card: ModelCard): CheckedFile[] {
  const graphs = [
    ...Object.values(card.graphs.encoder),
    ...Object.values(card.graphs.tokenizer ?? {}),
  ];
  return graphs.flatMap((graph) => (graph.externalData ? [graph, graph.externalData] : [graph]));
}

async function readJson(path: string): Promise<unknown> {
  const text = await readFile(path, 'utf8').catch((error: NodeJS.ErrnoException) => {
    throw new Error(`${path}: expected a model card, but reading it failed (${error.code})`);
  });
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new Error(`${path}: expected JSON, ${(error as Error).message}`);
  }
}

function toMessage(issue: z.core.$ZodIssue): string {
  const key = issue.path.join('.');
  const said = key === '' ? issue.message : `${key}: ${issue.message}`;
  // Issues of type and consistency say themselves what came.
  if (issue.code === 'invalid_type' || issue.code === 'custom' || issue.input === undefined)
    return said;
  return `${said}, got ${shown(issue.input)}`;
}

function shown(value: unknown): string {
  const text = JSON.stringify(value);
  return text.length > 60 ? `${text.slice(0, 60)}...` : text;
}

function* contradictions(card: WireCard): Generator<[path: (string | number)[], message: string]> {
  const mids = new Set<string>();
  for (const [i, { classIndex, mid }] of card.labels.entries()) {
    if (classIndex !== i) yield [['labels', i, 'class_index'], `expected ${i}, got ${classIndex}`];
    if (mids.has(mid)) yield [['labels', i, 'mid'], `expected distinct MIDs, got ${mid} twice`];
    mids.add(mid);
  }
  if ((card.tokens === null) !== (card.graphs.tokenizer === undefined)) {
    yield [['tokens'], 'expected tokens and graphs.tokenizer both, or neither'];
  }
}

function toModelCard(wire: WireCard): ModelCard {
  const { name, revision, license, description, activation, labels, training, evaluation } = wire;
  const { fp32, int8, fp16 } = wire.graphs.encoder;
  return {
    ...{ name, revision, license, description, activation, labels, training, evaluation },
    sampleRate: wire.sample_rate,
    minSamples: wire.min_samples,
    windowSeconds: wire.window_seconds,
    embeddingDim: wire.embedding.dim,
    rowsPerSecond: wire.rows.per_second,
    tokens: wire.tokens && { codebookSize: wire.tokens.codebook_size, bands: wire.tokens.bands },
    graphs: {
      encoder: {
        fp32: { ...fp32, gate: null },
        ...(int8 && { int8 }),
        ...(fp16 && { fp16 }),
      },
      tokenizer: wire.graphs.tokenizer ?? null,
    },
  };
}

// A graph may point at a file of weights; one that the card does not name would go unchecked.
const DOCUMENT = /^\.|\.(md|txt|csv)$|^(LICENSE|NOTICE)/;

async function assertFolder(folder: string, card: ModelCard): Promise<void> {
  const named = new Map(graphFiles(card).map((file) => [file.file, file]));
  for (const { file, bytes } of named.values()) {
    const path = join(folder, file);
    const found = await stat(path).catch(() => undefined);
    if (!found?.isFile()) throw new Error(`${path}: model.json names this file, but it is missing`);
    if (found.size !== bytes)
      throw new Error(`${path}: expected ${bytes} bytes, got ${found.size}`);
  }
  for (const entry of await readdir(folder)) {
    if ([CARD_FILE, CHECKSUMS_FILE].includes(entry)) continue;
    if (named.has(entry) || DOCUMENT.test(entry)) continue;
    throw new Error(`${join(folder, entry)}: unknown file, model.json does not name it`);
  }
}

/** Everything that lies there is what it was when the folder was made. */
async function assertWhole(folder: string, card: ModelCard, checksums: Checksums): Promise<void> {
  const graphs = graphFiles(card);
  // Large ones are read once: by the engine, right before it opens them.
  for (const graph of graphs) assertAgrees(folder, graph, checksums);
  const isGraph = (file: string) => graphs.some((graph) => graph.file === file);
  const others = [CARD_FILE, ...checksums.keys()].filter((file) => !isGraph(file));
  for (const file of new Set(others)) await assertUnchanged(folder, file, checksums);
}

function deepFreeze<T>(value: T): T {
  if (typeof value === 'object' && value !== null && !Object.isFrozen(value)) {
    Object.freeze(value);
    for (const part of Object.values(value)) deepFreeze(part);
  }
  return value;
}
