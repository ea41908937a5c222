/** `npx earshot` in a fresh clone: `npm ci` builds nothing, so the first call does. */
import { execFileSync, spawnSync } from 'node:child_process';
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, utimesSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, test } from 'vitest';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const BUILT_FROM = ['src', 'page', 'bin', 'ontology', 'scripts/build-page.mjs', 'openapi.yaml'];
const CONFIGURED_BY = ['package.json', 'tsconfig.json', 'tsconfig.build.json', '.npmrc'];
const clone = mkdtempSync(join(tmpdir(), 'earshot-clone-'));

beforeAll(() => {
  for (const name of [...BUILT_FROM, ...CONFIGURED_BY]) {
    cpSync(join(ROOT, name), join(clone, name), { recursive: true });
  }
  symlinkSync(join(ROOT, 'node_modules'), join(clone, 'node_modules'));
});
afterAll(() => rmSync(clone, { recursive: true }));

const BIN = join(clone, 'bin/earshot.mjs');
const call = (...args: string[]) =>
  spawnSync(process.execPath, [BIN, ...args], {
    cwd: tmpdir(),
    encoding: 'utf8',
    env: {
      PATH: process.env.PATH,
      ENGINES: '1',
      EXECUTION_PROVIDER: 'cpu',
      MODELS_DIR: join(ROOT, 'test/fixtures/models'),
    },
  });

test('the first call builds, later ones do not, until the sources change', () => {
  const clip = join(ROOT, 'test/fixtures/clips/dog.ogg');
  const first = call('tag', clip, '--top-k', '1', '--quiet');
  expect(first.stderr).toMatch(/^earshot: building dist\/, once\n/);
  expect([first.status, JSON.parse(first.stdout)]).toMatchObject([0, { path: clip, status: 200 }]);
  const second = call('--version');
  const { version } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8'));
  expect(second).toMatchObject({ status: 0, stdout: `${version}\n`, stderr: '' });
  const later = new Date(Date.now() + 60_000);
  utimesSync(join(clone, 'src/cli/help.ts'), later, later);
  expect(call('--version').stderr).toContain('building dist/');
}, 180_000);

test('npx finds it in the folder of the clone, without asking anybody', () => {
  const { npm_config_cache: _, ...env } = process.env;
  const cache = join(clone, 'npm-cache');
  const stdout = execFileSync(
    'npx',
    ['--offline', '--yes', `--cache=${cache}`, 'earshot', '--help'],
    {
      cwd: clone,
      encoding: 'utf8',
      env,
      stdio: ['ignore', 'pipe', 'ignore'],
    },
  );
  expect(stdout).toContain('earshot tag FILE|FOLDER...');
}, 180_000);
