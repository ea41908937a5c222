import { setPriority } from 'node:os';

/** A third of the weight of a process that has not asked for less. */
const NICENESS = 5;

/**
 * Lets whoever answers requests go first where cores are scarce: called by engine processes and decode threads, once
 * each. Some sandboxes forbid it; all works without.
 */
export function workInBackground(): void {
  try {
    setPriority(NICENESS);
  } catch {}
}
