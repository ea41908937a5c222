// Makes training/.venv from the pinned requirements, once per state of them.
// Plain Node without dependencies, so that it runs before anything is installed.
// Run by itself it makes the environment; scripts/test-training.mjs uses it first.

import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const LEAST_PYTHON = [3, 11];
const training = fileURLToPath(new URL('../training/', import.meta.url));
const venv = join(training, '.venv');
const stampFile = join(venv, 'earshot-requirements.sha256');
const binaries = join(venv, process.platform === 'win32' ? 'Scripts' : 'bin');

/** Path of a program of the environment, such as `pytest`. */
export const venvProgram = (name) =>
  join(binaries, process.platform === 'win32' ? `${name}.exe` : name);

/** Makes or updates training/.venv unless it is what the lock and pyproject.toml ask for. */
export function ensureTrainingVenv() {
  const stamp = requirementsStamp();
  const isUsable = pythonVersion(venvProgram('python')) !== undefined;
  if (isUsable && existsSync(stampFile) && readFileSync(stampFile, 'utf8') === stamp) return;
  if (!isUsable) run(findPython(), ['-m', 'venv', '--clear', venv]);
  const pip = ['-m', 'pip', 'install', '--disable-pip-version-check', '--quiet'];
  run(venvProgram('python'), [...pip, '-r', join(training, 'requirements.lock')]);
  run(venvProgram('python'), [...pip, '--no-deps', '--no-build-isolation', '-e', training]);
  writeFileSync(stampFile, stamp);
}

/** Runs a program, its output shown; ends this process with its status when that is not 0. */
export function run(program, args, options = {}) {
  console.log(`$ ${[program, ...args].join(' ')}`);
  const { status, error } = spawnSync(program, args, { stdio: 'inherit', ...options });
  if (error) fail(`${program} could not be started: ${error.message}`);
  if (status !== 0) process.exit(status ?? 1);
}

function requirementsStamp() {
  const hash = createHash('sha256');
  for (const file of ['requirements.lock', 'pyproject.toml']) {
    hash.update(readFileSync(join(training, file)));
  }
  return hash.digest('hex');
}

/** The first Python on this machine that is new enough; `PYTHON` names another. */
function findPython() {
  const named = process.env.PYTHON;
  const names = named ? [named] : ['python3.11', 'python3.12', 'python3.13', 'python3', 'python'];
  const found = names
    .map((name) => ({ name, version: pythonVersion(name) }))
    .filter(({ version }) => version !== undefined);
  const fit = found.find(({ version }) => isEnough(version));
  if (fit) return fit.name;
  const came = found.map(({ name, version }) => `${name} is ${version.join('.')}`).join(', ');
  return fail(
    `Training needs Python >= ${LEAST_PYTHON.join('.')}, found ${came || 'none'} ` +
      `(looked for ${names.join(', ')}). Install it, or name one with PYTHON=/path/to/python.`,
  );
}

const isEnough = ([major, minor]) =>
  major === LEAST_PYTHON[0] ? minor >= LEAST_PYTHON[1] : major > LEAST_PYTHON[0];

/** [major, minor], or undefined when the program does not run. */
function pythonVersion(program) {
  const print = 'import sys; print(*sys.version_info[:2])';
  const { status, stdout } = spawnSync(program, ['-c', print], { encoding: 'utf8' });
  return status === 0 ? stdout.trim().split(' ').map(Number) : undefined;
}

function fail(message) {
  console.error(message);
  return process.exit(1);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) ensureTrainingVenv();
