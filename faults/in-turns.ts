/** Works on all things, so many at once, and gives the results in their order. */
export async function inTurns<T, R>(
  things: readonly T[],
  atOnce: number,
  work: (thing: T, index: number) => Promise<R>,
): Promise<R[]> {
  const results: R[] = [];
  const entries = things.entries();
  const take = async () => {
    for (const [index, thing] of entries) results[index] = await work(thing, index);
  };
  await Promise.all(Array.from({ length: atOnce }, take));
  return results;
}
