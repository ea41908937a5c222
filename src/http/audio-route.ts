import type { Request, RequestHandler, Response } from 'express';
import type { AnalysisDeps, ClipFile, Decoder } from '../analyze/hear.js';
import type { Clock } from '../inference/clock.js';
import type { Model, ModelRegistry } from '../inference/model-registry.js';
import type { Log } from '../log.js';
import { abortable } from './abortable.js';
import type { Admission } from './admission.js';
import type { AudioEndpoint, AudioOperation, HeardClip, ReplyOf } from './audio-endpoint.js';
import { answerEach } from './clip-answers.js';
import { answerInForm } from './form-answers.js';
import type { ParametersOf, ParseParameters } from './parameters.js';
import { setContextHeaders } from './reply.js';
import { ReplyStream } from './reply-stream.js';
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
  readonly clock: Clock;
  readonly log: Log;
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
    admission.assertOpen(request, registry.get(model), contextOf(request).client?.id);
    const upload = new Upload(spool, limits.maxUploadBytes);
    const exchange = { request, response, upload };
    const end = await respond(exchange, endpoint, deps).finally(() => upload.remove());
    end();
  };
}

interface Exchange {
  readonly request: Request;
  readonly response: Response;
  readonly upload: Upload;
}

/** @returns sends the reply, or what is left of it; the files may go before */
async function respond<Op extends AudioOperation, T extends HeardClip>(
  { request, response, upload }: Exchange,
  endpoint: AudioEndpoint<Op, T>,
  deps: AudioRouteDeps,
): Promise<() => void> {
  const context = contextOf(request);
  const { limits, admission } = deps;
  const receiving = { ...deps, takesJson: endpoint.takesJson ?? false };
  const exchange = { request, response, upload };
  const client = context.client?.id;
  await admission.uploading({ route: endpoint.route, client }, () => receive(exchange, receiving));
  const parameters = deps.parseParameters(endpoint.operation, request.query, upload.fields);
  const model = deps.registry.get(parameters.model);
  endpoint.check?.(parameters, model);
  context.model = model.card.name;
  context.provider = model.provider.active;
  context.numClips = upload.clips.length;
  admission.assertWorkPlace(model, client);
  context.startDeadline(Math.min(parameters.timeout_ms ?? Infinity, limits.requestTimeoutMs));
  const question = { endpoint, parameters, model, context };
  const form = endpoint.form?.(parameters, request);
  if (form === undefined) {
    const body = await abortable(answerClips(upload.clips, question, deps), context.signal);
    return () => {
      setContextHeaders(request, response);
      response.json(body);
    };
  }
  const stream = new ReplyStream(request, response, form);
  const last = await answerInForm(upload.clips, {
    form,
    question: { names: namesOf(question), parameters, deps: analysisDeps(question, deps) },
    context,
    stream,
    log: deps.log,
    onHeard: (clip) => count(clip, context),
  });
  return () => stream.end(last);
}

async function receive(
  { request, response, upload }: Exchange,
  { limits, clock, takesJson }: AudioRouteDeps & { takesJson: boolean },
): Promise<void> {
  const context = contextOf(request);
  const startMs = performance.now();
  await upload.receive(request, response, {
    limits,
    clock,
    takesJson,
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
  question: Question<Op, T>,
  deps: AudioRouteDeps,
): Promise<ReplyOf<Op>> {
  const { endpoint, parameters, model, context } = question;
  const { id, signal } = context;
  const analysis = analysisDeps(question, deps);
  const analyze = async (clip: ClipFile): Promise<T> => {
    const heard = await endpoint.analyze(clip, parameters, analysis);
    count(heard, context);
    return heard;
  };
  const [first, ...others] = clips;
  if (first !== undefined && others.length === 0) {
    return endpoint.single(namesOf(question), await analyze(first), parameters);
  }
  const options = { atOnce: clipsAtOnce(model), signal, requestId: id, log: deps.log };
  const answers = await answerEach(clips, analyze, options);
  return endpoint.list(namesOf(question), answers, parameters);
}

function analysisDeps<Op extends AudioOperation, T extends HeardClip>(
  { model, context }: Question<Op, T>,
  { decoder, admission }: AudioRouteDeps,
): AnalysisDeps {
  const client = context.client?.id;
  const counted = admission.counting(decoder, model, client);
  return { decoder: counted, model, client, observer: context, signal: context.signal };
}

function namesOf<Op extends AudioOperation, T extends HeardClip>({
  model,
  context,
}: Question<Op, T>) {
  return { id: context.id, model: model.card.name };
}

function count({ audioSeconds, windows }: HeardClip, context: RequestContext): void {
  context.audioSeconds += audioSeconds;
  context.windows += windows;
}

/** So many that the engines stay busy, so few that the clips of one request cannot fill the queue. */
function clipsAtOnce({ engines, maxBatchWindows, queueMaxWindows }: Model): number {
  const shareWindows = engines * maxBatchWindows;
  return Math.max(1, Math.min(2 * shareWindows, Math.floor(queueMaxWindows / shareWindows)));
}
