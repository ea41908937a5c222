import type { RequestHandler } from 'express';
import {
  type TokenizedChannel,
  type TokenizedClip,
  tokenizeClip,
} from '../analyze/tokenize-clip.js';
import type { Model, ModelRegistry } from '../inference/model-registry.js';
import type { AudioEndpoint } from './audio-endpoint.js';
import { answered, toAudio, toUsage } from './audio-reply.js';
import { type AudioRouteDeps, audioRoute } from './audio-route.js';
import { toHearing } from './hearing.js';
import { invalidValue } from './invalid-value.js';
import type { ParametersOf } from './parameters.js';

type Parameters = ParametersOf<'createTokens'>;

/** POST /v1/tokens */
export const tokenRoute = (deps: AudioRouteDeps): RequestHandler =>
  audioRoute(tokenEndpoint(deps.registry), deps);

function tokenEndpoint(registry: ModelRegistry): AudioEndpoint<'createTokens', TokenizedClip> {
  return {
    operation: 'createTokens',
    route: '/v1/tokens',
    check(parameters, model) {
      toHearing(parameters);
      assertTokenizer(model, registry);
    },
    analyze: (clip, parameters, deps) => tokenizeClip(clip, toHearing(parameters), deps),
    single: ({ id, model }, clip, parameters) => ({
      id,
      object: 'audio.tokens',
      model,
      ...toGrid(registry.get(model)),
      ...toReply(clip, parameters),
    }),
    list: ({ id, model }, answers, parameters) => ({
      id,
      object: 'list',
      model,
      ...toGrid(registry.get(model)),
      data: answers.map((each) => {
        if ('problem' in each) return each;
        const { index, status, answer } = each;
        return { index, status, object: 'audio.tokens', ...toReply(answer, parameters) };
      }),
      usage: toUsage(answered(answers)),
    }),
  };
}

function assertTokenizer({ card }: Model, registry: ModelRegistry): void {
  if (card.tokens !== null) return;
  const others = registry.list().filter((model) => model.card.tokens !== null);
  const names = others.map((model) => model.card.name).join(', ');
  const have = names === '' ? 'and no other model here has one' : `there are ${names}`;
  throw invalidValue('model', `Expected a model with a tokenizer, ${card.name} has none; ${have}`);
}

function toGrid({ card: { tokens, rowsPerSecond } }: Model) {
  if (tokens === null) throw new Error('Expected a model with a tokenizer');
  const { codebookSize, bands } = tokens;
  return {
    codebook_size: codebookSize,
    bands: bands as 8,
    rows_per_second: rowsPerSecond as 6.25,
  };
}

function toReply(clip: TokenizedClip, { channel, encoding }: Parameters) {
  const channels = clip.tokenized.map((each) => ({
    channel: each.channel,
    ...toTokens(each, encoding),
  }));
  const [{ channel: _, ...only } = { channel: 0, shape: [], tokens: [] }] = channels;
  const answer = channel === 'each' ? { channels } : only;
  const { startSeconds } = clip;
  return {
    audio: toAudio(clip),
    start_seconds: startSeconds,
    ...answer,
    usage: toUsage([clip]),
  };
}

function toTokens({ rows, tokens }: TokenizedChannel, encoding: Parameters['encoding']) {
  const bands = tokens.length / rows;
  const shape: [number, number] = [rows, bands];
  if (encoding === 'base64') return { shape, tokens: toBase64(tokens) };
  const lists = Array.from({ length: rows }, (_, row) =>
    Array.from(tokens.subarray(row * bands, (row + 1) * bands)),
  );
  return { shape, tokens: lists };
}

/** int16, little-endian whatever the machine. */
function toBase64(tokens: Int16Array): string {
  const bytes = Buffer.alloc(2 * tokens.length);
  for (const [i, token] of tokens.entries()) bytes.writeInt16LE(token, 2 * i);
  return bytes.toString('base64');
}
