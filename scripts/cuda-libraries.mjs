// The libraries that onnxruntime's CUDA provider wants from the machine, who brings them, and whether they are there.
// Read in the provider of onnxruntime-gpu 1.30.0: `readelf -d` for what it is linked with, its strings for the rest.

import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';

/** Of the driver: an image is built without it, and gets it when it is run. */
export const DRIVER_LIBRARY = 'libcuda.so.1';

/** By library: what it is, and its packages in NVIDIA's Debian and Ubuntu repository and on PyPI. */
const SUPPLIERS = {
  'libcudart.so.13': ['the CUDA 13 runtime', 'cuda-cudart-13-0', 'nvidia-cuda-runtime'],
  'libcublas.so.13': ['cuBLAS of CUDA 13', 'libcublas-13-0', 'nvidia-cublas'],
  'libcublasLt.so.13': ['cuBLAS of CUDA 13', 'libcublas-13-0', 'nvidia-cublas'],
  'libcurand.so.10': ['cuRAND of CUDA 13', 'libcurand-13-0', 'nvidia-curand'],
  'libcufft.so.12': ['cuFFT of CUDA 13', 'libcufft-13-0', 'nvidia-cufft'],
  'libnvrtc.so.13': ['the run-time compiler of CUDA 13', 'cuda-nvrtc-13-0', 'nvidia-cuda-nvrtc'],
  'libcudnn.so.9': ['cuDNN 9 for CUDA 13', 'libcudnn9-cuda-13', 'nvidia-cudnn-cu13'],
};

/** Opened by name while the provider runs, so that ldd says nothing of them. */
const OPENED_BY_NAME = ['libcudnn.so.9', 'libcufft.so.12', 'libnvrtc.so.13'];

/** In words, with the packages to choose from. */
export function supplierOf(library) {
  if (library === DRIVER_LIBRARY)
    return 'comes with the NVIDIA driver; in a container with `--gpus all`';
  const [what, debian, pypi] = SUPPLIERS[library] ?? [];
  if (what === undefined) return 'nothing that we know of';
  return `${what}: package ${debian} of NVIDIA's repository, or ${pypi} of PyPI on LD_LIBRARY_PATH`;
}

/**
 * Libraries that a file is linked with and that the loader does not find.
 *
 * @throws Error when ldd is not there, or does not know what to do with the file
 */
export function notFoundByLoader(path) {
  const { error, status, stdout, stderr } = spawnSync('ldd', [path], { encoding: 'utf8' });
  if (error) throw new Error(`ldd cannot be run (${error.code}), so what is missing is not known`);
  if (status !== 0) throw new Error(`ldd ${path}: ${(stderr || stdout).trim()}`);
  return [...stdout.matchAll(/^\s*(\S+) => not found$/gm)].map(([, library]) => library);
}

/** Of the libraries that are opened by name, those that the loader would not find. */
export function notThereByName() {
  const listed = knownToLoader();
  const folders = (process.env.LD_LIBRARY_PATH ?? '').split(':').filter((folder) => folder !== '');
  return OPENED_BY_NAME.filter(
    (library) =>
      !listed.has(library) && !folders.some((folder) => existsSync(join(folder, library))),
  );
}

function knownToLoader() {
  for (const program of ['ldconfig', '/sbin/ldconfig']) {
    const { status, stdout } = spawnSync(program, ['-p'], { encoding: 'utf8' });
    if (status === 0)
      return new Set([...stdout.matchAll(/^\s+(\S+) \(/gm)].map(([, name]) => name));
  }
  return new Set();
}
