import { execFileSync } from 'node:child_process';

export interface ChildInfo {
  readonly pid: number;
  readonly isZombie: boolean;
  readonly isStopped: boolean;
  readonly command: string;
}

/** Child processes of a process, those that ended and were not reaped among them. */
export function childrenOf(parent: number): ChildInfo[] {
  const table = execFileSync('ps', ['-A', '-o', 'pid=,ppid=,stat=,args='], { encoding: 'utf8' });
  return table.split('\n').flatMap((line) => {
    const [pid, ppid, state = '', ...command] = line.trim().split(/\s+/);
    if (Number(ppid) !== parent || command[0] === 'ps') return [];
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
