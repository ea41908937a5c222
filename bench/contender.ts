/** Something that takes its turn in every round. */
export interface Contender {
  /** Under which its turns are kept. */
  readonly name: string;
  /** Of what is measured, as it tells it itself. */
  readonly version: string;
  /** One turn. @returns seconds of processor time for one clip, or one round of products */
  turn(): Promise<number>;
  close(): Promise<void>;
}

/** A contender that this machine cannot have. */
export interface Absent {
  readonly name: string;
  readonly reason: string;
}

/** Seconds of processor time by contender, a number for each round. */
export type Turns = ReadonlyMap<string, readonly number[]>;

/**
 * Lets all have their turns, one after the other, in the same order in every round.
 *
 * @param order a contender may stand in it several times: the round's number is then the mean
 */
export async function measureRounds(order: readonly Contender[], rounds: number): Promise<Turns> {
  const turns = new Map<string, number[]>();
  for (let round = 0; round < rounds; round += 1) {
    for (const [name, seconds] of await measureRound(order)) {
      turns.set(name, [...(turns.get(name) ?? []), seconds]);
    }
    console.error(`round ${round + 1} of ${rounds}`);
  }
  return turns;
}

async function measureRound(order: readonly Contender[]): Promise<Map<string, number>> {
  const found = new Map<string, number[]>();
  for (const contender of order) {
    found.set(contender.name, [...(found.get(contender.name) ?? []), await contender.turn()]);
  }
  return new Map([...found].map(([name, seconds]) => [name, mean(seconds)]));
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}
