import type { TestService } from '../test/http/test-service.js';
import { distinctClips, isClip, numWrong, tagAll } from './breakage/asking.js';
import { bytesOf, type RunFault } from './breakage/faulty-engine.js';
import { withFaultyEngines } from './breakage/faulty-service.js';
import { LossPlan } from './breakage/loss-plan.js';
import { numLeft } from './hostile/processes.js';
import { SeededDraws } from './seeded-draws.js';
import type { FaultFigures, FaultSuite, SuiteOptions } from './suite.js';

const CLIPS = { smoke: 5, full: 60 } as const;
const CHANCE = 0.2;
const SEED = 5;
const AT_ONCE = 2;
const LIMIT_MS = 1000;
const NO_LIMIT_MS = 3_600_000;

/** Engine processes that are stopped with a run in hand: they live and never answer. */
export const hungEngines: FaultSuite = {
  name: 'hung-engines',
  shows: 'an engine that hangs is ended at its limit, and its work is done by another',
  control: 'no limit for a run, only one for the request',
  isFullOnly: true,
  async run({ size, isGuarded }: SuiteOptions): Promise<FaultFigures> {
    const clips = distinctClips(CLIPS[size]);
    const plan = new LossPlan({
      works: clips.length,
      chance: CHANCE,
      lossesInARow: 1,
      draws: new SeededDraws(SEED),
    });
    const switched = { isOn: false };
    const fault = stopping(plan, switched);
    const model = { engines: 2, engineRunTimeoutMs: isGuarded ? LIMIT_MS : NO_LIMIT_MS };
    const env = isGuarded ? {} : { REQUEST_TIMEOUT_MS: String(2 * LIMIT_MS) };
    return withFaultyEngines({ fault, model, env }, (service) =>
      figuresOf({ service, clips, plan, switched }),
    );
  },
};

interface Scene {
  readonly service: TestService;
  readonly clips: readonly Buffer[];
  readonly plan: LossPlan;
  readonly switched: { isOn: boolean };
}

function stopping(plan: LossPlan, switched: Scene['switched']): RunFault {
  return async (engine, batch, run) => {
    const isStopped = switched.isOn && isClip(batch) && plan.isLost(bytesOf(batch));
    // Before the batch is sent: a fast engine would have answered already.
    if (isStopped) process.kill(engine.pid, 'SIGSTOP');
    return run();
  };
}

async function figuresOf({ service, clips, plan, switched }: Scene): Promise<FaultFigures> {
  const expected = await tagAll(service, clips, { atOnce: AT_ONCE });
  switched.isOn = true;
  const answers = await tagAll(service, clips, { atOnce: AT_ONCE });
  const answered = answers.filter(({ status }) => status === 200).length;
  return [
    { name: 'clips', value: clips.length, atLeast: clips.length },
    { name: 'engines stopped', value: plan.numLost, atLeast: 1 },
    { name: 'share answered', value: answered / clips.length, atLeast: 0.95 },
    { name: 'wrong answers', value: numWrong(answers, expected), atMost: 0 },
    {
      name: 'engines that still hang',
      value: await numLeft(({ isStopped }) => isStopped),
      atMost: 0,
    },
  ];
}
