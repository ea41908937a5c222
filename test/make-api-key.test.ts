import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { ApiKeys } from '../src/http/api-keys.js';

const SCRIPT = fileURLToPath(new URL('../src/make-api-key.ts', import.meta.url));

const run = (...args: string[]) =>
  spawnSync(process.execPath, ['--import', 'tsx', SCRIPT, ...args], { encoding: 'utf8' });

test('the line that is printed knows the key that is shown', () => {
  const options = ['--expires', '2027-01-31', '--rate-limit-per-minute', '0'];
  const { stdout, stderr, status } = run('lab', ...options, '--max-concurrent', '4');
  expect(status).toBe(0);
  const client = { id: 'lab', rateLimitPerMinute: 0, maxConcurrent: 4 };
  expect(ApiKeys.parse(stdout, 0).clientOf(stderr.trim(), 0)).toEqual(client);
  expect(JSON.parse(stdout).expires).toBe('2027-01-31');
});

test.each([
  [[], 'Expected the name of one client, got 0'],
  [['a', 'b'], 'Expected the name of one client, got 2'],
  [['a b'], 'client: expected 1 to 64 letters'],
  [['lab', '--expires', 'soon'], 'expires: expected a date'],
  [['lab', '--max-concurrent', 'x'], 'max_concurrent: expected an integer'],
  [['lab', '--forever'], "Unknown option '--forever'"],
])('%j is refused with the usage', (args, fault) => {
  const { stdout, stderr, status } = run(...args);
  expect([status, stdout]).toEqual([1, '']);
  expect(stderr.startsWith(fault)).toBe(true);
  expect(stderr).toContain('npm run --silent api-key');
});
