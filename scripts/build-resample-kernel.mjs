// Assembles src/audio/resample-kernel.wat and writes it as src/audio/resample-kernel.ts.
import { readFile, writeFile } from 'node:fs/promises';
import wabt from 'wabt';

const SOURCE = new URL('../src/audio/resample-kernel.wat', import.meta.url);
const TARGET = new URL('../src/audio/resample-kernel.ts', import.meta.url);
const BASE64_PER_LINE = 88;

/** The module source text that holds the assembled kernel. */
export async function buildKernelModule() {
  const { parseWat } = await wabt();
  const module = parseWat('resample-kernel.wat', await readFile(SOURCE, 'utf8'), { simd: true });
  const { buffer } = module.toBinary({});
  module.destroy();
  const lines = Buffer.from(buffer)
    .toString('base64')
    .match(new RegExp(`.{1,${BASE64_PER_LINE}}`, 'g'));
  const literal = lines.map((line) => `  '${line}'`).join(' +\n');
  return [
    '// Generated from resample-kernel.wat by scripts/build-resample-kernel.mjs; not edited by hand.',
    '',
    '/** The resampling kernel: a WebAssembly module in base64. */',
    `export const RESAMPLE_KERNEL =\n${literal};`,
    '',
  ].join('\n');
}

if (import.meta.url === new URL(process.argv[1], 'file:').href) {
  await writeFile(TARGET, await buildKernelModule());
}
