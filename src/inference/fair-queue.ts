/** Owners with what they have waiting, in the order of their turns; none is without entries. */
type Turns<Owner, Entry> = Map<Owner, Entry[]>;

/**
 * Entries of many owners, taken in turns: a group of owners gives one entry, then the next group does, and within a group
 * its owners take turns the same way. So who owns a lot, under whatever many names, holds nobody up.
 *
 * Within an owner the order is that of arrival; an owner, or a group, that comes new is served last.
 */
export class FairQueue<Owner extends object, Entry> {
  /** Groups in the order of their turns; none is without owners. */
  readonly #groups = new Map<unknown, Turns<Owner, Entry>>();
  readonly #groupOf: (owner: Owner) => unknown;

  /** @param groupOf fixed for each owner; by default every owner is a group of its own */
  constructor(groupOf: (owner: Owner) => unknown = (owner) => owner) {
    this.#groupOf = groupOf;
  }

  add(owner: Owner, entries: readonly Entry[]): void {
    if (entries.length === 0) return;
    const group = this.#groupOf(owner);
    const turns: Turns<Owner, Entry> = this.#groups.get(group) ?? new Map();
    turns.set(owner, [...(turns.get(owner) ?? []), ...entries]);
    this.#groups.set(group, turns);
  }

  /** Puts an entry before all others. */
  putBack(owner: Owner, entry: Entry): void {
    const group = this.#groupOf(owner);
    const turns: Turns<Owner, Entry> = this.#groups.get(group) ?? new Map();
    setFirst(turns, owner, [entry, ...(turns.get(owner) ?? [])]);
    setFirst(this.#groups, group, turns);
  }

  /** Takes the next entry for which `accepts` holds; the turn of its owner, and of its owner's group, is over then. */
  take(accepts: (entry: Entry) => boolean = () => true): Entry | undefined {
    for (const [group, turns] of this.#groups) {
      for (const [owner, entries] of turns) {
        const position = entries.findIndex(accepts);
        if (position < 0) continue;
        const [entry] = entries.splice(position, 1);
        setLast(turns, owner, entries.length > 0 ? entries : undefined);
        setLast(this.#groups, group, turns.size > 0 ? turns : undefined);
        return entry;
      }
    }
    return undefined;
  }

  /** Drops all entries of an owner. */
  remove(owner: Owner): void {
    const group = this.#groupOf(owner);
    const turns = this.#groups.get(group);
    turns?.delete(owner);
    if (turns?.size === 0) this.#groups.delete(group);
  }

  /** Whether an owner has entries that wait. */
  has(owner: Owner): boolean {
    return this.#groups.get(this.#groupOf(owner))?.has(owner) ?? false;
  }

  owners(): Owner[] {
    return [...this.#groups.values()].flatMap((turns) => [...turns.keys()]);
  }

  /** Entries that wait, owner by owner. */
  counts(): number[] {
    return [...this.#groups.keys()].flatMap((group) => this.countsOf(group));
  }

  /** Entries that wait, owner by owner of one group. */
  countsOf(group: unknown): number[] {
    return [...(this.#groups.get(group)?.values() ?? [])].map(({ length }) => length);
  }

  *[Symbol.iterator](): Iterator<Entry> {
    for (const turns of this.#groups.values()) {
      for (const entries of turns.values()) yield* entries;
    }
  }
}

function setFirst<Key, Value>(map: Map<Key, Value>, key: Key, value: Value): void {
  map.delete(key);
  const others = [...map];
  map.clear();
  map.set(key, value);
  for (const [other, its] of others) map.set(other, its);
}

/** @param value undefined: the key goes */
function setLast<Key, Value>(map: Map<Key, Value>, key: Key, value: Value | undefined): void {
  map.delete(key);
  if (value !== undefined) map.set(key, value);
}
