import { MessageChannel } from 'node:worker_threads';
import { Piscina } from 'piscina';
import { entryPoint } from '../entry-point.js';
import { ServiceError } from '../errors.js';
import type { DecodedClip } from './decode-clip.js';
import type { DecodeReply, DecodeTask } from './decode-worker.js';

export type { ClipFormat } from './decode-clip.js';

/** Turns clips on disk into waveforms, away from the event loop. */
export interface Decoder {
  /**
   * Decodes one clip. Clips beyond the number of threads wait for their turn.
   *
   * @param path of a file whose content decides what it is
   * @throws ServiceError unsupported_format, undecodable_audio, empty_audio, clip_too_long, decode_budget_exceeded;
   *   the signal's reason once it is aborted
   */
  decode(path: string, options: { signal?: AbortSignal }): Promise<DecodedClip>;
  /** Ends the threads and with them what they are doing. */
  close(): Promise<void>;
}

export interface DecoderOptions {
  /** Clips that are decoded at the same time. */
  readonly threads: number;
  /** Rate of the waveforms, in Hz. */
  readonly targetSampleRate: number;
  readonly maxClipSeconds: number;
  /** Time for one clip, from when a thread takes it up. */
  readonly timeoutMs: number;
  /** Entry of the threads; another one stands in for it where their end is tested. */
  readonly worker?: URL;
}

const MAX_ATTEMPTS = 2; // a thread may end through no fault of its clip

/** Starts the threads, which stay until the decoder is closed. */
export function createDecoder(options: DecoderOptions): Decoder {
  return new ThreadedDecoder(options);
}

class ThreadedDecoder implements Decoder {
  readonly #options: DecoderOptions;
  readonly #pool: Piscina<DecodeTask, DecodeReply>;
  readonly #runs = new Set<Run>();
  #hasReplied = false;
  #startFailure: Error | undefined;
  #isClosed = false;

  constructor(options: DecoderOptions) {
    this.#options = options;
    this.#pool = new Piscina({
      filename: (options.worker ?? entryPoint('./decode-worker', import.meta.url)).href,
      minThreads: options.threads,
      maxThreads: options.threads,
      idleTimeout: Number.POSITIVE_INFINITY,
      recordTiming: false,
    });
    this.#pool.on('error', (error: Error) => this.#onIdleThreadLost(error));
  }

  async decode(path: string, { signal }: { signal?: AbortSignal }): Promise<DecodedClip> {
    for (let attempt = 1; ; attempt++) {
      signal?.throwIfAborted();
      if (this.#startFailure) throw this.#startFailure;
      if (this.#isClosed) throw new ServiceError('draining', 'The decoder is closed');
      const reply = await this.#runOnce(path, signal);
      if (reply) return clipOf(reply);
      if (attempt === MAX_ATTEMPTS && !this.#isClosed) throw lostThreads();
    }
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    await this.#pool.destroy();
  }

  /** The thread's reply; undefined if the thread ended on its own. */
  async #runOnce(path: string, signal?: AbortSignal): Promise<DecodeReply | undefined> {
    const run = new Run(this.#options.timeoutMs, signal);
    const { targetSampleRate, maxClipSeconds } = this.#options;
    const task = { path, targetSampleRate, maxClipSeconds, started: run.port };
    this.#runs.add(run);
    try {
      const reply = await this.#pool.run(task, { signal: run.signal, transferList: [run.port] });
      this.#hasReplied = true;
      return reply;
    } catch {
      run.signal.throwIfAborted();
      return undefined;
    } finally {
      this.#runs.delete(run);
      run.end();
    }
  }

  /** A thread that worked before is replaced; but where none could ever start, clips would wait for ever. */
  #onIdleThreadLost(error: Error): void {
    if (this.#hasReplied) return;
    this.#startFailure = new Error('Decode threads cannot start', { cause: error });
    for (const run of this.#runs) run.stop(this.#startFailure);
  }
}

/** One clip's turn in the pool: ends it when its time is over, the client is gone or there is no thread. */
class Run {
  readonly #channel = new MessageChannel();
  readonly #controller = new AbortController();
  readonly #client: AbortSignal | undefined;
  readonly #onClientGone = () => this.stop(this.#client?.reason);
  #timer: NodeJS.Timeout | undefined;

  constructor(timeoutMs: number, client?: AbortSignal) {
    this.#client = client;
    client?.addEventListener('abort', this.#onClientGone);
    // The thread says when it begins: waiting for it does not count.
    this.#channel.port1.once('message', () => {
      this.#timer = setTimeout(() => this.stop(overBudget(timeoutMs)), timeoutMs);
    });
  }

  /** For the thread. */
  get port(): MessageChannel['port2'] {
    return this.#channel.port2;
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  stop(reason: unknown): void {
    this.#controller.abort(reason);
  }

  end(): void {
    clearTimeout(this.#timer);
    this.#client?.removeEventListener('abort', this.#onClientGone);
    this.#channel.port1.close();
  }
}

function clipOf(reply: DecodeReply): DecodedClip {
  if ('clip' in reply) return reply.clip;
  if ('failure' in reply) throw new Error(`The decode thread failed: ${reply.failure}`);
  const { code, detail, extensions } = reply.problem;
  throw new ServiceError(code, detail, { ...extensions });
}

const overBudget = (timeoutMs: number): ServiceError =>
  new ServiceError('decode_budget_exceeded', `Expected to decode within ${timeoutMs} ms`);

const lostThreads = (): ServiceError =>
  new ServiceError(
    'undecodable_audio',
    `Expected a decodable clip; ${MAX_ATTEMPTS} decode threads ended on it`,
  );
