import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';
import type { DecodeCommand, DecodeReport } from './decode-messages.js';
import type { DecodeRun } from './decode-run.js';

/** Clips that one thread has in hand at most; all but a few of them wait for the engines. */
const MAX_CLIPS = 16;

/** One decode thread, and the clips that it has in hand. */
export class DecodeThread {
  /** When it is gone, with what it ended on. */
  readonly ended: Promise<Error>;
  readonly #worker: Worker;
  readonly #runs = new Map<number, DecodeRun>();
  #isReady = false;
  #isGone = false;

  /** @param onFree called when a clip is off its hands, or takes its time no longer */
  constructor(entry: URL, onFree: () => void) {
    this.#worker = new Worker(sourceOf(entry));
    this.#worker.unref();
    this.#worker.on('message', (report: DecodeReport) => this.#receive(report, onFree));
    this.ended = new Promise((resolve) => {
      this.#worker.once('error', (error: Error) => resolve(error));
      this.#worker.once('exit', (code) => resolve(new Error(`exit code ${code}`)));
    });
    void this.ended.then(() => this.#lose());
  }

  /** Whether it ever came up. */
  get isReady(): boolean {
    return this.#isReady;
  }

  get hasPlace(): boolean {
    return !this.#isGone && this.#runs.size < MAX_CLIPS;
  }

  /** Clips that take its time. */
  get numAtWork(): number {
    return [...this.#runs.values()].filter(({ isAtWork }) => isAtWork).length;
  }

  run(run: DecodeRun): void {
    this.#runs.set(run.id, run);
    this.#worker.ref();
    run.start(
      (command) => this.#send(command),
      () => void this.kill(),
    );
  }

  /** Ends it, and with it what it is doing. */
  async kill(): Promise<void> {
    await this.#worker.terminate();
  }

  #send(command: DecodeCommand): void {
    const bytes = command.type === 'piece' ? command.piece.bytes : undefined;
    if (!this.#isGone) this.#worker.postMessage(command, bytes ? [bytes.buffer] : []);
  }

  #receive(report: DecodeReport, onFree: () => void): void {
    if (report.type === 'ready') {
      this.#isReady = true;
      return;
    }
    const run = this.#runs.get(report.clip);
    if (!run?.receive(report)) return;
    run.release();
    this.#runs.delete(report.clip);
    if (this.#runs.size === 0) this.#worker.unref();
    onFree();
  }

  #lose(): void {
    this.#isGone = true;
    for (const run of this.#runs.values()) run.lose();
    this.#runs.clear();
  }
}

/**
 * A module that requires the entry: under tests the sources are TypeScript, and in a thread what loads those looks only
 * after `require`, not after the entry itself.
 */
function sourceOf(entry: URL): URL {
  const path = JSON.stringify(fileURLToPath(entry));
  const source = `import { createRequire } from 'node:module'; createRequire(${path})(${path});`;
  return new URL(`data:text/javascript,${encodeURIComponent(source)}`);
}
