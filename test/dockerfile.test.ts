/** What can be told of the image without building it. */
import { existsSync, readFileSync } from 'node:fs';
import { expect, test } from 'vitest';

const read = (path: string) => readFileSync(new URL(`../${path}`, import.meta.url), 'utf8');
const exists = (path: string) => existsSync(new URL(`../${path}`, import.meta.url));

interface Instruction {
  readonly name: string;
  readonly rest: string;
}

const instructions: readonly Instruction[] = read('Dockerfile')
  .replace(/^#.*\n/gm, '')
  .replace(/\\\n/g, ' ')
  .split('\n')
  .filter((line) => line.trim() !== '')
  .map((line) => {
    const [, name = '', rest = ''] = /^([A-Z]+)\s+(.*)$/.exec(line) ?? [];
    return { name, rest };
  });

const all = (name: string) => instructions.filter((each) => each.name === name);
const lastStage = instructions.slice(instructions.findLastIndex(({ name }) => name === 'FROM'));

test('every line is an instruction', () => {
  expect(instructions.filter(({ name }) => name === '')).toEqual([]);
  expect(instructions.length).toBeGreaterThan(20);
});

test('images are arguments with a fixed tag, stages are named', () => {
  const defaults = new Map(
    all('ARG').map(({ rest }) => rest.split('=') as [name: string, value: string]),
  );
  const stages = new Set<string>();
  for (const { rest } of all('FROM')) {
    const [, image = '', stage = ''] = /^(\S+) AS (\w+)$/.exec(rest) ?? [];
    const argument = /^\$\{(\w+)\}$/.exec(image)?.[1];
    if (argument) expect(defaults.get(argument)).toMatch(/^[\w/.-]+:(?!latest)[\w.-]+$/);
    else expect(stages).toContain(image);
    stages.add(stage);
  }
  for (const { rest } of all('COPY')) {
    const from = /--from=(\w+)/.exec(rest)?.[1];
    if (from) expect(stages).toContain(from);
  }
});

test('what is copied is in the repository, and let through by .dockerignore', () => {
  const letThrough = new Set(
    read('.dockerignore')
      .split('\n')
      .filter((line) => line.startsWith('!'))
      .map((line) => line.slice(1)),
  );
  const copied = all('COPY')
    .filter(({ rest }) => !rest.includes('--from='))
    .flatMap(({ rest }) => rest.split(/\s+/).slice(0, -1));
  expect(copied.toSorted()).toEqual(expect.arrayContaining(['models', 'openapi.yaml', 'src']));
  for (const path of copied) {
    expect.soft(exists(path), path).toBe(true);
    expect.soft(letThrough, path).toContain(path);
  }
});

test('the image runs without root, watched, from what the build writes', () => {
  const only = (name: string) => lastStage.find((each) => each.name === name)?.rest ?? '';
  expect(only('USER')).toMatch(/^[1-9]\d+:[1-9]\d+$/);
  expect(only('HEALTHCHECK')).toContain('/livez');
  expect(JSON.parse(only('CMD'))).toEqual(['node', 'dist/main.js']);
  const { outDir } = JSON.parse(read('tsconfig.build.json')).compilerOptions;
  expect(outDir).toBe('dist');
  expect(exists('src/main.ts')).toBe(true);
  const spool = /SPOOL_DIR=(\S+)/.exec(only('ENV'))?.[1];
  expect(JSON.parse(only('VOLUME'))).toEqual([spool]);
});
