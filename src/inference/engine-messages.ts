import type { Batch, BatchOutput, OutputName } from './batch.js';
import type { GraphSpec } from './graph-spec.js';
import type { Provider } from './provider.js';

/** Which graphs an engine opens, where it runs them, and what the card promises of them. */
export interface EngineSpec {
  readonly folder: string;
  readonly graphs: readonly GraphSpec[];
  readonly provider: Provider;
  /** CUDA device; of no meaning on CPU. */
  readonly deviceId: number;
  readonly intraOpThreads: number;
  /**
   * Whether float weights that lie beside a graph are used as they lie there, so that engines hold one copy of them
   * together. Otherwise an engine makes itself a copy in the order that suits its processor best.
   */
  readonly sharesWeights: boolean;
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
