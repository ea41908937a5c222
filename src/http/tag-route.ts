import type { RequestHandler } from 'express';
import { type TaggedClip, tagClip } from '../analyze/tag-clip.js';
import type { Ontology } from '../ontology/ontology.js';
import type { AudioEndpoint } from './audio-endpoint.js';
import { answered, toAudio, toUsage } from './audio-reply.js';
import { type AudioRouteDeps, audioRoute } from './audio-route.js';
import type { ParametersOf } from './parameters.js';
import { toTaggingOptions } from './tag-options.js';
import { toChannel } from './tag-reply.js';

/** POST /v1/tags */
export const tagRoute = (deps: AudioRouteDeps & { ontology: Ontology }): RequestHandler =>
  audioRoute(tagEndpoint(deps.ontology), deps);

function tagEndpoint(ontology: Ontology): AudioEndpoint<'createTags', TaggedClip> {
  return {
    operation: 'createTags',
    route: '/v1/tags',
    check(parameters, { card }) {
      toTaggingOptions(parameters, card, ontology);
    },
    analyze: (clip, parameters, deps) =>
      tagClip(clip, toTaggingOptions(parameters, deps.model.card, ontology), deps),
    single: ({ id, model }, clip, parameters) => ({
      id,
      object: 'audio.tags',
      model,
      ...toReply(clip, parameters),
    }),
    list: ({ id, model }, answers, parameters) => ({
      id,
      object: 'list',
      model,
      data: answers.map((each) => {
        if ('problem' in each) return each;
        const { index, status, answer } = each;
        return { index, status, object: 'audio.tags', ...toReply(answer, parameters) };
      }),
      usage: toUsage(answered(answers)),
    }),
  };
}

function toReply(clip: TaggedClip, parameters: ParametersOf<'createTags'>) {
  const { channel, start_seconds: startSeconds } = parameters;
  const channels = clip.tagged.map((tagged) => ({
    channel: tagged.channel,
    ...toChannel(tagged, startSeconds),
  }));
  const [{ channel: _, ...only } = { channel: 0, tags: [] }] = channels;
  const answer = channel === 'each' ? { channels } : only;
  return { audio: toAudio(clip), ...answer, usage: toUsage([clip]) };
}
