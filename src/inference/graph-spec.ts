import type { GraphName } from './batch.js';
import type { GraphFile, ModelCard, Precision } from './model-card.js';

/** What the card promises of an input or output. */
export interface ValueShape {
  readonly type: 'float32' | 'int64';
  readonly rank: number;
  /** Size of the last dimension, where it is fixed. */
  readonly width?: number;
  /** Values are whole numbers from 0 to below this. */
  readonly below?: number;
}

/** A graph that an engine opens. */
export interface GraphSpec {
  readonly name: GraphName;
  readonly precision: Precision;
  readonly file: GraphFile;
  /** All of its outputs, by their names in it. */
  readonly outputs: Readonly<Record<string, ValueShape>>;
}

/**
 * The graphs of a model: the encoder in one precision and, where there is one, the tokenizer, which
 * has no other than fp32.
 */
export function graphSpecs(card: ModelCard, precision: Precision): GraphSpec[] {
  const { encoder, tokenizer } = card.graphs;
  const file = encoder[precision] ?? encoder.fp32;
  const specs: GraphSpec[] = [{ name: 'encoder', precision, file, outputs: encoderOutputs(card) }];
  if (tokenizer === null || card.tokens === null) return specs;
  const { bands, codebookSize } = card.tokens;
  const tokens = { type: 'int64', rank: 3, width: bands, below: codebookSize } as const;
  return [
    ...specs,
    { name: 'tokenizer', precision: 'fp32', file: tokenizer.fp32, outputs: { tokens } },
  ];
}

function encoderOutputs({ labels, embeddingDim }: ModelCard): Record<string, ValueShape> {
  const numbers = (rank: number, width: number) => ({ type: 'float32', rank, width }) as const;
  return {
    clip_logits: numbers(2, labels.length),
    clip_embedding: numbers(2, embeddingDim),
    row_logits: numbers(3, labels.length),
    row_embeddings: numbers(3, embeddingDim),
  };
}
