#!/usr/bin/env node
/**
 * The command line, built first where that is needed: after `npm ci`, and after the sources changed.
 *
 * Plain JavaScript, since it runs before anything is built. Where only the built service was
 * installed there are no sources, and `dist/` is what there is.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, statSync, utimesSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const ENTRY = join(ROOT, 'dist/cli/main.js');
const SOURCES = ['src', 'page'].map((name) => join(ROOT, name)).filter(existsSync);

if (isOutdated()) build();
await import(ENTRY);

/** Whether a source is newer than the entry, or was removed since: both change a folder or a file. */
function isOutdated() {
  if (SOURCES.length === 0) return false;
  if (!existsSync(ENTRY)) return true;
  const builtMs = statSync(ENTRY).mtimeMs;
  return SOURCES.some((folder) =>
    readdirSync(folder, { recursive: true })
      .map((name) => join(folder, name))
      .some((path) => statSync(path).mtimeMs > builtMs),
  );
}

function build() {
  process.stderr.write('earshot: building dist/, once\n');
  const compiler = createRequire(import.meta.url).resolve('typescript/bin/tsc');
  const steps = [[compiler, '-p', 'tsconfig.build.json'], ['scripts/build-page.mjs']];
  for (const args of steps) {
    // Standard output is for results.
    const stdio = ['ignore', 2, 2];
    const { status } = spawnSync(process.execPath, args, { cwd: ROOT, stdio });
    if (status !== 0) process.exit(2);
  }
  // The compiler leaves files alone that would not change.
  const now = new Date();
  utimesSync(ENTRY, now, now);
}
