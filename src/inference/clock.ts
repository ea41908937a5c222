/** Time as inference sees it; tests pass their own. */
export interface Clock {
  /** Monotonic milliseconds. */
  nowMs(): number;
  /** Calls back once after `ms`, unless cancelled before. */
  after(ms: number, callback: () => void): { cancel(): void };
}

/** The machine's own clock. Its timers never keep the process alive. */
export const systemClock: Clock = {
  nowMs: () => performance.now(),
  after(ms, callback) {
    const timer = setTimeout(callback, ms).unref();
    return { cancel: () => clearTimeout(timer) };
  },
};
