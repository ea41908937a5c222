import type { Batch, BatchOutput } from '../../src/inference/batch.js';
import { type Engine, startEngine } from '../../src/inference/engine-process.js';

/** Takes the place of each run of an engine. */
export type RunFault = (
  engine: Engine,
  batch: Batch,
  run: () => Promise<BatchOutput>,
) => Promise<BatchOutput>;

/** Starts engines as they are, in processes of their own, and lets `fault` have a hand in what they run. */
export function startFaultyEngine(fault: RunFault): typeof startEngine {
  return async (spec, options) => {
    const engine = await startEngine(spec, options);
    return {
      pid: engine.pid,
      ended: engine.ended,
      run: (batch, runOptions) => fault(engine, batch, () => engine.run(batch, runOptions)),
      kill: (reason) => engine.kill(reason),
      close: (closeOptions) => engine.close(closeOptions),
    };
  };
}

export const bytesOf = ({ waveform }: Batch): Uint8Array =>
  new Uint8Array(waveform.buffer, waveform.byteOffset, waveform.byteLength);
