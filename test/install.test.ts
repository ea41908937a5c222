/** What a fresh clone installs: pinned, without scripts from the network, under licences that may be shipped. */
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { describe, expect, test } from 'vitest';

const read = (path: string) => readFileSync(new URL(`../${path}`, import.meta.url), 'utf8');

interface LockedPackage {
  readonly version: string;
  readonly license?: string;
  readonly dev?: boolean;
  readonly hasInstallScript?: boolean;
  readonly optionalDependencies?: Readonly<Record<string, string>>;
}

const manifest = JSON.parse(read('package.json'));
const locked: Record<string, LockedPackage> = JSON.parse(read('package-lock.json')).packages;

const nameOf = (path: string): string => path.replace(/^.*node_modules\//, '');

/** Everything that runs in production, by its path in `node_modules`. */
const shipped = Object.entries(locked).filter(([path, entry]) => path !== '' && !entry.dev);

describe('versions', () => {
  test('every dependency is pinned to one version, the one that is locked', () => {
    for (const [name, version] of Object.entries({
      ...manifest.dependencies,
      ...manifest.devDependencies,
    })) {
      expect.soft(version, name).toMatch(/^\d+\.\d+\.\d+$/);
      expect.soft(locked[`node_modules/${name}`]?.version, name).toBe(version);
    }
  });

  test('onnxruntime-node is exactly the version whose traps are known', () => {
    expect(locked['node_modules/onnxruntime-node']?.version).toBe('1.30.0');
    expect(manifest.optionalDependencies).toBeUndefined();
  });

  test('multer is past the versions that a small body can end', () => {
    const [major = 0, minor = 0] = (locked['node_modules/multer']?.version ?? '')
      .split('.')
      .map(Number);
    expect(major * 1000 + minor).toBeGreaterThanOrEqual(2003);
  });
});

test('the lock holds the optional packages of all platforms, without which npm ci refuses it', () => {
  const known = new Set(Object.keys(locked).map(nameOf));
  const wanted = Object.values(locked).flatMap((entry) =>
    Object.keys(entry.optionalDependencies ?? {}),
  );
  expect(wanted.length).toBeGreaterThan(20);
  expect(wanted.filter((name) => !known.has(name))).toEqual([]);
});

describe('install scripts', () => {
  test('the runtime downloads nothing: said in three ways for three kinds of npm', () => {
    expect(read('.npmrc')).toMatch(/^onnxruntime-node-install=skip$/m);
    expect(manifest.allowScripts['onnxruntime-node']).toBe(false);
    expect(read('Dockerfile')).toMatch(/ONNXRUNTIME_NODE_INSTALL=skip/);
  });

  test('no package of production may run a script that was not decided on', () => {
    const withScripts = shipped.filter(([, { hasInstallScript }]) => hasInstallScript);
    for (const [path] of withScripts) {
      expect.soft(manifest.allowScripts, path).toHaveProperty([nameOf(path)], false);
    }
    // It would report the installation to its makers.
    expect(manifest.scarfSettings).toEqual({ enabled: false });
  });

  test('without its script the runtime still loads', () => {
    const runtime = createRequire(import.meta.url)('onnxruntime-node');
    expect(runtime.listSupportedBackends().map(({ name }: { name: string }) => name)).toContain(
      'cpu',
    );
  });
});

describe('licences', () => {
  const PERMISSIVE = /^(MIT|ISC|BSD-2-Clause|BSD-3-Clause|Apache-2\.0|0BSD|BlueOak-1\.0\.0)$/;
  /** Weak copyleft and a font, each decided on by name, each in NOTICE. */
  const EXCEPTIONS: Record<string, string> = {
    'codec-parser': 'LGPL-3.0-or-later',
    '@resvg/resvg-js': 'MPL-2.0',
    '@expo-google-fonts/atkinson-hyperlegible': 'MIT AND OFL-1.1',
  };
  /** What is built for one platform belongs to the package that brings it. */
  const familyOf = (name: string) => name.replace(/^(@resvg\/resvg-js)-.*/, '$1');

  function licenceOf(path: string, entry: LockedPackage): string | undefined {
    if (entry.license !== undefined) return entry.license;
    // busboy still says it in the old way.
    const { licenses } = JSON.parse(read(`${path}/package.json`));
    return licenses?.[0]?.type;
  }

  test('all of production may be shipped', () => {
    expect(shipped.length).toBeGreaterThan(50);
    for (const [path, entry] of shipped) {
      const licence = licenceOf(path, entry);
      const alternatives = licence?.replace(/[()]/g, '').split(' OR ') ?? [];
      const isAllowed =
        alternatives.some((one) => PERMISSIVE.test(one)) ||
        EXCEPTIONS[familyOf(nameOf(path))] === licence;
      expect.soft(isAllowed, `${path}: ${licence}`).toBe(true);
    }
  });

  test('NOTICE names the exceptions; the package has its own licence', () => {
    for (const [name, licence] of Object.entries(EXCEPTIONS)) {
      expect(read('NOTICE')).toContain(name);
      expect(read('NOTICE')).toContain(licence);
    }
    expect(manifest.license).toBe('MIT');
    expect(read('LICENSE')).toMatch(/^MIT License/);
  });
});

test('Node is one that the dependencies take', () => {
  expect(manifest.engines.node).toBe('>=20.19');
});
