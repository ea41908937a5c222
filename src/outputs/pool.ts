/** Vectors that come one after the other, made one; keeps one vector, however many come. */
export interface Pool {
  add(vector: Float32Array, weight: number): void;
  /** @throws Error when nothing came */
  result(): Float32Array;
}

/** The mean, each vector with its weight. */
export function createMean(): Pool {
  // In double: the sums of thousands of vectors keep their precision.
  let sums: Float64Array | undefined;
  let totalWeight = 0;
  return {
    add(vector, weight) {
      sums ??= new Float64Array(vector.length);
      for (const [i, value] of vector.entries()) sums[i] = (sums[i] ?? 0) + weight * value;
      totalWeight += weight;
    },
    result: () => Float32Array.from(sums ?? nothingCame(), (sum) => sum / totalWeight),
  };
}

/** The largest value of each place, whatever the weights. */
export function createMax(): Pool {
  let largest: Float32Array | undefined;
  return {
    add(vector) {
      const before = largest;
      largest = vector.map((value, i) => Math.max(value, before?.[i] ?? -Infinity));
    },
    result: () => largest?.slice() ?? nothingCame(),
  };
}

/**
 * The chance that at least one is right, for vectors of independent chances.
 *
 * A weight below that of the first vector makes a chance count for that share.
 */
export function createNoisyOr(): Pool {
  // Chances that all missed, as logarithms: products of many would vanish.
  let logMissed: Float64Array | undefined;
  let fullWeight = 0;
  return {
    add(vector, weight) {
      fullWeight ||= weight;
      const share = weight / fullWeight;
      logMissed = Float64Array.from(
        vector,
        (chance, i) => (logMissed?.[i] ?? 0) + share * Math.log1p(-chance),
      );
    },
    result: () => Float32Array.from(logMissed ?? nothingCame(), (sum) => 0 - Math.expm1(sum)),
  };
}

function nothingCame(): never {
  throw new Error('Expected at least one vector, got none');
}
