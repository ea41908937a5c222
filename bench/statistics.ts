/** What the rounds came to. */
export interface Summary {
  readonly median: number;
  readonly lowest: number;
  readonly highest: number;
  /** A number for each round. */
  readonly values: readonly number[];
}

export function summarise(values: readonly number[]): Summary {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = (sorted.length - 1) / 2;
  const [below = Number.NaN, above = Number.NaN] = [
    sorted[Math.floor(middle)],
    sorted[Math.ceil(middle)],
  ];
  return {
    median: (below + above) / 2,
    lowest: sorted[0] ?? Number.NaN,
    highest: sorted.at(-1) ?? Number.NaN,
    values,
  };
}

/** Quotients round by round, so that what slows a whole round down cancels. */
export function ratios(upper: readonly number[], lower: readonly number[]): Summary {
  if (upper.length !== lower.length)
    throw new Error(`Expected as many rounds, got ${upper.length} and ${lower.length}`);
  return summarise(upper.map((value, round) => value / (lower[round] ?? Number.NaN)));
}
