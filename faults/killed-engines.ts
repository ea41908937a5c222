import type { TestService } from '../test/http/test-service.js';
import { enginePids, until } from '../test/inference/tiny-model.js';
import { distinctClips, isClip, numWrong, tagAll } from './breakage/asking.js';
import { bytesOf, type RunFault } from './breakage/faulty-engine.js';
import { withFaultyEngines } from './breakage/faulty-service.js';
import { LossPlan } from './breakage/loss-plan.js';
import { numLeft } from './hostile/processes.js';
import { SeededDraws } from './seeded-draws.js';
import type { FaultFigures, FaultSuite, SuiteOptions } from './suite.js';

const CLIPS = { smoke: 25, full: 300 } as const;
const CHANCE = 0.2;
const SEED = 4;
const AT_ONCE = 4;

/** kill -9 of engine processes in the middle of their work. */
export const killedEngines: FaultSuite = {
  name: 'killed-engines',
  shows: 'work lost with an engine is done once more, and nobody is answered wrongly',
  control: 'what is done once more is lost once more',
  async run({ size, isGuarded }: SuiteOptions): Promise<FaultFigures> {
    const clips = distinctClips(CLIPS[size]);
    const draws = new SeededDraws(SEED);
    const lossesInARow = isGuarded ? 1 : 2;
    const plan = new LossPlan({ works: clips.length, chance: CHANCE, lossesInARow, draws });
    const switched = { isOn: false };
    const fault = killing(plan, switched);
    return withFaultyEngines({ fault, model: { engines: 2 } }, (service) =>
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

/** Kills an engine with work in hand, whenever the plan says so. */
function killing(plan: LossPlan, switched: Scene['switched']): RunFault {
  return async (engine, batch, run) => {
    const running = run();
    const isKilled = switched.isOn && isClip(batch) && plan.isLost(bytesOf(batch));
    if (isKilled) process.kill(engine.pid, 'SIGKILL');
    return running;
  };
}

async function figuresOf({ service, clips, plan, switched }: Scene): Promise<FaultFigures> {
  const enginesBefore = enginePids().length;
  const expected = await tagAll(service, clips, { atOnce: AT_ONCE });
  switched.isOn = true;
  const answers = await tagAll(service, clips, { atOnce: AT_ONCE });
  await until(() => enginePids().length === enginesBefore);
  const answered = (status: number) => answers.filter((answer) => answer.status === status).length;
  const others = answers.length - answered(200) - answered(503);
  return [
    { name: 'clips', value: clips.length, atLeast: clips.length },
    { name: 'engines killed', value: plan.numLost, atLeast: CHANCE * clips.length },
    { name: 'share answered', value: answered(200) / clips.length, atLeast: 0.95 },
    { name: 'answered neither 200 nor 503', value: others, atMost: 0 },
    { name: 'wrong answers', value: numWrong(answers, expected), atMost: 0 },
    { name: 'zombies', value: await numLeft(({ isZombie }) => isZombie), atMost: 0 },
  ];
}
