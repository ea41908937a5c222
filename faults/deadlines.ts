import { withStatus } from './load/answers.js';
import { barks } from './load/clips.js';
import { send } from './load/requests.js';
import { ServiceProcess } from './load/service-process.js';
import type { FaultFigures, FaultSuite, SuiteOptions } from './suite.js';

const SCALES = { smoke: { barks: 10, rounds: 1 }, full: { barks: 60, rounds: 10 } } as const;
/** All of them find a place behind the long clip. */
const IMPATIENT = 5;
const TIMEOUT_MS = 200;
const MAX_LATE_MS = 100;

/** Clients in a hurry behind a clip that takes far longer. */
export const deadlines: FaultSuite = {
  name: 'deadlines',
  shows: 'time is up when it is up, not when the work before is done',
  control: 'no limit on the time of a request',
  isFullOnly: true,
  async run({ size, isGuarded }: SuiteOptions): Promise<FaultFigures> {
    return ServiceProcess.during({}, async ({ url }) => {
      const { barks: times, rounds } = SCALES[size];
      const path = isGuarded ? `/v1/tags?timeout_ms=${TIMEOUT_MS}` : '/v1/tags';
      // The first clips of a service take longer than any after them.
      await send({ url, clip: barks(1) });
      const ends: Round[] = [];
      while (ends.length < (isGuarded ? rounds : 1)) ends.push(await hurry(url, path, times));
      return figuresOf(ends);
    });
  },
};

interface Round {
  readonly numInTime: number;
  readonly numBeforeLongClip: number;
  /** From when the clip was there, as the limit of time. */
  readonly latestMs: number;
  readonly isLongClipAnswered: boolean;
}

async function hurry(url: string, path: string, times: number): Promise<Round> {
  const long = barks(times);
  const patient = send({ url, clip: long });
  const impatient = Array.from({ length: IMPATIENT }, () => send({ url, path, clip: long }));
  const [first, ...others] = await Promise.all([patient, ...impatient]);
  const told = withStatus(others, 504);
  return {
    numInTime: told.length,
    numBeforeLongClip: told.filter(({ endMs }) => endMs < first.endMs).length,
    latestMs: Math.max(...told.map(({ sentMs, endMs }) => endMs - sentMs)),
    isLongClipAnswered: first.status === 200,
  };
}

function figuresOf(rounds: readonly Round[]): FaultFigures {
  const sum = (of: (round: Round) => number) => rounds.reduce((total, each) => total + of(each), 0);
  const requests = rounds.length * IMPATIENT;
  return [
    { name: 'requests in a hurry', value: requests },
    { name: 'answered 504', value: sum((each) => each.numInTime), atLeast: requests },
    {
      name: 'answered before the clip before them',
      value: sum((each) => each.numBeforeLongClip),
      atLeast: requests,
    },
    {
      name: 'long clips answered 200',
      value: sum((each) => Number(each.isLongClipAnswered)),
      atLeast: rounds.length,
    },
    {
      name: 'late by, most ms',
      value: Math.max(...rounds.map(({ latestMs }) => latestMs)) - TIMEOUT_MS,
      atMost: MAX_LATE_MS,
      isTimed: true,
    },
  ];
}
