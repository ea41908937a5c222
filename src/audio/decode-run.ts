import { ServiceError } from '../errors.js';
import type { DecodedClip } from './decode-clip.js';
import type { DecodeCommand, DecodeProblem, DecodeReport } from './decode-messages.js';
import type { Ffmpeg } from './ffmpeg/ffmpeg.js';
import { FfmpegChild } from './ffmpeg/ffmpeg-child.js';
import type { DecodedWindow, HearingPlan } from './window-builder.js';
import { WorkClock } from './work-clock.js';

export interface DecodeRunOptions {
  readonly path: string;
  readonly plan: HearingPlan;
  /** Windows that an earlier run has handed on. */
  readonly numSkipped: number;
  readonly timeoutMs: number;
  readonly ffmpeg: Ffmpeg | undefined;
  readonly onWindow: (window: DecodedWindow) => void | Promise<void>;
}

/** The thread, or the ffmpeg, that had the clip in hand ended before the clip did. */
export class DecoderLostError extends Error {
  /** Whether it was at work on this clip, which may then be the reason. */
  readonly wasAtWork: boolean;

  constructor(wasAtWork: boolean) {
    super('The decoder ended');
    this.wasAtWork = wasAtWork;
  }
}

/** A thread that does not stop within this time is taken for hanging. */
const STOP_GRACE_MS = 1_000;
const LEAST_CHECK_MS = 20;

let numRuns = 0;

/** One clip in the hands of one thread, seen from outside of that thread. */
export class DecodeRun {
  readonly id = numRuns++;
  /** Settles when the clip is done and its last window was taken, or with what went wrong. */
  readonly done: Promise<DecodedClip>;
  readonly #options: DecodeRunOptions;
  readonly #clock = new WorkClock();
  #send: (command: DecodeCommand) => void = () => {};
  #killThread: () => void = () => {};
  /** The windows in the order in which they are handed on. */
  #handing: Promise<void> = Promise.resolve();
  #numHanding = 0;
  #child: FfmpegChild | undefined;
  #timer: NodeJS.Timeout | undefined;
  #isSettled = false;
  /** A thread has it in hand. */
  #isHeld = false;
  #resolve!: (clip: DecodedClip) => void;
  #reject!: (reason: unknown) => void;

  constructor(options: DecodeRunOptions) {
    this.#options = options;
    this.done = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
  }

  /** Whether it takes its thread's time, and does not wait for whoever takes its windows. */
  get isAtWork(): boolean {
    return this.#numHanding === 0;
  }

  /** Begins, in a thread that `send` talks to. */
  start(send: (command: DecodeCommand) => void, killThread: () => void): void {
    this.#isHeld = true;
    this.#send = send;
    this.#killThread = killThread;
    const { path, plan, numSkipped, ffmpeg } = this.#options;
    const clock = this.#clock.memory;
    const hasFfmpeg = ffmpeg !== undefined;
    send({ type: 'decode', clip: this.id, path, plan, numSkipped, hasFfmpeg, clock });
    this.#checkTime();
  }

  /** What the thread says about this clip. Returns whether it has let go of it. */
  receive(report: Exclude<DecodeReport, { type: 'ready' }>): boolean {
    if (report.type === 'window') this.#handOn(report.window);
    else if (report.type === 'open-ffmpeg') this.#openFfmpeg(report.content);
    else if (report.type === 'pull') void this.#pull();
    else if (report.type === 'close-ffmpeg') this.#child?.kill();
    else this.#end(report);
    return report.type === 'done' || report.type === 'problem' || report.type === 'failure';
  }

  /** Drops the clip; `done` is rejected with the reason. */
  stop(reason: unknown): void {
    if (!this.#settle(() => this.#reject(reason)) || !this.#isHeld) return;
    this.#send({ type: 'stop', clip: this.id });
    this.#timer = setTimeout(this.#killThread, STOP_GRACE_MS);
  }

  /** The thread has let go of it. */
  release(): void {
    this.#isHeld = false;
    clearTimeout(this.#timer);
  }

  /** The thread is gone. */
  lose(): void {
    this.release();
    const error = new DecoderLostError(this.#clock.isRunning);
    this.#settleLast(() => this.#reject(error));
  }

  #handOn(window: DecodedWindow): void {
    this.#numHanding += 1;
    this.#handing = this.#handing.then(async () => {
      if (this.#isSettled) return;
      try {
        await this.#options.onWindow(window);
        this.#numHanding -= 1;
        this.#send({ type: 'more', clip: this.id });
      } catch (error) {
        this.stop(error);
      }
    });
  }

  #end(report: Extract<DecodeReport, { type: 'done' | 'problem' | 'failure' }>): void {
    if (report.type === 'done') this.#settleLast(() => this.#resolve(report.decoded));
    else this.#settleLast(() => this.#reject(toError(report)));
  }

  /** Windows on their way come first, also before a failure: they were decoded. */
  #settleLast(decide: () => void): void {
    void this.#handing.then(() => this.#settle(decide));
  }

  /** Ends the clip when its time is over. Only work counts: a clip may wait as long as it must. */
  #checkTime(): void {
    const { timeoutMs } = this.#options;
    const leftMs = timeoutMs - this.#clock.workedMs - (this.#child?.workedMs ?? 0);
    if (leftMs <= 0) this.stop(overBudget(timeoutMs));
    else this.#timer = setTimeout(() => this.#checkTime(), Math.max(LEAST_CHECK_MS, leftMs));
  }

  #openFfmpeg(content: ConstructorParameters<typeof FfmpegChild>[1]['content']): void {
    const { ffmpeg, path, plan, timeoutMs } = this.#options;
    if (!ffmpeg || this.#isSettled) return;
    // One second more than is allowed, so that what is too long is seen to be.
    const maxSeconds = Math.min(plan.maxClipSeconds, plan.endSeconds ?? Infinity) + 1;
    const maxCpuSeconds = Math.ceil(timeoutMs / 1000) + 1;
    this.#child = new FfmpegChild(ffmpeg, { path, content, maxSeconds, maxCpuSeconds });
  }

  /** Somebody has killed ffmpeg, or it broke down. */
  #loseChild(): void {
    this.#send({ type: 'stop', clip: this.id });
    this.#settleLast(() => this.#reject(new DecoderLostError(true)));
  }

  async #pull(): Promise<void> {
    const child = this.#child;
    const clip = this.id;
    if (!child || this.#isSettled) return;
    try {
      const bytes = await child.read();
      const piece = { bytes, codec: child.codec };
      this.#send({ type: 'piece', clip, piece });
    } catch (error) {
      if (child.wasKilled) return this.#loseChild();
      const { code, message: detail, extensions } = error as ServiceError;
      this.#send({ type: 'ffmpeg-failed', clip, problem: { code, detail, extensions } });
    }
  }

  /** Whether this settled it: the first to come decides. */
  #settle(decide: () => void): boolean {
    if (this.#isSettled) return false;
    this.#isSettled = true;
    clearTimeout(this.#timer);
    this.#child?.kill();
    decide();
    return true;
  }
}

function toError(report: { problem: DecodeProblem } | { message: string }): Error {
  if ('message' in report) return new Error(`The decode thread failed: ${report.message}`);
  const { code, detail, extensions } = report.problem;
  return new ServiceError(code, detail, { ...extensions });
}

const overBudget = (timeoutMs: number): ServiceError =>
  new ServiceError('decode_budget_exceeded', `Expected to decode within ${timeoutMs} ms`);
