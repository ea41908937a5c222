/** The fault suites with small counts: what they count must hold, and must not without the guard. */
import { describe, expect, test } from 'vitest';
import { missesOf } from './suite.js';
import { suites } from './suites.js';

const SIZE = 'smoke';

describe.each(suites)('$name', (suite) => {
  test(suite.shows, async () => {
    const figures = await suite.run({ size: SIZE, isGuarded: true });
    expect(figures).not.toEqual([]);
    expect(missesOf(figures, SIZE)).toEqual([]);
  });

  test(`control: ${suite.control}`, async () => {
    const figures = await suite.run({ size: SIZE, isGuarded: false });
    expect(missesOf(figures, SIZE)).not.toEqual([]);
  });
});
