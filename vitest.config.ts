import { defineConfig } from 'vitest/config';

// `--import tsx` lets forked engines and decode threads start from the TypeScript sources:
// both inherit execArgv from the test process.
export default defineConfig({
  test: {
    include: ['{faults,test}/**/*.test.ts'],
    pool: 'forks',
    execArgv: ['--import', 'tsx'],
    maxWorkers: 2,
    testTimeout: 60_000,
    hookTimeout: 60_000,
    // A condition that never holds fails; a slow machine does not.
    expect: { poll: { timeout: 30_000 } },
  },
});
