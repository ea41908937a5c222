import { readdir, readFile } from 'node:fs/promises';

/** Clock ticks per second in /proc: fixed at 100 for programs on Linux, whatever the kernel counts in. */
const TICKS_PER_SECOND = 100;

interface ProcessTimes {
  readonly parent: number;
  readonly cpuSeconds: number;
}

/**
 * Processor time that a process and its children have used so far, all threads included.
 *
 * @param pid of a live process
 * @returns seconds of the process itself, and of its live children together
 * @throws Error where there is no /proc
 */
export async function cpuSecondsOf(pid: number): Promise<{ self: number; children: number }> {
  const times = await allProcesses();
  const self = times.get(pid)?.cpuSeconds;
  if (self === undefined) throw new Error(`Expected process ${pid} in /proc, found none`);
  const children = [...times.values()].filter(({ parent }) => parent === pid);
  return { self, children: children.reduce((sum, { cpuSeconds }) => sum + cpuSeconds, 0) };
}

async function allProcesses(): Promise<Map<number, ProcessTimes>> {
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name)).map(Number);
  const times = await Promise.all(pids.map(async (pid) => [pid, await timesOf(pid)] as const));
  return new Map(times.flatMap(([pid, found]) => (found === undefined ? [] : [[pid, found]])));
}

async function timesOf(pid: number): Promise<ProcessTimes | undefined> {
  // A process may end between the listing and the reading.
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => undefined);
  if (stat === undefined) return undefined;
  // The command stands in brackets and may hold blanks; the fields after it are plain numbers.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  const [parent, userTicks, systemTicks] = [fields[1], fields[11], fields[12]].map(Number);
  return {
    parent: parent ?? 0,
    cpuSeconds: ((userTicks ?? 0) + (systemTicks ?? 0)) / TICKS_PER_SECOND,
  };
}
