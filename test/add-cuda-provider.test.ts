/** The script that puts the CUDA provider in place, on small shared objects that stand in for the real ones. */
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import manifest from '../package.json' with { type: 'json' };

const SCRIPT = fileURLToPath(new URL('../scripts/add-cuda-provider.mjs', import.meta.url));
const VERSION = manifest.dependencies['onnxruntime-node'];
const SHARED = 'libonnxruntime_providers_shared.so';
const CUDA = 'libonnxruntime_providers_cuda.so';

/** Linked with, and opened by name; each with a word that stands in its packages' names or its supplier's. */
const LINKED = {
  'libcudart.so.13': 'cuda-cudart-13-0',
  'libcublas.so.13': 'libcublas-13-0',
  'libcublasLt.so.13': 'libcublas-13-0',
  'libcurand.so.10': 'libcurand-13-0',
  'libcuda.so.1': 'NVIDIA driver',
};
const BY_NAME = {
  'libcudnn.so.9': 'libcudnn9-cuda-13',
  'libcufft.so.12': 'libcufft-13-0',
  'libnvrtc.so.13': 'cuda-nvrtc-13-0',
};
const SUPPLIERS: Readonly<Record<string, string>> = { ...LINKED, ...BY_NAME };

const hasTools =
  `${process.platform}/${process.arch}` === 'linux/x64' &&
  ['gcc', 'nm', 'ldd'].every((tool) => spawnSync(tool, ['--version']).status === 0);
/** What this machine has anyway cannot be taken away from it. */
const ofThisMachine = hasTools
  ? execFileSync('/sbin/ldconfig', ['-p'], { encoding: 'utf8', maxBuffer: 2 ** 26 })
  : '';
const removable = Object.keys(SUPPLIERS).filter((name) => !ofThisMachine.includes(`\t${name} `));

let folder: string;
let libraries: string;
let into: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'earshot-cuda-'));
  libraries = join(folder, 'libraries');
  into = join(folder, 'binding');
  for (const each of [libraries, into, join(folder, 'wheel')]) mkdirSync(each);
});
afterEach(() => rmSync(folder, { recursive: true }));

function compile(path: string, source: string, flags: readonly string[] = []): void {
  const args = ['-shared', '-fPIC', '-o', path, '-x', 'c', '-', '-x', 'none', ...flags];
  execFileSync('gcc', args, { input: source, stdio: ['pipe', 'ignore', 'inherit'] });
}

/** A provider and its bridge in `where`, and all that it wants in `libraries`. */
function makeProvider(where: string, { version = VERSION, symbol = 'GetProvider' } = {}): void {
  for (const name of Object.keys(SUPPLIERS))
    compile(join(libraries, name), '', [`-Wl,-soname,${name}`]);
  compile(join(where, SHARED), '');
  const source = `const char version[] = "\\0" "${version}"; void *${symbol}(void) { return 0; }`;
  const links = Object.keys(LINKED).map((name) => `-l:${name}`);
  compile(join(where, CUDA), source, [`-L${libraries}`, '-Wl,--no-as-needed', ...links]);
}

function runScript(
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
): { status: number | null; lines: string[] } {
  const { status, stdout, stderr } = spawnSync(process.execPath, [SCRIPT, ...args], {
    encoding: 'utf8',
    env: { PATH: process.env.PATH, LD_LIBRARY_PATH: libraries, ...env },
  });
  return { status, lines: `${stdout}${stderr}`.trimEnd().split('\n') };
}

const check = (...args: string[]) => runScript(['--check', '--into', into, ...args]);

describe.skipIf(!hasTools)('with gcc, nm and ldd on linux/x64', () => {
  test('files of the right version are copied, and nothing is missing', () => {
    const capi = join(folder, 'wheel/onnxruntime/capi');
    mkdirSync(capi, { recursive: true });
    makeProvider(capi);
    const { status, lines } = runScript(['--from', join(folder, 'wheel'), '--into', into]);
    expect(lines).toEqual([
      `CUDA provider of onnxruntime-node ${VERSION} in ${into}`,
      `ok       ${CUDA} is of version ${VERSION}`,
      `ok       ${CUDA} has GetProvider`,
      'ok       libraries are all found',
    ]);
    expect(status).toBe(0);
    expect(readdirSync(into).toSorted()).toEqual([CUDA, SHARED]);
  });

  test('each library that is missing is named, with who brings it', () => {
    makeProvider(into);
    expect(check().status).toBe(0);
    expect(removable.length).toBeGreaterThan(0);
    for (const name of removable) {
      rmSync(join(libraries, name));
      const { status, lines } = check();
      expect(status).toBe(1);
      const missing = lines.filter((line) => line.startsWith('missing'));
      expect(missing).toHaveLength(1);
      expect(missing[0]).toContain(`${name} `);
      expect(missing[0]).toContain(SUPPLIERS[name]);
      compile(join(libraries, name), '', [`-Wl,-soname,${name}`]);
    }
  });

  test.skipIf(!removable.includes('libcuda.so.1'))(
    'an image may be built without the driver, and with nothing else less',
    () => {
      makeProvider(into);
      rmSync(join(libraries, 'libcuda.so.1'));
      const built = check('--without-driver');
      expect(built.lines.at(-1)).toMatch(/^later {4}libcuda\.so\.1 comes with the NVIDIA driver/);
      expect(built.status).toBe(0);
      expect(check().status).toBe(1);
      rmSync(join(libraries, 'libcudnn.so.9'));
      expect(check('--without-driver').status).toBe(1);
    },
  );

  test('files of another version are not copied, and are found out where they lie', () => {
    const other = `${VERSION}1`;
    makeProvider(join(folder, 'wheel'), { version: other });
    const { status, lines } = runScript(['--from', join(folder, 'wheel'), '--into', into]);
    expect(lines.join()).toContain(`expected version ${VERSION}, it names another`);
    expect(status).toBe(1);
    expect(readdirSync(into)).toEqual([]);
    makeProvider(into, { version: other });
    expect(check().lines).toContain(`wrong    ${CUDA} is not of version ${VERSION}`);
    expect(check().status).toBe(1);
  });

  test('a plugin build under the same name is refused', () => {
    makeProvider(into, { symbol: 'CreateEpFactories' });
    const { status, lines } = check();
    expect(lines).toContain(
      `wrong    ${CUDA} has no GetProvider: a plugin build, which Node cannot load`,
    );
    expect(status).toBe(1);
  });

  test('without nm it says what it did not look for; without ldd it does not pass', () => {
    makeProvider(into);
    const programs = join(folder, 'programs');
    mkdirSync(programs);
    const env = { PATH: programs };
    const withNothing = runScript(['--check', '--into', into], env);
    expect(withNothing.lines.join('\n')).toMatch(/^wrong {4}ldd cannot be run \(ENOENT\)|ldd ldd/m);
    expect(withNothing.status).toBe(1);
    symlinkSync(execFileSync('which', ['ldd'], { encoding: 'utf8' }).trim(), join(programs, 'ldd'));
    const withLdd = runScript(['--check', '--into', into], env);
    expect(withLdd.lines[2]).toMatch(/^note {5}nm is not here .* GetProvider was not looked for$/);
    expect(withLdd.status).toBe(0);
  });
});

test('says which files are not there, and where it looked', () => {
  const { status, lines } = check();
  expect(lines[0]).toContain(into);
  for (const file of [SHARED, CUDA])
    expect(lines).toContainEqual(expect.stringMatching(`^missing  ${file} is not beside`));
  expect(status).toBe(1);
});

test('a folder without the files, and an option that is none, are told', () => {
  const { status, lines } = runScript(['--from', folder, '--into', into]);
  expect(lines.join()).toMatch(`${folder}: expected ${CUDA}`);
  expect(status).toBe(1);
  expect(runScript(['--frm', folder]).lines.join('\n')).toContain('--from FOLDER');
  expect(existsSync(join(into, CUDA))).toBe(false);
});
