import type { WindowOutput } from '../inference/batch.js';
import { aggregateWindows } from '../outputs/aggregate.js';
import { toScores } from '../outputs/scores.js';
import { type Tag, type TagOptions, toTags } from '../outputs/tags.js';
import {
  type AnalysisDeps,
  type ClipFile,
  type HeardClip,
  type Hearing,
  hearClip,
  timed,
} from './hear.js';

export interface TaggedClip extends HeardClip {
  readonly tags: readonly Tag[];
}

/**
 * What can be heard in a clip, over all of it.
 *
 * @throws ServiceError that says what is wrong with the clip, or why it could not be run
 */
export async function tagClip(
  clip: ClipFile,
  {
    hearing,
    ...options
  }: Pick<TagOptions, 'topK' | 'threshold'> & {
    hearing: Omit<Hearing, 'outputs'>;
  },
  deps: AnalysisDeps,
): Promise<TaggedClip> {
  const outputs: WindowOutput[] = [];
  const heard = await hearClip(
    clip,
    { ...hearing, outputs: ['clip_logits'] },
    (window) => void outputs.push(window),
    deps,
  );
  const { labels, activation } = deps.model.card;
  const tags = timed('postprocess', deps.observer, () => {
    const scores = toScores(aggregateWindows(outputs, 'clip_logits'), activation);
    return toTags(scores, labels, options);
  });
  return { ...heard, tags };
}
