import { setTimeout as wait } from 'node:timers/promises';
import { durationMs, withStatus } from './load/answers.js';
import { barks } from './load/clips.js';
import { closedLoop } from './load/open-loop.js';
import { type Answered, send } from './load/requests.js';
import { ServiceProcess } from './load/service-process.js';
import { quantile } from './load/statistics.js';
import type { FaultFigures, FaultSuite, SuiteOptions } from './suite.js';

const BURSTS = { smoke: 2, full: 20 } as const;
const CALM_REQUESTS = { smoke: 3, full: 50 } as const;
/** At once: ten times what the queue holds. */
const BURST_REQUESTS = 80;
/** Those that places are found for, while others are worked on: far from all. */
const MAX_TAKEN = 40;
const MARGIN_MS = 250;
const RETRY_MS = 25;
const NO_LIMIT = '100000';

/** Bursts that fill every place, and one more client that asks until it is served. */
export const recovery: FaultSuite = {
  name: 'recovery',
  shows: 'after a burst the next client is served as if nothing had been',
  control: 'no limit on what waits',
  isFullOnly: true,
  async run({ size, isGuarded }: SuiteOptions): Promise<FaultFigures> {
    const env = isGuarded ? {} : { QUEUE_MAX_WINDOWS: NO_LIMIT, MAX_UPLOADS: NO_LIMIT };
    return ServiceProcess.during({ env }, async ({ url }) => {
      const clip = barks(1);
      const sendOne = () => send({ url, clip });
      const isOver = (count: number) => count >= CALM_REQUESTS[size];
      const calm = await closedLoop({ senders: 1, sendOne, isOver });
      const bursts: Burst[] = [];
      while (bursts.length < (isGuarded ? BURSTS[size] : 1)) bursts.push(await burst(sendOne));
      return figuresOf(calm, bursts);
    });
  },
};

interface Burst {
  readonly answers: readonly Answered[];
  /** From the last refusal of the burst to the answer that the next client got. */
  readonly recoveryMs: number;
}

async function burst(sendOne: () => Promise<Answered>): Promise<Burst> {
  const rush = Array.from({ length: BURST_REQUESTS }, sendOne);
  const served = await untilServed(sendOne);
  const answers = await Promise.all(rush);
  const lastRefusalMs = Math.max(0, ...withStatus(answers, 429).map(({ endMs }) => endMs));
  return { answers, recoveryMs: Math.max(0, served.endMs - lastRefusalMs) };
}

async function untilServed(sendOne: () => Promise<Answered>): Promise<Answered> {
  for (;;) {
    const answer = await sendOne();
    if (answer.status === 200) return answer;
    await wait(RETRY_MS);
  }
}

function figuresOf(calm: readonly Answered[], bursts: readonly Burst[]): FaultFigures {
  const answers = bursts.flatMap((each) => each.answers);
  const taken = bursts.map((each) => withStatus(each.answers, 200).length);
  const others = answers.filter(({ status }) => status !== 200 && status !== 429);
  const calmMs = quantile(calm.map(durationMs), 0.99);
  return [
    { name: 'bursts', value: bursts.length, atLeast: 1 },
    { name: 'of one burst answered 200, most', value: Math.max(...taken), atMost: MAX_TAKEN },
    { name: 'neither 200 nor 429', value: others.length, atMost: 0 },
    { name: 'calm, p99 ms', value: calmMs },
    {
      name: 'next client served within, most ms',
      value: Math.max(...bursts.map(({ recoveryMs }) => recoveryMs)),
      atMost: calmMs + MARGIN_MS,
      isTimed: true,
    },
  ];
}
