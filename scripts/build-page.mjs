/** Builds `dist/page` from `page/`: scripts are stripped of their types, one module each; the rest is copied. */
import { cp, mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { extname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import ts from 'typescript';

const SOURCE = fileURLToPath(new URL('../page', import.meta.url));
const TARGET = fileURLToPath(new URL('../dist/page', import.meta.url));
/** Of what is copied; the sounds bring their attribution with them. */
const COPIED = new Set(['.html', '.css', '.svg', '.ogg', '.csv']);

const compilerOptions = {
  target: ts.ScriptTarget.ES2022,
  module: ts.ModuleKind.ESNext,
  verbatimModuleSyntax: true,
};

await rm(TARGET, { recursive: true, force: true });
for (const path of await readdir(SOURCE, { recursive: true })) {
  const [from, to] = [join(SOURCE, path), join(TARGET, path)];
  await mkdir(join(to, '..'), { recursive: true });
  if (COPIED.has(extname(path))) await cp(from, to);
  if (path.endsWith('.ts') && !path.endsWith('.d.ts')) {
    const { outputText } = ts.transpileModule(await readFile(from, 'utf8'), { compilerOptions });
    await writeFile(to.replace(/\.ts$/, '.js'), outputText);
  }
}
