import type { RequestHandler } from 'express';
import { type TaggedClip, tagClip } from '../analyze/tag-clip.js';
import { ServiceError } from '../errors.js';
import type { AudioEndpoint } from './audio-endpoint.js';
import { answered, toAudio, toUsage } from './audio-reply.js';
import { type AudioRouteDeps, audioRoute } from './audio-route.js';
import { toHearing } from './hearing.js';

type Tag = TaggedClip['tags'][number];

const SCORE_STEPS = 1e6;

const tagEndpoint: AudioEndpoint<'createTags', TaggedClip> = {
  operation: 'createTags',
  route: '/v1/tags',
  check({ top_k: topK }, { card }) {
    const { length } = card.labels;
    if (length === 0)
      throw invalid('model', `Expected a model with labels, ${card.name} gives embeddings only`);
    if (topK === 'all' || topK <= length) return;
    throw invalid('top_k', `Expected an integer from 1 to ${length} or "all", got ${topK}`);
  },
  analyze(clip, parameters, deps) {
    const { top_k: topK, threshold } = parameters;
    return tagClip(clip, { topK, threshold, hearing: toHearing(parameters) }, deps);
  },
  single: ({ id, model }, clip) => ({ id, object: 'audio.tags', model, ...toReply(clip) }),
  list: ({ id, model }, answers) => ({
    id,
    object: 'list',
    model,
    data: answers.map((each) =>
      'problem' in each
        ? each
        : { index: each.index, status: 200, object: 'audio.tags', ...toReply(each.answer) },
    ),
    usage: toUsage(answered(answers)),
  }),
};

/** POST /v1/tags */
export const tagRoute = (deps: AudioRouteDeps): RequestHandler => audioRoute(tagEndpoint, deps);

const invalid = (parameter: string, detail: string) =>
  new ServiceError('invalid_value', `${parameter}: ${detail}`, { errors: [{ parameter, detail }] });

function toReply(clip: TaggedClip) {
  return { audio: toAudio(clip), tags: clip.tags.map(rounded), usage: toUsage([clip]) };
}

/** Six decimals: what is behind them differs between machines. */
function rounded(tag: Tag): Tag {
  return { ...tag, score: Math.round(tag.score * SCORE_STEPS) / SCORE_STEPS };
}
