/**
 * Entries of many owners, taken in turns: each owner gives one entry, then the next owner does.
 *
 * Within an owner the order is that of arrival; an owner that comes new is served last.
 */
export class FairQueue<Owner extends object, Entry> {
  /** Owners in the order of their turns; none is without entries. */
  readonly #turns = new Map<Owner, Entry[]>();

  add(owner: Owner, entries: readonly Entry[]): void {
    if (entries.length === 0) return;
    this.#turns.set(owner, [...(this.#turns.get(owner) ?? []), ...entries]);
  }

  /** Puts an entry before all others. */
  putBack(owner: Owner, entry: Entry): void {
    const mine = [entry, ...(this.#turns.get(owner) ?? [])];
    this.#turns.delete(owner);
    const others = [...this.#turns];
    this.#turns.clear();
    this.#turns.set(owner, mine);
    for (const [other, entries] of others) this.#turns.set(other, entries);
  }

  /** Takes the next entry for which `accepts` holds; its owner's turn is over then. */
  take(accepts: (entry: Entry) => boolean = () => true): Entry | undefined {
    for (const [owner, entries] of this.#turns) {
      const position = entries.findIndex(accepts);
      if (position < 0) continue;
      const [entry] = entries.splice(position, 1);
      this.#turns.delete(owner);
      if (entries.length > 0) this.#turns.set(owner, entries);
      return entry;
    }
    return undefined;
  }

  /** Drops all entries of an owner. */
  remove(owner: Owner): void {
    this.#turns.delete(owner);
  }

  owners(): IterableIterator<Owner> {
    return this.#turns.keys();
  }

  /** Entries that wait, owner by owner. */
  counts(): number[] {
    return [...this.#turns.values()].map((entries) => entries.length);
  }

  *[Symbol.iterator](): Iterator<Entry> {
    for (const entries of this.#turns.values()) yield* entries;
  }
}
