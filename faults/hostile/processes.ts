import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { setTimeout as wait } from 'node:timers/promises';

export interface ChildInfo {
  readonly pid: number;
  readonly isZombie: boolean;
  readonly isStopped: boolean;
  readonly command: string;
}

/**
 * The compiler behind `--import tsx`, which a thread starts for sources that it has not seen yet. When that thread is
 * killed nobody reaps it; in production threads start from JavaScript and have none.
 */
const COMPILER = /\besbuild\b/;

/** Child processes of a process, those that ended and were not reaped among them; without what the tests start themselves. */
export function childrenOf(parent: number): ChildInfo[] {
  const table = execFileSync('ps', ['-A', '-o', 'pid=,ppid=,stat=,args='], { encoding: 'utf8' });
  return table.split('\n').flatMap((line) => {
    const [pid, ppid, state = '', ...command] = line.trim().split(/\s+/);
    if (Number(ppid) !== parent || command[0] === 'ps' || COMPILER.test(command[0] ?? ''))
      return [];
    const [isZombie, isStopped] = ['Z', 'T'].map((letter) => state.startsWith(letter));
    return [
      {
        pid: Number(pid),
        isZombie: !!isZombie,
        isStopped: !!isStopped,
        command: command.join(' '),
      },
    ];
  });
}

const REAP_MS = 5000;
const LOOK_MS = 50;

/** How many of this process's children are such, even after the time that it takes to reap what has ended. */
export async function numLeft(isSuch: (child: ChildInfo) => boolean): Promise<number> {
  const endMs = performance.now() + REAP_MS;
  const count = () => childrenOf(process.pid).filter(isSuch).length;
  while (count() > 0 && performance.now() < endMs) await wait(LOOK_MS);
  return count();
}

/** Whether a process runs; one that ended and was not reaped does not. */
export function isRunning(pid: number): boolean {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    return !/^Z/.test(stat.slice(stat.lastIndexOf(')') + 2));
  } catch {
    return false;
  }
}

/** Memory that a process has in use; 0 of one that is gone. */
export function residentBytes(pid: number): number {
  try {
    const kilobytes = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1];
    return 1024 * Number(kilobytes ?? 0);
  } catch {
    return 0;
  }
}
