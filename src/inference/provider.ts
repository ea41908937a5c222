import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';

/** The execution providers that the service knows; the runtime drops any other name silently. */
export type Provider = 'cuda' | 'cpu';
export type RequestedProvider = 'auto' | Provider;
export type FallbackReason = 'lib_missing' | 'no_device' | 'unsupported_platform' | 'oom' | 'other';

/** What was asked for, what runs, and if that is not CUDA though it might be: why. */
export interface ProviderState {
  readonly requested: RequestedProvider;
  readonly active: Provider;
  readonly reason?: FallbackReason;
  readonly detail?: string;
}

export interface ProviderFailure {
  readonly reason: FallbackReason;
  /** The line that names the cause. */
  readonly detail: string;
}

/**
 * The reason why CUDA cannot even be tried here, or undefined.
 *
 * Elsewhere the runtime drops the name `cuda` with a warning and runs on CPU, so it must not be asked.
 */
export function platformFailure(
  platform: NodeJS.Platform,
  arch: NodeJS.Architecture,
): ProviderFailure | undefined {
  if (platform === 'linux' && arch === 'x64') return undefined;
  return {
    reason: 'unsupported_platform',
    detail: `CUDA needs linux/x64, this is ${platform}/${arch}`,
  };
}

/** Both lie beside the runtime's binding, or CUDA cannot be had. */
const PROVIDER_FILES = ['libonnxruntime_providers_shared.so', 'libonnxruntime_providers_cuda.so'];

/**
 * The reason why CUDA cannot be tried with the files that are there, or undefined.
 *
 * Looked for here, so that a machine without CUDA is spared an engine that is started only to fail.
 *
 * @param folder of the runtime's binding for this platform
 */
export function missingProviderFile(folder: string = bindingFolder()): ProviderFailure | undefined {
  const missing = PROVIDER_FILES.find((file) => !existsSync(join(folder, file)));
  if (missing === undefined) return undefined;
  const detail = `${missing} is not beside onnxruntime's binding; scripts/add-cuda-provider.mjs puts it there`;
  return { reason: 'lib_missing', detail };
}

function bindingFolder(): string {
  const entry = createRequire(import.meta.url).resolve('onnxruntime-node');
  return join(entry, '../../bin/napi-v6', process.platform, process.arch);
}

// Checked in this order: an out-of-memory line may also name a library.
const CAUSES: readonly (readonly [FallbackReason, RegExp])[] = [
  ['oom', /out of memory|CUDA failure 2\b|ALLOC_FAILED|failed to allocate memory/i],
  [
    'no_device',
    /no CUDA-capable device|CUDA failure (35|100|101)\b|driver version is insufficient|invalid device ordinal/i,
  ],
  [
    'lib_missing',
    /cannot open shared object file|undefined symbol|failed to load (shared )?library/i,
  ],
];

/**
 * Finds out why a session could not open on CUDA.
 *
 * The error that JavaScript sees says only that a shared library failed to load; the cause is a
 * line on stderr.
 *
 * @param message of the error that the runtime threw
 * @param stderr what the engine wrote until then
 */
export function classifyCudaFailure(message: string, stderr: string): ProviderFailure {
  const lines = [...stderrLines(stderr), message];
  for (const [reason, pattern] of CAUSES) {
    const line = lines.find((candidate) => pattern.test(candidate));
    if (line !== undefined) return { reason, detail: withoutLocation(line) };
  }
  return { reason: 'other', detail: message };
}

function stderrLines(stderr: string): string[] {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: the runtime colours its lines
  const plain = stderr.replace(/\u001b\[[0-9;]*m/g, '');
  return plain.split('\n').filter((line) => line.trim() !== '');
}

/** Cuts what says nothing to an operator: time stamp, source location, folders. */
function withoutLocation(line: string): string {
  const cause = line.replace(/^.*( : FAIL : | with error: )/, '');
  return cause.replace(/(\/[^\s/:]+)+\/(lib[^\s/:]+)/g, '$2').trim();
}
