import { barks } from './load/clips.js';
import { send } from './load/requests.js';
import { ServiceProcess } from './load/service-process.js';
import { quantile } from './load/statistics.js';
import type { FaultFigures, FaultSuite, SuiteOptions } from './suite.js';

const SCALES = { smoke: { barks: 12 }, full: { barks: 100 } } as const;
/** Of the time of a clip: the longest that nobody is answered in. */
const MAX_SILENT_SHARE = 0.5;
const MAX_P99_MS = 50;

/** `/livez`, asked all the time while a long clip is decoded and heard. */
export const liveness: FaultSuite = {
  name: 'liveness',
  shows: 'the service answers others while it works on a long clip',
  control: 'work of some seconds on the main thread',
  isFullOnly: true,
  async run({ size, isGuarded }: SuiteOptions): Promise<FaultFigures> {
    const planted = isGuarded ? [] : (['stall'] as const);
    return ServiceProcess.during({ planted }, async ({ url }) => {
      const clip = barks(SCALES[size].barks);
      let isDone = false;
      const hearing = send({ url, clip }).finally(() => {
        isDone = true;
      });
      const asked = askOn(url, () => isDone);
      const [heard, lives] = await Promise.all([hearing, asked]);
      return figuresOf(heard, lives);
    });
  },
};

interface Life {
  readonly isAlive: boolean;
  readonly ms: number;
}

async function askOn(url: string, isOver: () => boolean): Promise<Life[]> {
  const lives: Life[] = [];
  while (!isOver()) {
    const startMs = performance.now();
    const reply = await fetch(`${url}/livez`).catch(() => undefined);
    lives.push({ isAlive: reply?.status === 200, ms: performance.now() - startMs });
  }
  return lives;
}

function figuresOf(
  heard: { status: number; startMs: number; endMs: number },
  lives: readonly Life[],
): FaultFigures {
  const waits = lives.map(({ ms }) => ms);
  const silence = Math.max(...waits) / (heard.endMs - heard.startMs);
  return [
    { name: 'clip answered 200', value: Number(heard.status === 200), atLeast: 1 },
    { name: 'questions meanwhile', value: lives.length, atLeast: 1 },
    {
      name: 'without an answer',
      value: lives.filter(({ isAlive }) => !isAlive).length,
      atMost: 0,
    },
    { name: 'longest silence, of the time of the clip', value: silence, atMost: MAX_SILENT_SHARE },
    {
      name: 'answered within, p99 ms',
      value: quantile(waits, 0.99),
      atMost: MAX_P99_MS,
      isTimed: true,
    },
  ];
}
