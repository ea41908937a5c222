import type { Window } from '../audio/window.js';
import type { BatchShape } from './batch.js';

/** How windows are put together for one run. */
export interface BatchPlan {
  /** Most windows in one batch. */
  readonly maxWindows: number;
  /** Shapes to run before serving, most costly first; empty when shapes are not fixed. */
  readonly shapes: readonly BatchShape[];
  /** Whether `window` may join the batch that `first` began. */
  accepts(first: Window, window: Window): boolean;
  /** The shape in which these windows, the first of them first, are run. */
  shapeFor(windows: readonly [Window, ...Window[]]): BatchShape;
}

/**
 * Each window alone and of its true length: what a CPU does best, where padding is paid for and
 * batches of 4 or 8 cost 4 to 12 % more than the same windows one by one.
 */
export const lonePlan: BatchPlan = {
  maxWindows: 1,
  shapes: [],
  accepts: () => false,
  shapeFor: ([window]) => ({ size: 1, samples: window.samples.length }),
};

/**
 * Batches of a few fixed shapes: on a GPU each new shape costs a search for convolution kernels,
 * so only shapes that were warmed up are run.
 *
 * @param sizes allowed batch sizes, in windows
 * @param lengthsSamples allowed window lengths; the longest must hold every window
 */
export function bucketedPlan({
  sizes,
  lengthsSamples,
}: {
  sizes: readonly number[];
  lengthsSamples: readonly number[];
}): BatchPlan {
  const bucketOf = (window: Window) => smallestAtLeast(lengthsSamples, window.samples.length);
  const shapes = sizes.flatMap((size) => lengthsSamples.map((samples) => ({ size, samples })));
  return {
    maxWindows: Math.max(...sizes),
    shapes: shapes.sort((a, b) => b.size * b.samples - a.size * a.samples),
    accepts: (first, window) => bucketOf(window) <= bucketOf(first),
    shapeFor: (windows) => ({
      size: smallestAtLeast(sizes, windows.length),
      samples: bucketOf(windows[0]),
    }),
  };
}

function smallestAtLeast(allowed: readonly number[], needed: number): number {
  const fitting = allowed.filter((value) => value >= needed);
  if (fitting.length === 0) {
    throw new RangeError(`Expected at most ${Math.max(...allowed)}, got ${needed}`);
  }
  return Math.min(...fitting);
}
