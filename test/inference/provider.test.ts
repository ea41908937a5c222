import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import {
  classifyCudaFailure,
  missingProviderFile,
  platformFailure,
} from '../../src/inference/provider.js';

// Lines as the runtime writes them, colours included.
const start =
  '\u001b[1;31m2026-11-22 09:46:13.5 [E:onnxruntime:, provider_bridge_ort.cc:2146 Create] ';
const loadFailure = `${start}/src/provider_bridge_ort.cc:1988 onnxruntime::ProviderLibrary::Get() [ONNXRuntimeError] : 1 : FAIL : Failed to load library /app/bin/libonnxruntime_providers_cuda.so with error:`;
const thrown = 'OrtSessionOptionsAppendExecutionProvider_Cuda: Failed to load shared library';

describe('classifyCudaFailure', () => {
  it.each([
    [
      'a missing CUDA library',
      `${loadFailure} libcublasLt.so.13: cannot open shared object file: No such file or directory\n\u001b[m`,
      'lib_missing',
      'libcublasLt.so.13: cannot open shared object file: No such file or directory',
    ],
    [
      'a missing provider file',
      `${loadFailure} /app/bin/libonnxruntime_providers_cuda.so: cannot open shared object file: No such file or directory`,
      'lib_missing',
      'libonnxruntime_providers_cuda.so: cannot open shared object file: No such file or directory',
    ],
    [
      'a provider of another build',
      `${loadFailure} /app/bin/libonnxruntime_providers_cuda.so: undefined symbol: GetProvider`,
      'lib_missing',
      'libonnxruntime_providers_cuda.so: undefined symbol: GetProvider',
    ],
    [
      'no device',
      'CUDA failure 100: no CUDA-capable device is detected ; GPU=-1 ; expr=cudaSetDevice(info_.device_id)',
      'no_device',
      'CUDA failure 100: no CUDA-capable device is detected ; GPU=-1 ; expr=cudaSetDevice(info_.device_id)',
    ],
    [
      'an old driver',
      'CUDA failure 35: CUDA driver version is insufficient for CUDA runtime version',
      'no_device',
      'CUDA failure 35: CUDA driver version is insufficient for CUDA runtime version',
    ],
    [
      'a full device',
      'CUDA failure 2: out of memory ; GPU=0',
      'oom',
      'CUDA failure 2: out of memory ; GPU=0',
    ],
    ['a message without a line', '', 'lib_missing', thrown],
  ])('names %s', (_name, stderr, reason, detail) => {
    expect(classifyCudaFailure(thrown, stderr)).toEqual({ reason, detail });
  });

  it('keeps an unknown cause in its own words', () => {
    const message = 'This session contains graph nodes that are assigned to the default CPU EP';
    expect(classifyCudaFailure(message, 'some warning\n')).toEqual({
      reason: 'other',
      detail: message,
    });
  });
});

describe('platformFailure', () => {
  it('lets CUDA be tried on linux/x64 alone', () => {
    expect(platformFailure('linux', 'x64')).toBeUndefined();
    expect(platformFailure('linux', 'arm64')).toMatchObject({ reason: 'unsupported_platform' });
    expect(platformFailure('darwin', 'arm64')?.detail).toContain('darwin/arm64');
  });
});

describe('missingProviderFile', () => {
  it('names the first file that is not beside the binding', () => {
    const folder = mkdtempSync(join(tmpdir(), 'earshot-binding-'));
    for (const file of ['shared', 'cuda'].map((name) => `libonnxruntime_providers_${name}.so`)) {
      const failure = missingProviderFile(folder);
      expect(failure?.reason).toBe('lib_missing');
      expect(failure?.detail).toMatch(new RegExp(`^${file} is not beside onnxruntime's binding`));
      writeFileSync(join(folder, file), '');
    }
    expect(missingProviderFile(folder)).toBeUndefined();
    rmSync(folder, { recursive: true });
  });
});
