/** Imports run one way, along the path of a request; the table says what each part may know. */
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, normalize, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import ts from 'typescript';
import { expect, test } from 'vitest';

const SRC = fileURLToPath(new URL('../src', import.meta.url));

/** Files that know nothing of the rest. `metrics` knows the types of what it observes. */
const LEAVES = [
  'errors',
  'log',
  'metrics',
  'config',
  'available-cores',
  'background-priority',
  'entry-point',
];

/** What each part may import; `types` only as types. */
const MAY_IMPORT: Record<string, { values: string[]; types?: string[] }> = {
  errors: { values: [] },
  log: { values: [] },
  'available-cores': { values: [] },
  'background-priority': { values: [] },
  'entry-point': { values: [] },
  config: { values: ['available-cores'] },
  metrics: { values: ['errors'], types: ['inference'] },
  audio: { values: ['errors', 'background-priority', 'entry-point'] },
  inference: {
    values: ['errors', 'background-priority', 'entry-point'],
    types: ['audio', 'log'],
  },
  ontology: { values: [] },
  outputs: { values: ['audio', 'errors'], types: ['inference', 'ontology'] },
  analyze: { values: ['audio', 'outputs', 'errors'], types: ['inference', 'metrics'] },
  http: {
    values: ['analyze', 'outputs', 'errors', 'metrics'],
    types: ['inference', 'ontology', 'log', 'config'],
  },
  app: { values: ['http', 'errors'], types: ['analyze', 'inference', 'ontology', ...LEAVES] },
  listen: { values: ['config'] },
  'side-servers': { values: ['http', 'listen'], types: ['config', 'metrics'] },
  service: {
    values: ['app', 'http', 'audio', 'inference', 'ontology', 'listen', 'side-servers', ...LEAVES],
  },
  main: { values: ['service', ...LEAVES] },
  cli: {
    values: ['analyze', 'audio', 'http', 'inference', 'ontology', 'outputs', 'main', ...LEAVES],
  },
  'make-api-key': { values: ['http'] },
};

/** Packages that one file, or one folder, alone may know. */
const ONLY_IN: Record<string, RegExp> = {
  'onnxruntime-node': /^inference\/session\.ts$/,
  express: /^(app\.ts|http\/)/,
  multer: /^http\/upload\.ts$/,
  'prom-client': /^metrics/,
  'fft.js': /^audio\/spectrum\.ts$/,
  'node:worker_threads': /^audio\/decode-(thread|worker)\.ts$/,
  'node:child_process': /^(audio\/ffmpeg\/|inference\/engine-process\.ts)/,
  pino: /^log\.ts$/,
  '@resvg/resvg-js': /^outputs\/picture\/render-png\.ts$/,
  zod: /^(config|inference\/model-card|http\/api-keys)\.ts$/,
  cors: /^http\/cors\.ts$/,
  'express-rate-limit': /^http\/(caller|rate-limit)\.ts$/,
};

interface Import {
  readonly from: string;
  readonly to: string;
  readonly isTypeOnly: boolean;
}

/** Every import and re-export in `src`, with paths relative to it; packages keep their names. */
const imports: readonly Import[] = sourceFiles().flatMap((from) => {
  const path = join(SRC, from);
  const source = ts.createSourceFile(path, readFileSync(path, 'utf8'), ts.ScriptTarget.Latest);
  const importOf = ({ text }: ts.StringLiteral, isTypeOnly: boolean): Import => {
    const to = text.startsWith('.')
      ? normalize(join(dirname(from), text)).replace(/\.js$/, '.ts')
      : text;
    return { from, to, isTypeOnly };
  };
  const atTheTop = source.statements.flatMap((statement): Import[] => {
    if (!ts.isImportDeclaration(statement) && !ts.isExportDeclaration(statement)) return [];
    const { moduleSpecifier } = statement;
    if (!moduleSpecifier || !ts.isStringLiteral(moduleSpecifier)) return [];
    return [importOf(moduleSpecifier, isTypeOnly(statement))];
  });
  return [...atTheTop, ...importCalls(source).map((specifier) => importOf(specifier, false))];
});

/** What is imported only when it is needed. */
function importCalls(node: ts.Node): ts.StringLiteral[] {
  const found: ts.StringLiteral[] = [];
  const visit = (each: ts.Node): void => {
    const isCall =
      ts.isCallExpression(each) && each.expression.kind === ts.SyntaxKind.ImportKeyword;
    const argument = isCall ? each.arguments[0] : undefined;
    if (argument && ts.isStringLiteral(argument)) found.push(argument);
    ts.forEachChild(each, visit);
  };
  visit(node);
  return found;
}

function sourceFiles(): string[] {
  const entries = readdirSync(SRC, { recursive: true, encoding: 'utf8' });
  return entries.filter((name) => /(?<!\.d)\.ts$/.test(name)).map((name) => relative('.', name));
}

function isTypeOnly(statement: ts.ImportDeclaration | ts.ExportDeclaration): boolean {
  if (ts.isExportDeclaration(statement)) return statement.isTypeOnly;
  const { importClause } = statement;
  if (importClause === undefined) return false;
  if (importClause.isTypeOnly) return true;
  const { name, namedBindings } = importClause;
  if (name !== undefined || !namedBindings || !ts.isNamedImports(namedBindings)) return false;
  return namedBindings.elements.every((element) => element.isTypeOnly);
}

/** The part that a file belongs to: its folder, or its own name at the top. */
const partOf = (path: string): string => path.split('/')[0]?.replace(/\.ts$/, '') ?? path;
const isOurs = ({ to }: Import): boolean => to.endsWith('.ts');

test('imports made while running are seen too', () => {
  expect(imports).toContainEqual({ from: 'service.ts', to: 'app.ts', isTypeOnly: false });
});

test('the table knows every part, and only those there are', () => {
  expect(Object.keys(MAY_IMPORT).toSorted()).toEqual(
    [...new Set(sourceFiles().map(partOf))].toSorted(),
  );
});

test('no part imports what it must not know', () => {
  const wrong = imports.filter(isOurs).filter(({ from, to, isTypeOnly: isType }) => {
    if (partOf(from) === partOf(to)) return false;
    const allowed = MAY_IMPORT[partOf(from)];
    return (
      !allowed?.values.includes(partOf(to)) && !(isType && allowed?.types?.includes(partOf(to)))
    );
  });
  expect(wrong).toEqual([]);
});

test('outputs know of inference only the model card', () => {
  const known = imports.filter(
    ({ from, to }) => partOf(from) === 'outputs' && to.startsWith('inf'),
  );
  expect([...new Set(known.map(({ to }) => to))]).toEqual(['inference/model-card.ts']);
});

test('each of these packages is known in one place', () => {
  for (const [name, place] of Object.entries(ONLY_IN)) {
    const users = imports.filter(({ to }) => to === name || to.startsWith(`${name}/`));
    expect(users.length, name).toBeGreaterThan(0);
    expect(
      users.filter(({ from }) => !place.test(from)),
      name,
    ).toEqual([]);
  }
});

test('only config reads the environment', () => {
  const readers = sourceFiles().filter((path) =>
    readFileSync(join(SRC, path), 'utf8').includes('process.env'),
  );
  expect(readers).toEqual(['config.ts']);
});

test('no file imports itself by a detour', () => {
  const edges = imports.filter((each) => isOurs(each) && !each.isTypeOnly);
  const open = new Set<string>();
  const done = new Set<string>();
  const visit = (path: string, way: string[]): void => {
    if (done.has(path)) return;
    if (open.has(path)) throw new Error(`A circle: ${[...way, path].join(' -> ')}`);
    open.add(path);
    for (const { from, to } of edges) if (from === path) visit(to, [...way, path]);
    open.delete(path);
    done.add(path);
  };
  for (const path of sourceFiles()) visit(path, []);
  expect(done.size).toBe(sourceFiles().length);
});
