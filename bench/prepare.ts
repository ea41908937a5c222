/** What the benchmark runs on, made once and kept in `bench/.cache/`: delete the folder to have it made anew. */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, renameSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const CACHE = join(ROOT, 'bench/.cache');
const TRAINING = join(ROOT, 'training');

/** Training's Python, and how its programs are started. */
export const python = {
  program: join(TRAINING, '.venv/bin/python'),
  cwd: TRAINING,
  env: { PYTHONPATH: TRAINING },
};

/** Path of a program of `bench/python/`. */
export const pythonFile = (file: string) => join(ROOT, 'bench/python', file);

/** Makes training's environment unless it is there. */
export function ensurePython(): void {
  execFileSync(process.execPath, [join(ROOT, 'scripts/training-venv.mjs')], { stdio: 'inherit' });
}

/** MP3 and FLAC at 44.1 kHz stereo, float32 at 16 kHz, of 10 s and 1 s: `10s.mp3`. */
export const prepareClips = (): string =>
  once('clips', (out) =>
    runPython([pythonFile('make_clips.py'), join(ROOT, 'test/fixtures/clips'), out]),
  );

/** Products in both precisions: `matrix.fp32.onnx`. */
export const prepareMatrices = (): string =>
  once('matrix', (out) => runPython([pythonFile('make_matrix_graphs.py'), out]));

/** A MODELS_DIR with one model of base size, `base`. */
export const prepareModels = (): string =>
  once('models', (out) =>
    runPython([
      ...['-m', 'bench.random_base', '--out', join(out, 'base')],
      ...['--precisions', 'fp32,int8'],
    ]),
  );

/** The same size as rivals want their graphs: `ast/`, `ced/`. */
export const prepareRivalGraphs = (): string =>
  once('rival-graphs', (out) => runPython([pythonFile('make_rival_graphs.py'), out]));

/** A package of npm, installed apart from our own; none of its scripts runs. */
export const preparePackage = (name: string, version: string): string =>
  once(join('packages', name), (out) => {
    mkdirSync(out, { recursive: true });
    execFileSync(
      'npm',
      [
        'install',
        '--ignore-scripts',
        '--no-audit',
        '--no-fund',
        '--prefix',
        out,
        `${name}@${version}`,
      ],
      { stdio: ['ignore', 'ignore', 'inherit'] },
    );
  });

function runPython(args: readonly string[]): void {
  const { program, cwd, env } = python;
  execFileSync(program, args, {
    cwd,
    env: { ...process.env, ...env },
    stdio: ['ignore', 'ignore', 'inherit'],
  });
}

/** Made under another name first: what is there is whole. */
function once(name: string, make: (out: string) => void): string {
  const path = join(CACHE, name);
  if (existsSync(path)) return path;
  console.error(`making ${name}`);
  const unfinished = `${path}.unfinished`;
  rmSync(unfinished, { recursive: true, force: true });
  mkdirSync(dirname(path), { recursive: true });
  make(unfinished);
  renameSync(unfinished, path);
  return path;
}
