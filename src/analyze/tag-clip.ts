import type { WindowOutput } from '../inference/batch.js';
import { aggregateWindows } from '../outputs/aggregate.js';
import { toScores } from '../outputs/scores.js';
import { type Tag, type TagOptions, toTags } from '../outputs/tags.js';
import {
  type AnalysisDeps,
  type ClipFile,
  type HeardClip,
  hearClip,
  timed,
  WHOLE_CLIP,
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
  options: Pick<TagOptions, 'topK' | 'threshold'>,
  deps: AnalysisDeps,
): Promise<TaggedClip> {
  const outputs: WindowOutput[] = [];
  const hearing = { ...WHOLE_CLIP, outputs: ['clip_logits'] } as const;
  const heard = await hearClip(clip, hearing, (window) => void outputs.push(window), deps);
  const { labels, activation } = deps.model.card;
  const tags = timed('postprocess', deps.observer, () => {
    const scores = toScores(aggregateWindows(outputs, 'clip_logits'), activation);
    return toTags(scores, labels, options);
  });
  return { ...heard, tags };
}
