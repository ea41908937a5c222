import type { ModelCard, Precision } from './model-card.js';
import type { Provider } from './provider.js';

export type RequestedPrecision = 'auto' | Precision;
type PrecisionReason = 'no_graph' | 'not_gated' | 'gate_failed';

/** What was asked for, what runs, and if `auto` stayed with fp32: why. */
export interface PrecisionState {
  readonly requested: RequestedPrecision;
  readonly active: Precision;
  /** What `auto` would have taken but for `reason`. */
  readonly declined?: Precision;
  readonly reason?: PrecisionReason;
}

/** What `auto` would rather run: int8 takes less than half the time of fp32 on CPU, fp16 suits CUDA. */
const FAST_PRECISION: Readonly<Record<Provider, Precision>> = { cpu: 'int8', cuda: 'fp16' };

/**
 * `auto` takes the provider's fast precision where the card says that its graph does as well as the
 * fp32 one, else fp32.
 *
 * @throws Error when the model has no graph in the precision that was asked for
 */
export function choosePrecision(
  { name, graphs }: Pick<ModelCard, 'name' | 'graphs'>,
  requested: RequestedPrecision,
  provider: Provider,
): PrecisionState {
  const { encoder } = graphs;
  if (requested === 'auto') {
    const fast = FAST_PRECISION[provider];
    const reason = objectionTo(encoder[fast]);
    return reason === undefined
      ? { requested, active: fast }
      : { requested, active: 'fp32', declined: fast, reason };
  }
  if (encoder[requested] !== undefined) return { requested, active: requested };
  const has = Object.keys(encoder).join(', ');
  throw new Error(`Model ${name}: expected an encoder graph in ${requested}, it has ${has}`);
}

function objectionTo(
  graph: ModelCard['graphs']['encoder'][Precision],
): PrecisionReason | undefined {
  if (graph === undefined) return 'no_graph';
  if (graph.gate === null) return 'not_gated';
  return graph.gate.passed ? undefined : 'gate_failed';
}
