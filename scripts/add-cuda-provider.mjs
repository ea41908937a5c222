// Puts onnxruntime's CUDA provider beside its Node binding, where alone it is found, and checks that it can be loaded.
// Plain Node without dependencies of its own. Ends with 1 when anything is missing, and says what, and who brings it.

import { spawnSync } from 'node:child_process';
import { copyFileSync, existsSync, readFileSync, rmSync } from 'node:fs';
import { join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { DRIVER_LIBRARY, notFoundByLoader, notThereByName, supplierOf } from './cuda-libraries.mjs';

const USAGE = `node scripts/add-cuda-provider.mjs [options]

  (nothing)          the package's own install script fetches the files, from the network
  --from FOLDER      take them from FOLDER: an unpacked onnxruntime-gpu wheel of the same version, or the files alone
  --check            put nothing in place, only look at what is there
  --without-driver   the NVIDIA driver need not be here: an image is built without it
  --into FOLDER      the folder of the binding, when it is not that of node_modules`;

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const PACKAGE = join(ROOT, 'node_modules/onnxruntime-node');
const SHARED = 'libonnxruntime_providers_shared.so';
const CUDA = 'libonnxruntime_providers_cuda.so';

class Failure extends Error {}

try {
  const options = readOptions();
  const version = pinnedVersion();
  const into = options.into ?? join(PACKAGE, 'bin/napi-v6/linux/x64');
  if (!options.check) putInPlace({ from: options.from, into, version });
  console.log(`CUDA provider of onnxruntime-node ${version} in ${shown(into)}`);
  process.exitCode = check({ into, version, withDriver: !options['without-driver'] }) ? 0 : 1;
} catch (error) {
  if (!(error instanceof Failure)) throw error;
  console.error(error.message);
  process.exitCode = 1;
}

function readOptions() {
  try {
    const { values } = parseArgs({
      options: {
        from: { type: 'string' },
        into: { type: 'string' },
        check: { type: 'boolean', default: false },
        'without-driver': { type: 'boolean', default: false },
      },
    });
    return values;
  } catch (error) {
    throw new Failure(`${error.message}\n${USAGE}`);
  }
}

/** The bridge to the provider is a table that only files of one build agree on, so there is but one version. */
function pinnedVersion() {
  const { dependencies } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8'));
  const pinned = dependencies['onnxruntime-node'];
  const manifest = join(PACKAGE, 'package.json');
  if (!existsSync(manifest)) throw new Failure('onnxruntime-node is not installed; run npm ci');
  const { version } = JSON.parse(readFileSync(manifest, 'utf8'));
  if (version === pinned) return version;
  throw new Failure(`Expected onnxruntime-node ${pinned}, ${version} is installed; run npm ci`);
}

function putInPlace({ from, into, version }) {
  if (`${process.platform}/${process.arch}` !== 'linux/x64')
    throw new Failure(
      `There is a CUDA provider for linux/x64 alone, this is ${process.platform}/${process.arch}`,
    );
  if (from === undefined) fetchFiles(into);
  else copyFiles({ from, into, version });
}

function copyFiles({ from, into, version }) {
  const folder = [from, join(from, 'onnxruntime/capi')].find((each) =>
    existsSync(join(each, CUDA)),
  );
  if (folder === undefined)
    throw new Failure(`${from}: expected ${CUDA} in it, or in onnxruntime/capi`);
  // Before anything is copied: another version may load, and then take the process down.
  if (!isOfVersion(join(folder, CUDA), version))
    throw new Failure(`${join(folder, CUDA)}: expected version ${version}, it names another`);
  if (!existsSync(join(folder, SHARED))) throw new Failure(`${folder}: expected ${SHARED} in it`);
  for (const file of [SHARED, CUDA]) copyFileSync(join(folder, file), join(into, file));
}

function fetchFiles(into) {
  if (into !== join(PACKAGE, 'bin/napi-v6/linux/x64'))
    throw new Failure('--into needs --from: the install script knows no other place than its own');
  const script = join(PACKAGE, 'script/install.js');
  const env = { ...process.env, ONNXRUNTIME_NODE_INSTALL: 'true' };
  const { status } = spawnSync(process.execPath, [script], { env, stdio: 'inherit' });
  if (status !== 0)
    throw new Failure(
      `The install script of onnxruntime-node could not fetch the files (exit code ${status}). ` +
        'Where its feed cannot be reached, give an unpacked onnxruntime-gpu wheel with --from.',
    );
  // Of no use without TensorRT.
  rmSync(join(into, 'libonnxruntime_providers_tensorrt.so'), { force: true });
}

/** Prints a line for each thing that is looked at; true when nothing is missing. */
function check({ into, version, withDriver }) {
  const absent = [SHARED, CUDA].filter((file) => !existsSync(join(into, file)));
  for (const file of absent)
    say('missing', file, 'is not beside the binding: run this without --check');
  if (absent.length > 0) return false;
  const cuda = join(into, CUDA);
  const results = [
    isRightVersion(cuda, version),
    hasProviderSymbol(cuda),
    findsLibraries(into, withDriver),
  ];
  return results.every(Boolean);
}

function isRightVersion(path, version) {
  const isRight = isOfVersion(path, version);
  if (isRight) say('ok', CUDA, `is of version ${version}`);
  else say('wrong', CUDA, `is not of version ${version}`);
  return isRight;
}

/** The version stands in the provider as a string of its own. */
function isOfVersion(path, version) {
  return readFileSync(path).includes(`\0${version}\0`);
}

/** A plugin build bears the same name and cannot be loaded from Node. */
function hasProviderSymbol(path) {
  const { error, stdout } = spawnSync('nm', ['-D', '--defined-only', path], {
    encoding: 'utf8',
    maxBuffer: 2 ** 28,
  });
  if (error) {
    say('note', 'nm', 'is not here (package binutils), so GetProvider was not looked for');
    return true;
  }
  const isThere = /\bGetProvider\b/.test(stdout);
  if (isThere) say('ok', CUDA, 'has GetProvider');
  else say('wrong', CUDA, 'has no GetProvider: a plugin build, which Node cannot load');
  return isThere;
}

function findsLibraries(into, withDriver) {
  const missing = new Set(notThereByName());
  try {
    for (const file of [SHARED, CUDA])
      for (const library of notFoundByLoader(join(into, file))) missing.add(library);
  } catch (error) {
    say('wrong', 'ldd', error.message);
    return false;
  }
  const isLater = (library) => library === DRIVER_LIBRARY && !withDriver;
  for (const library of [...missing].sort())
    say(isLater(library) ? 'later' : 'missing', library, supplierOf(library));
  if (missing.size === 0) say('ok', 'libraries', 'are all found');
  return [...missing].every(isLater);
}

function say(state, name, what) {
  console.log(`${state.padEnd(8)} ${name} ${what}`);
}

function shown(path) {
  return path.startsWith(ROOT) ? relative(ROOT, path) : path;
}
