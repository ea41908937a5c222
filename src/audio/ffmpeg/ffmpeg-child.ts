import { type ChildProcess, spawn } from 'node:child_process';
import { resolve } from 'node:path';
import type { Readable } from 'node:stream';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { ServiceError } from '../../errors.js';
import type { ClipContent } from '../sniff.js';
import { ffmpegArguments } from './arguments.js';
import type { Ffmpeg } from './ffmpeg.js';
import { FfmpegLog } from './ffmpeg-log.js';

/** Ten times what any clip was seen to take. */
const MAX_ADDRESS_SPACE_BYTES = 2 ** 30;

export interface FfmpegClip {
  readonly path: string;
  readonly content: ClipContent;
  /** As much of it is decoded. */
  readonly maxSeconds: number;
  /** Processor time that it may use. */
  readonly maxCpuSeconds: number;
}

/**
 * One clip in an ffmpeg of its own. It runs in this thread's process and not in a decode thread: those may be ended at
 * any time, and nobody would be left to reap it.
 */
export class FfmpegChild {
  /** When it is gone and all that it wrote was read. */
  readonly ended: Promise<void>;
  readonly #child: ChildProcess;
  readonly #log: FfmpegLog;
  readonly #pieces: AsyncIterator<Buffer>;
  readonly #content: ClipContent;
  #waitedMs = 0;
  #waitsSinceMs: number | undefined;
  #numBytes = 0;
  #how = '';

  constructor(ffmpeg: Ffmpeg, clip: FfmpegClip) {
    const path = resolve(clip.path);
    this.#content = clip.content;
    this.#log = new FfmpegLog(path);
    this.#child = start(ffmpeg, { ...clip, path });
    const { stdout, stderr } = this.#child as { stdout: Readable; stderr: Readable };
    this.#pieces = stdout[Symbol.asyncIterator]();
    stderr.setEncoding('latin1').on('data', (text: string) => this.#log.push(text));
    this.ended = new Promise((done) => {
      this.#child.once('error', (error) => {
        this.#how = error.message;
        done();
      });
      this.#child.once('close', (code, signal) => {
        this.#how ||= signal ?? `exit code ${code}`;
        done();
      });
    });
  }

  /** As it names it; undefined until it has said so. */
  get codec(): string | undefined {
    return this.#log.codec;
  }

  /** Whether it did not end by itself. */
  get wasKilled(): boolean {
    return this.#child.signalCode !== null;
  }

  /** How long its output was waited for: the time that it takes from its clip. */
  get workedMs(): number {
    const waitingMs = this.#waitsSinceMs === undefined ? 0 : performance.now() - this.#waitsSinceMs;
    return this.#waitedMs + waitingMs;
  }

  /**
   * What it writes next; undefined at its end. It waits while nobody asks.
   *
   * @throws ServiceError undecodable_audio when it ends without having written anything, or was killed
   */
  async read(): Promise<Uint8Array<ArrayBuffer> | undefined> {
    this.#waitsSinceMs = performance.now();
    try {
      // A stream that is torn down has ended like any other: how it ended is known then.
      const next = await this.#pieces.next().catch(() => undefined);
      if (!next || next.done) return await this.#end();
      // It names the codec before it writes sound: one turn of the loop, and that was read too.
      if (this.#numBytes === 0) await nextTurn();
      this.#numBytes += next.value.length;
      return new Uint8Array(next.value);
    } finally {
      this.#waitedMs += performance.now() - this.#waitsSinceMs;
      this.#waitsSinceMs = undefined;
    }
  }

  kill(): void {
    this.#child.kill('SIGKILL');
    this.#child.stdout?.destroy();
  }

  async #end(): Promise<undefined> {
    await this.ended;
    // What came before the damage is heard, as with every decoder; but a decoder that broke down is not believed.
    if (this.#numBytes > 0 && !this.wasKilled) return undefined;
    throw this.#refusal();
  }

  #refusal(): ServiceError {
    const { container, codec } = this.#content;
    const named = codec === 'unknown' ? container : `${codec} in ${container}`;
    const said = this.#log.reason ?? this.#how;
    return new ServiceError(
      'undecodable_audio',
      `Expected ${named}, as the first bytes say; ffmpeg says: ${said}`,
    );
  }
}

function start(ffmpeg: Ffmpeg, clip: FfmpegClip): ChildProcess {
  const { prlimitPath, folder } = ffmpeg;
  const args = ffmpegArguments({ ...clip, container: clip.content.container });
  const limits = [`--as=${MAX_ADDRESS_SPACE_BYTES}`, `--cpu=${clip.maxCpuSeconds}`, '--core=0'];
  const [program, argv] = prlimitPath
    ? [prlimitPath, [...limits, '--', ffmpeg.path, ...args]]
    : [ffmpeg.path, args];
  return spawn(program, argv, { cwd: folder, env: {}, stdio: ['ignore', 'pipe', 'pipe'] });
}
