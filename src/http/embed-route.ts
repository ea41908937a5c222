import type { RequestHandler } from 'express';
import { type EmbeddedClip, type Embedding, embedClip } from '../analyze/embed-clip.js';
import { ServiceError } from '../errors.js';
import { npyHeader } from '../outputs/npy.js';
import { DTYPES } from '../outputs/vector-encoding.js';
import type { AnswerForm, AudioEndpoint, ReplyNames, ReplyOf } from './audio-endpoint.js';
import { answered, toThreeDecimals, toUsage } from './audio-reply.js';
import { type AudioRouteDeps, audioRoute } from './audio-route.js';
import type { ClipAnswer } from './clip-answers.js';
import { MAX_EMBEDDING_VALUES, toEmbeddingOptions } from './embed-options.js';
import type { components } from './openapi-types.js';
import type { ParametersOf } from './parameters.js';

type Parameters = ParametersOf<'createEmbeddings'>;

/** One array of all vectors of a clip, as NumPy loads it: (vectors, width). */
const npyForm: AnswerForm<'createEmbeddings'> = {
  name: 'npy',
  parameter: 'encoding_format',
  mediaType: 'application/octet-stream',
  isLines: false,
  async answer(clip, { parameters, deps }, write) {
    const heard = await embedClip(clip, toEmbeddingOptions(parameters, deps.model.card), deps);
    const { bytes, npyDescr, width } = DTYPES[parameters.dtype];
    const { embeddings } = heard;
    const columns = width(deps.model.card.embeddingDim);
    await write(npyHeader(npyDescr, [embeddings.length, columns]));
    for (const { vector } of embeddings) await write(bytes(vector));
    return heard;
  },
};

const embedEndpoint: AudioEndpoint<'createEmbeddings', EmbeddedClip> = {
  operation: 'createEmbeddings',
  route: '/v1/embeddings',
  takesJson: true,
  check: (parameters, { card }) => void toEmbeddingOptions(parameters, card),
  form: ({ encoding_format: format }) => (format === 'npy' ? npyForm : undefined),
  analyze: (clip, parameters, deps) =>
    embedClip(clip, toEmbeddingOptions(parameters, deps.model.card), deps),
  // OpenAI's form is a list even for one.
  single: (names, answer, parameters) =>
    toList(names, [{ index: 0, status: 200, answer }], parameters),
  list: toList,
};

/** POST /v1/embeddings */
export const embedRoute = (deps: AudioRouteDeps): RequestHandler => audioRoute(embedEndpoint, deps);

function toList(
  { id, model }: ReplyNames,
  answers: readonly ClipAnswer<EmbeddedClip>[],
  parameters: Parameters,
): ReplyOf<'createEmbeddings'> {
  assertFits(answered(answers));
  const data = answers.flatMap((each): ReplyOf<'createEmbeddings'>['data'] => {
    if ('problem' in each) return [each];
    return each.answer.embeddings.map((embedding) => toEntry(each.index, embedding, parameters));
  });
  return { id, object: 'list', data, model, usage: toUsage(answered(answers)) };
}

/** Each clip is held to the limit while it is heard; here all of them together. */
function assertFits(clips: readonly EmbeddedClip[]): void {
  const vectors = clips.flatMap(({ embeddings }) => embeddings);
  const numValues = vectors.reduce((sum, { vector }) => sum + vector.length, 0);
  if (numValues <= MAX_EMBEDDING_VALUES) return;
  throw new ServiceError(
    'invalid_value',
    `granularity: Expected vectors of at most ${MAX_EMBEDDING_VALUES} numbers in a reply, got ${numValues}: send fewer files at once`,
    { limits: { max_embedding_values: MAX_EMBEDDING_VALUES } },
  );
}

function toEntry(
  index: number,
  { channel, startSeconds, endSeconds, vector }: Embedding,
  { channel: choice, encoding_format: format, dtype }: Parameters,
): components['schemas']['EmbeddingEntry'] {
  const { numbers, bytes } = DTYPES[dtype];
  return {
    index,
    status: 200,
    object: 'embedding',
    ...(choice === 'each' && { channel }),
    start_seconds: toThreeDecimals(startSeconds),
    end_seconds: toThreeDecimals(endSeconds),
    embedding:
      format === 'base64' ? Buffer.from(bytes(vector)).toString('base64') : numbers(vector),
  };
}
