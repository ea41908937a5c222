import type { Batch, BatchOutput, OutputName } from './batch.js';
import type { GraphFile } from './model-card.js';
import type { Provider } from './provider.js';

/** Which graph an engine opens, where it runs it, and what the card promises of it. */
export interface EngineSpec {
  readonly folder: string;
  readonly graph: GraphFile;
  readonly numLabels: number;
  readonly embeddingDim: number;
  readonly provider: Provider;
  /** CUDA device; of no meaning on CPU. */
  readonly deviceId: number;
  readonly intraOpThreads: number;
}

/** From the service to an engine; `load` comes first, then one `run` at a time. */
export type EngineCommand =
  | { readonly type: 'load'; readonly spec: EngineSpec }
  | { readonly type: 'run'; readonly batch: Batch; readonly outputs: readonly OutputName[] }
  | { readonly type: 'close' };

/** From an engine to the service: one for each `load` and `run`. */
export type EngineReply =
  | { readonly type: 'loaded' }
  | { readonly type: 'ran'; readonly output: BatchOutput }
  | { readonly type: 'failed'; readonly message: string };
