import { toMel } from './mel-bands.js';

/** The place of a time on the page, in pixels. */
export type TimeScale = (seconds: number) => number;

/** The page that panels lie on, in pixels. */
export const PAGE = { width: 1200, left: 168, right: 1172 } as const;

export function timeScale({
  startSeconds,
  endSeconds,
}: {
  startSeconds: number;
  endSeconds: number;
}): TimeScale {
  const pixelsPerSecond = (PAGE.right - PAGE.left) / (endSeconds - startSeconds);
  return (seconds) => PAGE.left + (seconds - startSeconds) * pixelsPerSecond;
}

const TICKS_HZ = [500, 1000, 2000, 4000, 8000];

/** Round pitches with their share of the height, 0 at the bottom. */
export function frequencyTicks(maxHz: number): { text: string; share: number }[] {
  return TICKS_HZ.filter((hz) => hz <= maxHz).map((hz) => ({
    text: hz < 1000 ? `${hz} Hz` : `${hz / 1000} kHz`,
    share: toMel(hz) / toMel(maxHz),
  }));
}
