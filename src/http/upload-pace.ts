import { ServiceError } from '../errors.js';
import type { Clock } from '../inference/clock.js';

/** Connections may be slow to start. */
const GRACE_MS = 3000;
const CHECK_INTERVAL_MS = 1000;

export interface UploadPaceOptions {
  /** Over the whole body so far; 0 is no limit. */
  readonly minBytesPerSecond: number;
  readonly clock: Clock;
  readonly onTooSlow: (error: ServiceError) => void;
}

/** Watches how fast a body comes: who sends a byte now and then holds an upload place for nothing. */
export class UploadPace {
  readonly #options: UploadPaceOptions;
  readonly #startMs: number;
  #numBytes = 0;
  #timer: { cancel(): void } | undefined;

  constructor(options: UploadPaceOptions) {
    this.#options = options;
    this.#startMs = options.clock.nowMs();
    if (options.minBytesPerSecond > 0) this.#checkAfter(GRACE_MS);
  }

  received(bytes: number): void {
    this.#numBytes += bytes;
  }

  stop(): void {
    this.#timer?.cancel();
  }

  #checkAfter(ms: number): void {
    const { clock, minBytesPerSecond, onTooSlow } = this.#options;
    this.#timer = clock.after(ms, () => {
      const seconds = (clock.nowMs() - this.#startMs) / 1000;
      if (this.#numBytes >= minBytesPerSecond * seconds) this.#checkAfter(CHECK_INTERVAL_MS);
      else onTooSlow(tooSlow(minBytesPerSecond, { numBytes: this.#numBytes, seconds }));
    });
  }
}

function tooSlow(
  minBytesPerSecond: number,
  { numBytes, seconds }: { numBytes: number; seconds: number },
): ServiceError {
  const got = `${numBytes} bytes in ${seconds.toFixed(1)} s`;
  return new ServiceError(
    'upload_timeout',
    `Expected at least ${minBytesPerSecond} bytes of the body per second, got ${got}`,
    { limits: { upload_min_bytes_per_second: minBytesPerSecond } },
  );
}
