import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { FairQueue } from '../../src/inference/fair-queue.js';

type Owner = { readonly name: string };
const [a, b, c] = ['a', 'b', 'c'].map((name) => ({ name })) as [Owner, Owner, Owner];

function drain<Entry>(queue: FairQueue<Owner, Entry>): Entry[] {
  const taken: Entry[] = [];
  for (let entry = queue.take(); entry !== undefined; entry = queue.take()) taken.push(entry);
  return taken;
}

describe('FairQueue', () => {
  it('takes one entry of each owner in turn', () => {
    const queue = new FairQueue<Owner, string>();
    queue.add(a, ['a1', 'a2', 'a3']);
    queue.add(b, ['b1']);
    queue.add(c, ['c1', 'c2']);
    expect(queue.counts()).toEqual([3, 1, 2]);
    expect(drain(queue)).toEqual(['a1', 'b1', 'c1', 'a2', 'c2', 'a3']);
  });

  it('serves a new owner after those that wait, and keeps the place of one that adds more', () => {
    const queue = new FairQueue<Owner, string>();
    queue.add(a, ['a1', 'a2']);
    queue.add(b, ['b1']);
    expect(queue.take()).toBe('a1');
    queue.add(c, ['c1']);
    queue.add(b, ['b2']);
    expect(drain(queue)).toEqual(['b1', 'a2', 'c1', 'b2']);
  });

  it('passes over entries that are not accepted', () => {
    const queue = new FairQueue<Owner, number>();
    queue.add(a, [1, 2]);
    queue.add(b, [3, 4]);
    const even = (entry: number) => entry % 2 === 0;
    expect([queue.take(even), queue.take(even), queue.take(even)]).toEqual([2, 4, undefined]);
    expect([...queue]).toEqual([1, 3]);
  });

  it('puts an entry back before all others', () => {
    const queue = new FairQueue<Owner, string>();
    queue.add(a, ['a1']);
    queue.add(b, ['b1']);
    queue.putBack(b, 'b0');
    expect(drain(queue)).toEqual(['b0', 'a1', 'b1']);
  });

  it('forgets an owner that is removed or has nothing', () => {
    const queue = new FairQueue<Owner, string>();
    queue.add(a, ['a1']);
    queue.add(b, []);
    queue.remove(a);
    expect(queue.owners()).toEqual([]);
    expect(queue.take()).toBeUndefined();
  });

  it('never lets an owner be more than one entry ahead of another that waits', () => {
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 1, maxLength: 6 }),
        (sizes) => {
          const queue = new FairQueue<Owner, number>();
          sizes.forEach((size, i) => {
            queue.add({ name: `${i}` }, Array(size).fill(i));
          });
          const served = sizes.map(() => 0);
          for (const owner of drain(queue)) {
            served[owner]! += 1;
            const waiting = served.filter((count, i) => count < sizes[i]!);
            expect(served[owner]! - Math.min(...waiting, served[owner]!)).toBeLessThanOrEqual(1);
          }
          expect(served).toEqual(sizes);
        },
      ),
    );
  });

  it('takes one entry of each group in turn, and within a group one of each owner', () => {
    const queue = new FairQueue<Owner, string>((owner) => (owner === c ? 'modest' : 'greedy'));
    queue.add(a, ['a1', 'a2']);
    queue.add(b, ['b1', 'b2']);
    queue.add(c, ['c1', 'c2']);
    expect(queue.countsOf('greedy')).toEqual([2, 2]);
    expect(queue.countsOf('nobody')).toEqual([]);
    expect(drain(queue)).toEqual(['a1', 'c1', 'b1', 'c2', 'a2', 'b2']);
  });

  it('puts an entry back before all others of all groups, and forgets a group without owners', () => {
    const queue = new FairQueue<Owner, string>(({ name }) => name);
    queue.add(a, ['a1']);
    queue.add(b, ['b1']);
    queue.putBack(c, 'c0');
    queue.putBack(b, 'b0');
    expect([...queue]).toEqual(['b0', 'b1', 'c0', 'a1']);
    for (const owner of [a, b, c]) queue.remove(owner);
    expect(queue.counts()).toEqual([]);
  });

  it('holds a client up for one entry of each other client, however many requests those have', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 20 }), fc.integer({ min: 1, max: 5 }), (many, few) => {
        const clientOf = new Map<Owner, string>();
        const queue = new FairQueue<Owner, string>((owner) => clientOf.get(owner));
        const send = (client: string) => {
          const owner = { name: client };
          clientOf.set(owner, client);
          queue.add(owner, [client]);
        };
        for (let count = 0; count < many; count++) send('greedy');
        for (let count = 0; count < few; count++) send('modest');
        const lastOfModest = drain(queue).lastIndexOf('modest');
        expect(lastOfModest).toBe(few - 1 + Math.min(many, few));
      }),
    );
  });
});
