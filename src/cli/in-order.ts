/**
 * Works on several items at once and yields the results in the order of the items.
 *
 * At most `atOnce` items are in hand or done and not yet taken, so what is held does not grow with
 * their number.
 */
export async function* inOrder<T, R>(
  items: Iterable<T>,
  work: (item: T) => Promise<R>,
  { atOnce }: { atOnce: number },
): AsyncGenerator<R> {
  const inHand: Promise<R>[] = [];
  try {
    for (const item of items) {
      if (inHand.length === atOnce) yield await (inHand.shift() as Promise<R>);
      const result = work(item);
      // A failure is thrown when its turn comes; until then it is not one that nobody looks after.
      result.catch(() => {});
      inHand.push(result);
    }
    while (inHand.length > 0) yield await (inHand.shift() as Promise<R>);
  } finally {
    // Whoever stops early, or is stopped by a failure, has no use for the other failures.
    await Promise.allSettled(inHand);
  }
}
