import { readFile } from 'node:fs/promises';
import { expect, test } from 'vitest';
import { availableCores } from '../src/available-cores.js';
import { ConfigError, loadConfig } from '../src/config.js';

const TRUST_PROXY_WORDS =
  'a number of proxies from 0 to 9, or addresses and subnets with commas between them';
const CORS_ORIGINS_WORDS = 'origins like https://example.org with commas between them';

/** Variable, value, what was expected. */
type Row = [string, string, string];

const messageOf = (env: Record<string, string>): string => {
  try {
    loadConfig(env, 4);
  } catch (error) {
    if (error instanceof ConfigError) return error.message;
  }
  throw new Error('Expected a ConfigError');
};

test('defaults: a port, every core, the models of the package', () => {
  const config = loadConfig({}, 4);
  expect(config).toMatchObject({ port: 8080, engines: 4, decodeConcurrency: 4, docs: true });
  expect(config.modelsDir).toBe(new URL('../models', import.meta.url).pathname);
  expect(Object.isFrozen(config)).toBe(true);
});

test('variables become values of their kind; an empty one counts as not set', () => {
  const env = {
    PORT: '0',
    DOCS: 'off',
    PAGE: 'off',
    CUDA_DEVICES: '0, 2',
    BATCH_SIZES: '1,8',
    MODEL: 'mine',
    METRICS_PORT: '',
    ENGINES: '',
    EXECUTION_PROVIDER: 'cuda',
    QUEUE_MAX_WINDOWS: '9',
    TRUST_PROXY: '10.0.0.0/8, ::1',
    CORS_ORIGINS: 'https://a.example, http://localhost:5173',
  };
  expect(loadConfig(env, 4)).toMatchObject({
    port: 0,
    docs: false,
    page: false,
    cudaDevices: [0, 2],
    batchSizes: [1, 8],
    model: 'mine',
    metricsPort: undefined,
    engines: 4,
    executionProvider: 'cuda',
    queueMaxWindows: 9,
    trustProxy: ['10.0.0.0/8', '::1'],
    corsOrigins: ['https://a.example', 'http://localhost:5173'],
  });
  expect(loadConfig({ TRUST_PROXY: '2' }, 4).trustProxy).toBe(2);
});

test.each<Row>([
  ['PORT', 'http', 'an integer from 0 to 65535'],
  ['PORT', '65536', 'an integer from 0 to 65535'],
  ['ENGINES', '0', 'an integer from 1 to 256'],
  ['ENGINES', '1.5', 'an integer from 1 to 256'],
  ['EXECUTION_PROVIDER', 'gpu', 'one of auto, cuda, cpu'],
  ['PRECISION', 'int4', 'one of auto, fp32, int8, fp16'],
  ['DOCS', 'true', 'one of on, off'],
  ['BATCH_SIZES', '1,,4', 'positive integers with commas between them'],
  ['CUDA_DEVICES', 'cuda:0', 'device numbers with commas between them'],
  ['RATE_LIMIT_PER_MINUTE', '-1', 'an integer from 0 to 1000000'],
  ...['true', '10.0.0.0/33', '::1/129', 'proxy.example', '10.0.0.1,', '10.0.0.0/0'].map(
    (value): Row => ['TRUST_PROXY', value, TRUST_PROXY_WORDS],
  ),
  ...[
    '*',
    'null',
    'example.org',
    'https://a.example/',
    'https://a.example,',
    'ftp://a.example',
  ].map((value): Row => ['CORS_ORIGINS', value, CORS_ORIGINS_WORDS]),
  ['LOG_LEVEL', 'loud', 'one of fatal, error, warn, info, debug, trace, silent'],
])('%s=%s is refused, saying what was expected and what came', (name, value, expected) => {
  expect(messageOf({ [name]: value })).toBe(`${name}: expected ${expected}, got "${value}"`);
});

test('all bad variables are named at once, in one line', () => {
  const message = messageOf({ PORT: 'x', ENGINES: 'y' });
  expect(message).toMatch(/^PORT: .*; ENGINES: .*$/);
});

test('docs/configuration.md names every variable, and no other', async () => {
  const read = (path: string) => readFile(new URL(`../${path}`, import.meta.url), 'utf8');
  const names = (text: string, pattern: RegExp) =>
    [...text.matchAll(pattern)].map(([, name]) => String(name)).toSorted();
  const documented = names(await read('docs/configuration.md'), /^\| `([A-Z_]+)` \|/gm);
  expect(documented).toEqual(names(await read('src/config.ts'), /^ {4}([A-Z_]+): /gm));
});

test.each([
  ['no cgroup', {}, 8],
  ['version 2 without a quota', { '/sys/fs/cgroup/cpu.max': 'max 100000\n' }, 8],
  ['version 2', { '/sys/fs/cgroup/cpu.max': '350000 100000\n' }, 3],
  ['less than a core', { '/sys/fs/cgroup/cpu.max': '50000 100000\n' }, 1],
  ['more than there is', { '/sys/fs/cgroup/cpu.max': '6400000 100000\n' }, 8],
  [
    'version 1',
    {
      '/sys/fs/cgroup/cpu/cpu.cfs_quota_us': '200000\n',
      '/sys/fs/cgroup/cpu/cpu.cfs_period_us': '100000\n',
    },
    2,
  ],
  [
    'version 1 without a quota',
    {
      '/sys/fs/cgroup/cpu/cpu.cfs_quota_us': '-1\n',
      '/sys/fs/cgroup/cpu/cpu.cfs_period_us': '100000\n',
    },
    8,
  ],
])('cores of a container: %s', (_name, files: Record<string, string>, expected) => {
  const readText = (path: string) => {
    const text = files[path];
    if (text === undefined) throw new Error(`ENOENT ${path}`);
    return text;
  };
  expect(availableCores(8, readText)).toBe(expected);
});
