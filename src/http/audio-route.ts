import type { Request, RequestHandler, Response } from 'express';
import type { AnalysisDeps, ClipFile, Decoder } from '../analyze.js';
import type { Model, ModelRegistry } from '../inference/model-registry.js';
import type { Log } from '../log.js';
import { abortable } from './abortable.js';
import type { Admission } from './admission.js';
import { answerEach, type ClipAnswer } from './clip-answers.js';
import type { operations } from './openapi-types.js';
import type { ParametersOf, ParseParameters } from './parameters.js';
import { setContextHeaders } from './reply.js';
import { contextOf, type RequestContext } from './request-context.js';
import type { Spool } from './spool.js';
import { Upload, type UploadLimits } from './upload.js';

export interface AudioRouteDeps {
  readonly registry: ModelRegistry;
  readonly decoder: Pick<Decoder, 'decode'>;
  readonly spool: Spool;
  readonly admission: Admission;
  readonly parseParameters: ParseParameters;
  readonly limits: UploadLimits & { readonly requestTimeoutMs: number };
  readonly log: Log;
}

/** Operations that take audio. */
export type AudioOperation = 'createTags' | 'createEmbeddings';

/** What one operation does with a clip, and how it writes the answers. */
export interface AudioEndpoint<Op extends AudioOperation, T extends HeardClip> {
  readonly operation: Op;
  readonly route: string;
  /** @throws ServiceError `invalid_value`: what openapi.yaml cannot say, since it depends on the model */
  check?(parameters: ParametersOf<Op>, model: Model): void;
  analyze(clip: ClipFile, parameters: ParametersOf<Op>, deps: AnalysisDeps): Promise<T>;
  /** The body for one clip that was answered. */
  single(names: { id: string; model: string }, clip: T): ReplyOf<Op>;
  /** The body for several. */
  list(names: { id: string; model: string }, answers: readonly ClipAnswer<T>[]): ReplyOf<Op>;
}

export type ReplyOf<Op extends AudioOperation> =
  operations[Op]['responses'][200]['content']['application/json'];

interface HeardClip {
  readonly audioSeconds: number;
  readonly windows: number;
}

/** The way of every request with audio: gate, body, parameters, clips, reply; the files go in every case. */
export function audioRoute<Op extends AudioOperation, T extends HeardClip>(
  endpoint: AudioEndpoint<Op, T>,
  deps: AudioRouteDeps,
): RequestHandler {
  return async (request, response) => {
    const { registry, admission, spool, limits, parseParameters } = deps;
    // Refused before the body is read: what the query already says, and a service that is full.
    const { model } = parseParameters<AudioOperation>(endpoint.operation, request.query);
    admission.assertOpen(request, registry.get(model));
    const upload = new Upload(spool, limits.maxUploadBytes);
    const exchange = { request, response, upload };
    const body = await respond(exchange, endpoint, deps).finally(() => upload.remove());
    setContextHeaders(request, response);
    response.json(body);
  };
}

interface Exchange {
  readonly request: Request;
  readonly response: Response;
  readonly upload: Upload;
}

async function respond<Op extends AudioOperation, T extends HeardClip>(
  { request, response, upload }: Exchange,
  endpoint: AudioEndpoint<Op, T>,
  deps: AudioRouteDeps,
): Promise<ReplyOf<Op>> {
  const context = contextOf(request);
  const { limits, admission } = deps;
  await admission.uploading(endpoint.route, () => receive({ request, response, upload }, limits));
  const parameters = deps.parseParameters(endpoint.operation, request.query, upload.fields);
  const model = deps.registry.get(parameters.model);
  endpoint.check?.(parameters, model);
  context.model = model.card.name;
  context.provider = model.provider.active;
  context.numClips = upload.clips.length;
  admission.assertWorkPlace(model);
  context.startDeadline(Math.min(parameters.timeout_ms ?? Infinity, limits.requestTimeoutMs));
  const work = answerClips(upload.clips, { endpoint, parameters, model, context }, deps);
  return abortable(work, context.signal);
}

async function receive(
  { request, response, upload }: Exchange,
  limits: UploadLimits,
): Promise<void> {
  const context = contextOf(request);
  const startMs = performance.now();
  await upload.receive(request, response, {
    limits,
    signal: context.signal,
    onBytes: (bytes) => {
      context.bodyBytes += bytes;
    },
  });
  context.spent('receive', performance.now() - startMs);
}

interface Question<Op extends AudioOperation, T extends HeardClip> {
  readonly endpoint: AudioEndpoint<Op, T>;
  readonly parameters: ParametersOf<Op>;
  readonly model: Model;
  readonly context: RequestContext;
}

async function answerClips<Op extends AudioOperation, T extends HeardClip>(
  clips: readonly ClipFile[],
  { endpoint, parameters, model, context }: Question<Op, T>,
  { decoder, admission, log }: AudioRouteDeps,
): Promise<ReplyOf<Op>> {
  const { id, signal } = context;
  const counted = admission.counting(decoder, model);
  const analyze = async (clip: ClipFile): Promise<T> => {
    const heard = await endpoint.analyze(clip, parameters, {
      decoder: counted,
      model,
      observer: context,
      signal,
    });
    context.audioSeconds += heard.audioSeconds;
    context.windows += heard.windows;
    return heard;
  };
  const [first, ...others] = clips;
  if (first !== undefined && others.length === 0) {
    return endpoint.single({ id, model: model.card.name }, await analyze(first));
  }
  const atOnce = clipsAtOnce(model);
  const answers = await answerEach(clips, analyze, { atOnce, signal, requestId: id, log });
  return endpoint.list({ id, model: model.card.name }, answers);
}

/** So many that the engines stay busy, so few that the clips of one request cannot fill the queue. */
function clipsAtOnce({ engines, maxBatchWindows, queueMaxWindows }: Model): number {
  const shareWindows = engines * maxBatchWindows;
  return Math.max(1, Math.min(2 * shareWindows, Math.floor(queueMaxWindows / shareWindows)));
}
