import { execFileSync } from 'node:child_process';
import { readFile } from 'node:fs/promises';

/** Memory of one process, in bytes, as the kernel counts it. */
export interface ProcessMemory {
  /** Written by the process itself: what one more such process would take. */
  readonly privateBytes: number;
  /** Private and, of pages that are shared, the process's part. */
  readonly proportionalBytes: number;
}

/** The engine processes of a service. Linux only (/proc). */
export async function engineMemory(servicePid: number): Promise<ProcessMemory[]> {
  const table = execFileSync('ps', ['-o', 'pid=,args=', '--ppid', String(servicePid)], {
    encoding: 'utf8',
  });
  const engines = table.split('\n').filter((line) => line.includes('/inference/engine.'));
  return Promise.all(engines.map((line) => memoryOf(Number.parseInt(line, 10))));
}

async function memoryOf(pid: number): Promise<ProcessMemory> {
  const text = await readFile(`/proc/${pid}/smaps_rollup`, 'utf8');
  const bytesOf = (name: string) =>
    1024 * Number(new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(text)?.[1]);
  // Pages of files that nobody has written to are not the process's own, even if nobody else has them mapped now.
  return { privateBytes: bytesOf('Private_Dirty'), proportionalBytes: bytesOf('Pss') };
}
