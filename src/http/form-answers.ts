import type { ClipFile } from '../analyze/hear.js';
import { ServiceError } from '../errors.js';
import type { Log } from '../log.js';
import { abortable } from './abortable.js';
import type { AnswerForm, AudioOperation, FormQuestion, HeardClip } from './audio-endpoint.js';
import { ClientGoneError, toProblem, toServiceError } from './problem.js';
import type { ReplyStream } from './reply-stream.js';
import type { RequestContext } from './request-context.js';

export interface FormAnswering<Op extends AudioOperation> {
  readonly form: AnswerForm<Op>;
  readonly question: Omit<FormQuestion<Op>, 'index'>;
  readonly context: RequestContext;
  readonly stream: ReplyStream;
  readonly log: Log;
  readonly onHeard: (clip: HeardClip) => void;
}

/**
 * Answers clips in a form other than JSON, one after the other, while they are heard.
 *
 * Until the first piece is sent a failure is thrown, and answered as any other. After it the status
 * is out: lines then end with a line that holds the problem, and any other form is broken off.
 *
 * @returns the last piece of the body
 * @throws ServiceError `invalid_value` for several clips in a form that holds one
 */
export async function answerInForm<Op extends AudioOperation>(
  clips: readonly ClipFile[],
  answering: FormAnswering<Op>,
): Promise<string> {
  const { form, context, stream } = answering;
  if (clips.length > 1 && !form.isLines) throw severalFiles(form, clips.length);
  try {
    const work = clips.length > 1 ? answerInTurn(clips, answering) : answerAlone(clips, answering);
    await abortable(work, context.signal);
    return '';
  } catch (error) {
    if (!stream.hasBegun || !form.isLines || error instanceof ClientGoneError) throw error;
    const line = errorLine(error, answering);
    context.outcome = toServiceError(error).code;
    return line;
  }
}

async function answerAlone<Op extends AudioOperation>(
  clips: readonly ClipFile[],
  answering: FormAnswering<Op>,
): Promise<void> {
  for (const clip of clips) await answerOne(clip, undefined, answering);
}

/** A bad clip never fails its mates: it leaves a line with its problem. */
async function answerInTurn<Op extends AudioOperation>(
  clips: readonly ClipFile[],
  answering: FormAnswering<Op>,
): Promise<void> {
  const { context, stream } = answering;
  for (const [index, clip] of clips.entries()) {
    try {
      await answerOne(clip, index, answering);
    } catch (error) {
      context.signal.throwIfAborted();
      await stream.write(errorLine(error, answering, { index }), context.signal);
    }
  }
}

async function answerOne<Op extends AudioOperation>(
  clip: ClipFile,
  index: number | undefined,
  { form, question, context, stream, onHeard }: FormAnswering<Op>,
): Promise<void> {
  const write = (piece: string | Uint8Array) => stream.write(piece, context.signal);
  onHeard(await form.answer(clip, { ...question, index }, write));
}

function errorLine<Op extends AudioOperation>(
  error: unknown,
  { context, log }: FormAnswering<Op>,
  place: { index?: number } = {},
): string {
  const known = toServiceError(error);
  if (known !== error) log.error({ request_id: context.id, ...place, err: error }, 'clip failed');
  return `${JSON.stringify({ object: 'error', ...place, ...toProblem(known, context.id) })}\n`;
}

function severalFiles(
  { name, parameter }: Pick<AnswerForm<AudioOperation>, 'name' | 'parameter'>,
  numClips: number,
): ServiceError {
  const detail = `Expected one file for ${name}, got ${numClips}`;
  return new ServiceError('invalid_value', `${parameter}: ${detail}`, {
    errors: [{ parameter, detail }],
  });
}
