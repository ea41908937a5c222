const STEPS_SECONDS = [
  0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14_400,
  21_600, 43_200, 86_400,
];
const MAX_TICKS = 11;

export interface Tick {
  readonly seconds: number;
  readonly text: string;
}

/** Round times between two others, some ten of them at most. */
export function toTicks(startSeconds: number, endSeconds: number): Tick[] {
  const length = endSeconds - startSeconds;
  const step = STEPS_SECONDS.find((each) => length / each <= MAX_TICKS) ?? length / MAX_TICKS;
  const first = Math.ceil(startSeconds / step - 1e-9);
  const last = Math.floor(endSeconds / step + 1e-9);
  return Array.from({ length: Math.max(0, last - first + 1) }, (_, i) => {
    const seconds = (first + i) * step;
    return {
      seconds,
      text: endSeconds < 60 ? toShort(seconds) : toClock(seconds, step < 1 ? 2 : 0),
    };
  });
}

/** Seconds with no more digits than they need, up to two. */
export const toShort = (seconds: number): string => `${Number(seconds.toFixed(2))} s`;

/** `m:ss`, from an hour on `h:mm:ss`, with so many decimals. */
export function toClock(seconds: number, decimals = 0): string {
  const steps = 10 ** decimals;
  const whole = Math.round(seconds * steps);
  const minutes = Math.floor(whole / steps / 60);
  const rest = ((whole / steps) % 60)
    .toFixed(decimals)
    .padStart(decimals > 0 ? decimals + 3 : 2, '0');
  if (minutes < 60) return `${minutes}:${rest}`;
  return `${Math.floor(minutes / 60)}:${String(minutes % 60).padStart(2, '0')}:${rest}`;
}
