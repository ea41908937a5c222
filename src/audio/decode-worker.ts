import type { MessagePort } from 'node:worker_threads';
import { move, transferableSymbol, valueSymbol } from 'piscina';
import { type ProblemCode, ServiceError } from '../errors.js';
import { type DecodedClip, decodeClip } from './decode-clip.js';

/** What the pool asks a decode thread for. */
export interface DecodeTask {
  readonly path: string;
  readonly targetSampleRate: number;
  readonly maxClipSeconds: number;
  /** Gets one message when the work begins: waiting for a thread does not count against the clip. */
  readonly started: MessagePort;
}

/** What comes back. An error loses its class on the way between threads, so its parts travel. */
export type DecodeReply =
  | { readonly clip: DecodedClip }
  | { readonly problem: DecodeProblem }
  | { readonly failure: string };

export interface DecodeProblem {
  readonly code: ProblemCode;
  readonly detail: string;
  readonly extensions: Readonly<Record<string, unknown>>;
}

/** Entry of a decode thread; runs one task at a time. */
export default async function decodeInThread(task: DecodeTask): Promise<unknown> {
  silenceDecoders();
  task.started.postMessage('started');
  task.started.close();
  try {
    return moveReply(await decodeClip(task.path, task));
  } catch (error) {
    return replyTo(error);
  }
}

/** The decoders write each fault of a clip to the console, up to tens of kilobytes for one clip. */
function silenceDecoders(): void {
  console.error = () => {};
  console.warn = () => {};
}

/** Hands the samples over instead of copying them. */
function moveReply(clip: DecodedClip): unknown {
  const reply: DecodeReply = { clip };
  return move({
    [transferableSymbol]: [clip.waveform.samples.buffer],
    [valueSymbol]: reply,
  } as unknown as Parameters<typeof move>[0]);
}

function replyTo(error: unknown): DecodeReply {
  if (!(error instanceof ServiceError)) return { failure: String(error) };
  const { code, message, extensions } = error;
  return { problem: { code, detail: message, extensions } };
}
