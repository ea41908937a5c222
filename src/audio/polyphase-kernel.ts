import { designFilter, type ResampleFilter } from './resample-filter.js';
import { RESAMPLE_KERNEL } from './resample-kernel.js';

/** Input samples per run, beside the `taps` that lie under the filter. */
export const BLOCK_SAMPLES = 4096;

const MAX_CACHED_KERNELS = 4;
const WASM_PAGE_BYTES = 65536;

/** The export of resample-kernel.wat; its parameters are named there. */
type ResampleFunction = (...offsetsAndCounts: number[]) => void;

/** The kernel with one filter in its memory: [table | input | output]. Keeps nothing between runs. */
export class PolyphaseKernel {
  readonly filter: ResampleFilter;
  readonly #resample: ResampleFunction;
  readonly #memory: WebAssembly.Memory;
  readonly #inputBytes: number;
  readonly #outputBytes: number;

  constructor(filter: ResampleFilter) {
    this.filter = filter;
    const { exports } = new WebAssembly.Instance(compiledKernel());
    this.#resample = exports.resample as ResampleFunction;
    this.#memory = exports.memory as WebAssembly.Memory;
    const { taps, phases, stride, table } = filter;
    this.#inputBytes = table.byteLength;
    this.#outputBytes = this.#inputBytes + (taps + BLOCK_SAMPLES) * 4;
    const maxOutputs = Math.ceil(((BLOCK_SAMPLES + 1) * phases) / stride);
    const totalBytes = this.#outputBytes + maxOutputs * 4;
    this.#memory.grow(Math.ceil(totalBytes / WASM_PAGE_BYTES) - 1);
    new Float32Array(this.#memory.buffer, 0, table.length).set(table);
  }

  /** @param at `phase` of the first output and the `count` of outputs, all within the input */
  run(input: Float32Array, at: { phase: number; count: number }): Float32Array {
    const { taps, phases, stride } = this.filter;
    const stepSamples = Math.floor(stride / phases);
    const stepPhases = stride % phases;
    const { buffer } = this.#memory;
    new Float32Array(buffer, this.#inputBytes, input.length).set(input);
    const [first, last] = [this.#inputBytes, this.#outputBytes];
    this.#resample(first, 0, last, at.count, taps, phases, at.phase, stepSamples, stepPhases);
    return new Float32Array(buffer, this.#outputBytes, at.count).slice();
  }
}

const kernels = new Map<string, PolyphaseKernel>();

/** Kernels by rate, the latest few: a table costs some 10 ms to compute. */
export function kernelFor(fromHz: number, toHz: number): PolyphaseKernel {
  const key = `${fromHz}:${toHz}`;
  const kernel = kernels.get(key) ?? new PolyphaseKernel(designFilter(fromHz, toHz));
  kernels.delete(key);
  kernels.set(key, kernel);
  const [oldest] = kernels.keys();
  if (kernels.size > MAX_CACHED_KERNELS) kernels.delete(oldest!);
  return kernel;
}

let kernelModule: WebAssembly.Module | undefined;

function compiledKernel(): WebAssembly.Module {
  kernelModule ??= new WebAssembly.Module(Buffer.from(RESAMPLE_KERNEL, 'base64'));
  return kernelModule;
}
