import { describe, expect, test } from 'vitest';
import { type FaultSuite, missesOf } from './suite.js';

const SIZE = 'smoke';
/** Suites wait for processes that start; on a machine that is busy with other things, long. */
const TIMEOUT_MS = 300_000;

/** The suites with small counts: what they count must hold, and must not without the guard. */
export function testSuites(suites: readonly FaultSuite[]): void {
  describe.each(suites.filter(({ isFullOnly }) => !isFullOnly))('$name', (suite) => {
    const run = async (isGuarded: boolean) => {
      const figures = await suite.run({ size: SIZE, isGuarded });
      expect(figures).not.toEqual([]);
      return missesOf(figures, SIZE);
    };

    test(
      suite.shows,
      async () => {
        expect(await run(true)).toEqual([]);
      },
      TIMEOUT_MS,
    );

    test(
      `control: ${suite.control}`,
      async () => {
        expect(await run(false)).not.toEqual([]);
      },
      TIMEOUT_MS,
    );
  });
}
