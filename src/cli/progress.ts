/** How far a run is. */
export interface Tally {
  readonly total: number;
  /** Of all files, those of earlier runs included. */
  readonly done: number;
  readonly failed: number;
  /** Files in folders that are no audio. */
  readonly leftOut: number;
  /** Done by an earlier run. */
  readonly before: number;
  readonly audioSeconds: number;
}

const BAR_WIDTH = 24;
const REDRAW_MS = 100;

/** A bar on a terminal, one line that is drawn again and again; elsewhere nothing. */
export class ProgressBar {
  readonly #stream: NodeJS.WriteStream;
  readonly #nowMs: () => number;
  readonly #startMs: number;
  #drawnMs = Number.NEGATIVE_INFINITY;

  constructor(stream: NodeJS.WriteStream, nowMs: () => number = () => performance.now()) {
    this.#stream = stream;
    this.#nowMs = nowMs;
    this.#startMs = nowMs();
  }

  update(tally: Tally): void {
    const now = this.#nowMs();
    if (!this.#stream.isTTY || now - this.#drawnMs < REDRAW_MS) return;
    this.#drawnMs = now;
    const line = toLine(tally, (now - this.#startMs) / 1000);
    this.#stream.write(`\r\u001b[K${line.slice(0, (this.#stream.columns || 80) - 1)}`);
  }

  /** A line above the bar. */
  print(line: string): void {
    this.clear();
    this.#stream.write(`${line}\n`);
  }

  clear(): void {
    if (this.#stream.isTTY) this.#stream.write('\r\u001b[K');
    this.#drawnMs = Number.NEGATIVE_INFINITY;
  }
}

function toLine({ total, done, before, failed, audioSeconds }: Tally, seconds: number): string {
  const share = total === 0 ? 1 : done / total;
  const bar = '#'.repeat(Math.round(share * BAR_WIDTH)).padEnd(BAR_WIDTH, '.');
  const own = done - before;
  const left = own === 0 ? '' : `, ${toClock((seconds / own) * (total - done))} left`;
  const faults = failed === 0 ? '' : `, ${failed} failed`;
  return `[${bar}] ${done}/${total}${faults}, ${toClock(audioSeconds)} of sound${left}`;
}

/** `1:02:03` or `2:03`. */
export function toClock(seconds: number): string {
  const whole = Math.round(seconds);
  const [hours, minutes] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60];
  const tail = String(whole % 60).padStart(2, '0');
  return hours > 0 ? `${hours}:${String(minutes).padStart(2, '0')}:${tail}` : `${minutes}:${tail}`;
}
