import { execFileSync } from 'node:child_process';
import { readFile } from 'node:fs/promises';

/** Memory of one process, in bytes, as the kernel counts it. */
export interface ProcessMemory {
  /** Of no file: what one more such process would take. */
  readonly privateBytes: number;
  /** The same and, of pages of files, the process's part. */
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
  return { privateBytes: bytesOf('Anonymous'), proportionalBytes: bytesOf('Pss') };
}
