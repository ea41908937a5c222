import type { RequestHandler } from 'express';
import { type EmbeddedClip, embedClip } from '../analyze/embed-clip.js';
import type { AudioEndpoint, ReplyOf } from './audio-endpoint.js';
import { answered, toThreeDecimals, toUsage } from './audio-reply.js';
import { type AudioRouteDeps, audioRoute } from './audio-route.js';
import type { ClipAnswer } from './clip-answers.js';
import { toHearing } from './hearing.js';

/** Digits that give every float32 back. */
const FLOAT32_DIGITS = 9;

const embedEndpoint: AudioEndpoint<'createEmbeddings', EmbeddedClip> = {
  operation: 'createEmbeddings',
  route: '/v1/embeddings',
  analyze(clip, parameters, deps) {
    const { normalize } = parameters;
    return embedClip(clip, { normalize, hearing: toHearing(parameters) }, deps);
  },
  // OpenAI's form is a list even for one.
  single: (names, answer) => toList(names, [{ index: 0, status: 200, answer }]),
  list: (names, answers) => toList(names, answers),
};

/** POST /v1/embeddings */
export const embedRoute = (deps: AudioRouteDeps): RequestHandler => audioRoute(embedEndpoint, deps);

function toList(
  { id, model }: { id: string; model: string },
  answers: readonly ClipAnswer<EmbeddedClip>[],
): ReplyOf<'createEmbeddings'> {
  return {
    id,
    object: 'list',
    data: answers.map((each) => ('problem' in each ? each : toEntry(each.index, each.answer))),
    model,
    usage: toUsage(answered(answers)),
  };
}

function toEntry(index: number, clip: EmbeddedClip) {
  return {
    index,
    status: 200 as const,
    object: 'embedding' as const,
    start_seconds: 0 as const,
    end_seconds: toThreeDecimals(clip.audioSeconds),
    embedding: Array.from(clip.embedding, (value) => Number(value.toPrecision(FLOAT32_DIGITS))),
  };
}
