import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { childrenOf, isRunning } from './hostile/processes.js';
import { barks } from './load/clips.js';
import { open, send } from './load/requests.js';
import { ServiceProcess } from './load/service-process.js';
import type { FaultFigures, FaultSuite, SuiteOptions } from './suite.js';

const ROUNDS = { smoke: 1, full: 5 } as const;
const UPLOADS = 6;
const LOOK_MS = 20;
const MAX_LOOKS = 500;
/** After the end of the service: that of a run, which an engine does not break off, and some more. */
const MAX_ORPHAN_MS = 2000;

/** kill -9 of the whole service with uploads half there and clips in work, and its next start. */
export const suddenEnds: FaultSuite = {
  name: 'sudden-ends',
  shows: 'a service that was killed leaves no process behind, and its next start no file',
  control: 'the spool is not swept at the start',
  isFullOnly: true,
  async run({ size, isGuarded }: SuiteOptions): Promise<FaultFigures> {
    const spoolDir = mkdtempSync(join(tmpdir(), 'earshot-sudden-'));
    try {
      const ends: SuddenEnd[] = [];
      while (ends.length < (isGuarded ? ROUNDS[size] : 1)) {
        ends.push(await killAndStart(spoolDir, isGuarded));
      }
      return figuresOf(ends);
    } finally {
      rmSync(spoolDir, { recursive: true });
    }
  },
};

interface SuddenEnd {
  readonly leftAtTheEnd: number;
  readonly leftAfterTheStart: number;
  readonly engines: number;
  readonly orphans: number;
  readonly orphanMs: number;
  readonly isServing: boolean;
}

async function killAndStart(spoolDir: string, isGuarded: boolean): Promise<SuddenEnd> {
  const service = await ServiceProcess.start({ spoolDir });
  await fill(service);
  const engines = childrenOf(service.pid).map(({ pid }) => pid);
  await service.kill();
  const killedMs = performance.now();
  const leftAtTheEnd = readdirSync(spoolDir).length;
  const orphans = () => engines.filter(isRunning).length;
  await until(() => orphans() === 0);
  const orphanMs = performance.now() - killedMs;
  const planted = isGuarded ? [] : (['hoard'] as const);
  return ServiceProcess.during({ spoolDir, planted }, async (next) => ({
    leftAtTheEnd,
    leftAfterTheStart: next.spooled().length,
    engines: engines.length,
    orphans: orphans(),
    orphanMs,
    isServing: (await send({ url: next.url, clip: barks(1) })).status === 200,
  }));
}

/** Uploads of which half is there, and one clip in work. */
async function fill(service: ServiceProcess): Promise<void> {
  const clip = barks(40);
  void send({ url: service.url, clip });
  for (let upload = 0; upload < UPLOADS; upload++) {
    const request = open({ url: service.url, clip });
    request.on('error', () => {});
    request.write(clip.subarray(0, clip.length / 2));
  }
  await until(() => service.spooled().length > UPLOADS);
}

/** Looks until it is so, or for a while. */
async function until(isSo: () => boolean): Promise<void> {
  for (let look = 0; look < MAX_LOOKS && !isSo(); look++) await wait(LOOK_MS);
}

function figuresOf(ends: readonly SuddenEnd[]): FaultFigures {
  const sum = (of: (end: SuddenEnd) => number) => ends.reduce((total, end) => total + of(end), 0);
  return [
    { name: 'kills', value: ends.length },
    {
      name: 'files left by them',
      value: sum((end) => end.leftAtTheEnd),
      atLeast: ends.length * UPLOADS,
    },
    {
      name: 'files left after the next start',
      value: sum((end) => end.leftAfterTheStart),
      atMost: 0,
    },
    { name: 'engines at the time', value: sum((end) => end.engines), atLeast: ends.length },
    { name: 'engines that outlived it', value: sum((end) => end.orphans), atMost: 0 },
    { name: 'starts that serve', value: sum((end) => Number(end.isServing)), atLeast: ends.length },
    {
      name: 'engines ended within, most ms',
      value: Math.max(...ends.map(({ orphanMs }) => orphanMs)),
      atMost: MAX_ORPHAN_MS,
      isTimed: true,
    },
  ];
}
