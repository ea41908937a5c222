import { setImmediate as nextTurn } from 'node:timers/promises';
import { parentPort } from 'node:worker_threads';
import { workInBackground } from '../background-priority.js';
import { ServiceError } from '../errors.js';
import type { FfmpegStream } from './codecs/ffmpeg.js';
import { decodeClip } from './decode-clip.js';
import {
  type DecodeCommand,
  type DecodeReport,
  type DecodeTask,
  type FfmpegPiece,
  WINDOWS_AHEAD,
} from './decode-messages.js';
import type { ClipContent } from './sniff.js';
import type { DecodedWindow } from './window-builder.js';
import { WorkClock } from './work-clock.js';

/** How long a clip works before others in the thread have their turn: most short clips are done by then. */
const TURN_MS = 100;

/** The clip was dropped by whoever wanted it. */
class StoppedError extends Error {}

/** One clip in this thread. It waits without holding the thread: others go on meanwhile. */
class ThreadClip {
  readonly #clip: number;
  readonly #task: DecodeTask;
  readonly #clock: WorkClock;
  #numGiven = 0;
  #numAhead = 0;
  #isStopped = false;
  /** Wakes the clip when it waits for a window to be taken. */
  #wake: (() => void) | undefined;
  #pull: { resolve: (piece: FfmpegPiece) => void; reject: (error: Error) => void } | undefined;

  constructor(clip: number, task: DecodeTask) {
    this.#clip = clip;
    this.#task = task;
    this.#clock = new WorkClock(task.clock);
  }

  async run(): Promise<void> {
    const { path, plan, hasFfmpeg } = this.#task;
    try {
      await this.#rest(nextTurn());
      const decoded = await decodeClip(path, plan, {
        onWindow: (window) => this.#give(window),
        giveWay: () => this.#giveWay(),
        openFfmpeg: hasFfmpeg ? (content) => this.#openFfmpeg(content) : undefined,
      });
      report({ type: 'done', clip: this.#clip, decoded });
    } catch (error) {
      report(toReport(this.#clip, error));
    } finally {
      this.#clock.stop();
    }
  }

  /** A window was taken. */
  more(): void {
    this.#numAhead -= 1;
    this.#wake?.();
  }

  stop(): void {
    this.#isStopped = true;
    this.#wake?.();
    this.#pull?.reject(new StoppedError());
  }

  takePiece(piece: FfmpegPiece): void {
    this.#pull?.resolve(piece);
  }

  failPiece(error: Error): void {
    this.#pull?.reject(error);
  }

  #give(window: DecodedWindow): Promise<void> | undefined {
    this.#numGiven += 1;
    if (this.#numGiven <= this.#task.numSkipped) return undefined;
    this.#numAhead += 1;
    report({ type: 'window', clip: this.#clip, window }, [window.samples.buffer as ArrayBuffer]);
    return this.#numAhead >= WINDOWS_AHEAD ? this.#rest(this.#untilTaken()) : undefined;
  }

  async #untilTaken(): Promise<void> {
    while (this.#numAhead >= WINDOWS_AHEAD && !this.#isStopped) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }

  #giveWay(): Promise<void> | undefined {
    return this.#clock.turnMs < TURN_MS ? undefined : this.#rest(nextTurn());
  }

  /** Waits without counting it as work. */
  async #rest<T>(promise: Promise<T>): Promise<T> {
    this.#clock.stop();
    const result = await promise;
    if (this.#isStopped) throw new StoppedError();
    this.#clock.start();
    return result;
  }

  #openFfmpeg(content: ClipContent): FfmpegStream {
    const clip = this.#clip;
    let codec: string | undefined;
    report({ type: 'open-ffmpeg', clip, content });
    const pull = async (): Promise<Uint8Array | undefined> => {
      const answer = new Promise<FfmpegPiece>((resolve, reject) => {
        this.#pull = { resolve, reject };
      });
      report({ type: 'pull', clip });
      const piece = await this.#rest(answer);
      codec = piece.codec ?? codec;
      return piece.bytes;
    };
    async function* pieces() {
      try {
        for (let bytes = await pull(); bytes; bytes = await pull()) yield bytes;
      } finally {
        report({ type: 'close-ffmpeg', clip });
      }
    }
    return { pieces: pieces(), codec: () => codec };
  }
}

const clips = new Map<number, ThreadClip>();

function report(message: DecodeReport, transfer: ArrayBuffer[] = []): void {
  parentPort!.postMessage(message, transfer);
}

function toReport(clip: number, error: unknown): DecodeReport {
  if (!(error instanceof ServiceError)) return { type: 'failure', clip, message: String(error) };
  const { code, message, extensions } = error;
  return { type: 'problem', clip, problem: { code, detail: message, extensions } };
}

function obey(command: DecodeCommand): void {
  if (command.type === 'decode') {
    const { clip, type, ...task } = command;
    const started = new ThreadClip(clip, task);
    clips.set(clip, started);
    void started.run().finally(() => clips.delete(clip));
    return;
  }
  const clip = clips.get(command.clip);
  if (command.type === 'more') clip?.more();
  else if (command.type === 'stop') clip?.stop();
  else if (command.type === 'piece') clip?.takePiece(command.piece);
  else clip?.failPiece(toError(command));
}

function toError({ problem }: Extract<DecodeCommand, { type: 'ffmpeg-failed' }>): ServiceError {
  return new ServiceError(problem.code, problem.detail, { ...problem.extensions });
}

// The decoders write each fault of a clip to the console, up to tens of kilobytes for one clip.
console.error = () => {};
console.warn = () => {};
// On Linux a thread has a priority of its own; elsewhere this would be that of the whole process.
if (process.platform === 'linux') workInBackground();
parentPort!.on('message', obey);
report({ type: 'ready' });
