import { createHash } from 'node:crypto';
import type { SeededDraws } from '../seeded-draws.js';

export interface LossOptions {
  readonly works: number;
  readonly chance: number;
  /** 2 where the attempt after a lost one is to be lost, too. */
  readonly lossesInARow: number;
  readonly draws: SeededDraws;
}

/**
 * Which attempts at which piece of work are lost. Each attempt is lost with the same chance, but of the whole exactly
 * its share, so that a run says the same each time: with a chance of 0.2 a fifth of all first attempts, and a fifth of
 * the second ones at those.
 */
export class LossPlan {
  readonly #lossesLeft: number[];
  readonly #losses = new Map<string, number>();
  #numLost = 0;

  constructor(options: LossOptions) {
    this.#lossesLeft = lossesInShares(options);
  }

  /** Attempts lost so far. */
  get numLost(): number {
    return this.#numLost;
  }

  /** Whether this attempt is lost; work is known by what it is about. */
  isLost(content: Uint8Array): boolean {
    const key = createHash('sha256').update(content).digest('hex');
    const left = this.#losses.get(key) ?? this.#lossesLeft.pop() ?? 0;
    this.#losses.set(key, Math.max(0, left - 1));
    if (left > 0) this.#numLost += 1;
    return left > 0;
  }
}

/** How many attempts in a row are lost of each piece of work. */
export function lossesInShares({ works, chance, lossesInARow, draws }: LossOptions): number[] {
  const losses = Array.from(
    { length: works },
    (_, index) => lossesInARow * lossesOf((index + 0.5) / works, chance),
  );
  return draws.shuffled(losses);
}

/** Of the work at a place from 0 to 1: of the first `chance ** n` at least n. */
function lossesOf(place: number, chance: number): number {
  return Math.floor(Math.log(place) / Math.log(chance));
}
