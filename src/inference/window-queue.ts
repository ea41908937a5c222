import type { Window } from '../audio/window.js';
import { FairQueue } from './fair-queue.js';
import type { PendingRequest } from './pending-request.js';

/** A window that waits, or runs. */
export interface Entry {
  readonly request: PendingRequest;
  readonly index: number;
  readonly window: Window;
  /** Its first run was lost: it is run once more, alone, so that a poisonous window fails by itself. */
  readonly isRetry: boolean;
}

/**
 * The windows that wait, in the order of their turns, and the places that their requests hold by them.
 *
 * Of one request only so many windows as the engines take at a time count, so a long clip is not refused for its length.
 * A clip whose next window is being made keeps one place meanwhile: else, the longer clips are, the more of them would
 * be let in at once.
 */
export class WindowQueue {
  readonly #turns = new FairQueue<PendingRequest, Entry>((request) => request.client ?? request);
  /** How many windows of one request may count. */
  readonly #shareWindows: number;
  /** Requests that were let in and make their next window. */
  readonly #making = new Set<PendingRequest>();

  constructor(shareWindows: number) {
    this.#shareWindows = shareWindows;
  }

  /** Places that are taken, in windows. */
  get taken(): number {
    const between = [...this.#making].filter((request) => !this.#turns.has(request));
    return this.#placesOf(this.#turns.counts()) + between.length;
  }

  /** Places of one client's requests. */
  takenBy(client: string): number {
    const between = [...this.#making].filter(
      (request) => request.client === client && !this.#turns.has(request),
    );
    return this.#placesOf(this.#turns.countsOf(client)) + between.length;
  }

  /** Places that a request with so many windows needs. */
  placesFor(numWindows: number): number {
    return Math.min(numWindows, this.#shareWindows);
  }

  /** All that wait, beyond the share of their requests too. */
  get samples(): number {
    let samples = 0;
    for (const { window } of this.#turns) samples += window.samples.length;
    return samples;
  }

  /** Whether the next window of a request is being made. */
  setMaking(request: PendingRequest, isMaking: boolean): void {
    if (isMaking) this.#making.add(request);
    else this.#making.delete(request);
  }

  add(request: PendingRequest, entries: readonly Entry[]): void {
    this.#turns.add(request, entries);
  }

  /** Puts an entry before all others. */
  putBack(entry: Entry): void {
    this.#turns.putBack(entry.request, entry);
  }

  /** Takes the next one whose turn it is and for which `accepts` holds. */
  take(accepts?: (entry: Entry) => boolean): Entry | undefined {
    return this.#turns.take(accepts);
  }

  /** Drops all of a request. */
  remove(request: PendingRequest): void {
    this.#making.delete(request);
    this.#turns.remove(request);
  }

  /** Requests with windows that wait, or that make one. */
  requests(): PendingRequest[] {
    return [...new Set([...this.#turns.owners(), ...this.#making])];
  }

  /** @param counts windows, request by request */
  #placesOf(counts: readonly number[]): number {
    return counts.reduce((sum, count) => sum + this.placesFor(count), 0);
  }
}
