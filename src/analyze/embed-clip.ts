import type { WindowOutput } from '../inference/batch.js';
import { aggregateWindows } from '../outputs/aggregate.js';
import { toUnitLength } from '../outputs/embedding.js';
import {
  type AnalysisDeps,
  type ClipFile,
  type HeardClip,
  type Hearing,
  hearClip,
  timed,
} from './hear.js';

export interface EmbeddedClip extends HeardClip {
  /** (embedding dim) */
  readonly embedding: Float32Array;
}

/**
 * One vector for a clip: the mean over all of its rows.
 *
 * @throws ServiceError that says what is wrong with the clip, or why it could not be run
 */
export async function embedClip(
  clip: ClipFile,
  { normalize, hearing }: { normalize: boolean; hearing: Omit<Hearing, 'outputs'> },
  deps: AnalysisDeps,
): Promise<EmbeddedClip> {
  const outputs: WindowOutput[] = [];
  const heard = await hearClip(
    clip,
    { ...hearing, outputs: ['clip_embedding'] },
    (window) => void outputs.push(window),
    deps,
  );
  const embedding = timed('postprocess', deps.observer, () => {
    const mean = aggregateWindows(outputs, 'clip_embedding');
    return normalize ? toUnitLength(mean) : mean;
  });
  return { ...heard, embedding };
}
