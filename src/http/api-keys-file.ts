import { readFile } from 'node:fs/promises';
import type { Clock } from '../inference/clock.js';
import type { Log } from '../log.js';
import { ApiKeys, type Client } from './api-keys.js';

/** Half of what a revoked key may still work for. */
const POLL_INTERVAL_MS = 500;

/**
 * The file of API keys, read again whenever it has changed.
 *
 * It is read rather than watched or asked for its time: mounted secrets change by a link, and two
 * changes may bear the same time. A new file that is not right is told in the log, and the keys
 * stay as they were.
 */
export class ApiKeysFile {
  readonly #path: string;
  readonly #log: Log;
  readonly #nowMs: () => number;
  #text: string;
  #keys: ApiKeys;
  #fault = '';

  private constructor(path: string, text: string, options: ApiKeysFileOptions) {
    const { log, nowMs = Date.now } = options;
    this.#path = path;
    this.#log = log;
    this.#nowMs = nowMs;
    this.#text = text;
    this.#keys = this.#parse(text);
  }

  /** @throws Error of one line when the file cannot be read or is not right */
  static async open(path: string, options: ApiKeysFileOptions): Promise<ApiKeysFile> {
    return new ApiKeysFile(path, await readFile(path, 'utf8'), options);
  }

  /** Whose key this is; undefined for one that is unknown, was revoked or has expired. */
  clientOf(key: string): Client | undefined {
    return this.#keys.clientOf(key, this.#nowMs());
  }

  /** Reads the file again and again. @returns ends that */
  watch(clock: Clock): () => void {
    let timer = clock.after(POLL_INTERVAL_MS, () => void poll());
    let isOver = false;
    const poll = async () => {
      await this.refresh();
      if (!isOver) timer = clock.after(POLL_INTERVAL_MS, () => void poll());
    };
    return () => {
      isOver = true;
      timer.cancel();
    };
  }

  /** Reads the file once more. Never throws. */
  async refresh(): Promise<void> {
    try {
      const text = await readFile(this.#path, 'utf8');
      if (text !== this.#text) {
        this.#keys = this.#parse(text);
        this.#text = text;
      }
      this.#fault = '';
    } catch (error) {
      this.#report((error as Error).message);
    }
  }

  #parse(text: string): ApiKeys {
    const keys = ApiKeys.parse(text, this.#nowMs());
    const clients = keys.numClients;
    if (clients === 0) this.#log.warn('the file of API keys holds none: every request is refused');
    else this.#log.info({ clients }, 'API keys read');
    return keys;
  }

  /** Once for each fault, not at every poll. */
  #report(fault: string): void {
    if (fault === this.#fault) return;
    this.#fault = fault;
    this.#log.error({ fault }, 'the file of API keys is not right, the keys stay as they were');
  }
}

export interface ApiKeysFileOptions {
  readonly log: Log;
  /** Milliseconds since 1970. */
  readonly nowMs?: () => number;
}
