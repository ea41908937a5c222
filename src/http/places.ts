/** Places that are taken, in all and by each client. */
export class Places {
  #taken = 0;
  readonly #byClient = new Map<string, number>();

  get taken(): number {
    return this.#taken;
  }

  takenBy(client: string): number {
    return this.#byClient.get(client) ?? 0;
  }

  /** Takes one. @returns gives it back, once */
  take(client: string | undefined): () => void {
    let isTaken = true;
    this.#add(client, 1);
    return () => {
      if (isTaken) this.#add(client, -1);
      isTaken = false;
    };
  }

  #add(client: string | undefined, places: number): void {
    this.#taken += places;
    if (client === undefined) return;
    const count = this.takenBy(client) + places;
    if (count > 0) this.#byClient.set(client, count);
    else this.#byClient.delete(client);
  }
}

/**
 * Whether a client may take one more place: as long as it holds fewer than are free.
 *
 * So one client alone holds at most half of them, n greedy ones at most n of n + 1 parts, and there is always a place for
 * who has none, until there are as many clients as places (dynamic thresholds of Choudhury and Hahne, 1998).
 */
export function hasShare({ held, free }: { held: number; free: number }): boolean {
  return held < free;
}
