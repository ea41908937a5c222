import type { ProblemCode } from '../errors.js';
import type { DecodedClip } from './decode-clip.js';
import type { ClipContent } from './sniff.js';
import type { DecodedWindow, HearingPlan } from './window-builder.js';

/** What a decode thread is told. `clip` numbers the clips that it has in hand. */
export type DecodeCommand =
  | ({ readonly type: 'decode'; readonly clip: number } & DecodeTask)
  /** A window was taken: the thread may give one more. */
  | { readonly type: 'more'; readonly clip: number }
  | { readonly type: 'stop'; readonly clip: number }
  /** What ffmpeg wrote; without bytes at its end. */
  | { readonly type: 'piece'; readonly clip: number; readonly piece: FfmpegPiece }
  | { readonly type: 'ffmpeg-failed'; readonly clip: number; readonly problem: DecodeProblem };

export interface DecodeTask {
  readonly path: string;
  readonly plan: HearingPlan;
  /** Windows that were handed on before the thread that gave them was lost. */
  readonly numSkipped: number;
  readonly hasFfmpeg: boolean;
  /** Of the `WorkClock`. */
  readonly clock: SharedArrayBuffer;
}

/** What ffmpeg wrote next, and how it names the codec. */
export interface FfmpegPiece {
  readonly bytes?: Uint8Array<ArrayBuffer> | undefined;
  readonly codec?: string | undefined;
}

/** What a decode thread says. */
export type DecodeReport =
  | { readonly type: 'ready' }
  | { readonly type: 'window'; readonly clip: number; readonly window: DecodedWindow }
  | { readonly type: 'open-ffmpeg'; readonly clip: number; readonly content: ClipContent }
  /** The next piece from ffmpeg is wanted. */
  | { readonly type: 'pull'; readonly clip: number }
  | { readonly type: 'close-ffmpeg'; readonly clip: number }
  | { readonly type: 'done'; readonly clip: number; readonly decoded: DecodedClip }
  | { readonly type: 'problem'; readonly clip: number; readonly problem: DecodeProblem }
  | { readonly type: 'failure'; readonly clip: number; readonly message: string };

/** An error loses its class on the way between threads, so its parts travel. */
export interface DecodeProblem {
  readonly code: ProblemCode;
  readonly detail: string;
  readonly extensions: Readonly<Record<string, unknown>>;
}

/** Windows that a thread may have given and nobody has taken yet. */
export const WINDOWS_AHEAD = 2;
