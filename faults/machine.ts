import { availableParallelism, cpus, loadavg } from 'node:os';

/** What figures of time have to be read beside. */
export interface Machine {
  readonly cores: number;
  readonly model: string;
  /** Of the last minute: anything above the work of the suites was somebody else's. */
  readonly loadAverage: number;
  readonly node: string;
}

export function machineNow(): Machine {
  return {
    cores: availableParallelism(),
    model: cpus()[0]?.model.trim() ?? 'unknown',
    loadAverage: Number((loadavg()[0] ?? 0).toFixed(2)),
    node: process.versions.node,
  };
}
