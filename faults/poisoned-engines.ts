import type { Batch, BatchOutput } from '../src/inference/batch.js';
import { type Engine, EngineRunError } from '../src/inference/engine-process.js';
import type { TestService } from '../test/http/test-service.js';
import { distinctClips, isClip, numWrong, tagAll } from './breakage/asking.js';
import { bytesOf } from './breakage/faulty-engine.js';
import { withFaultyEngines } from './breakage/faulty-service.js';
import { LossPlan } from './breakage/loss-plan.js';
import { SeededDraws } from './seeded-draws.js';
import type { FaultFigures, FaultSuite, SuiteOptions } from './suite.js';

const CLIPS = { smoke: 20, full: 200 } as const;
const CHANCE = 0.2;
const SEED = 6;
const AT_ONCE = 4;

/** Engines that fail a run or give numbers that are not finite and, from then on, wrong ones, as a device in disorder does. */
export const poisonedEngines: FaultSuite = {
  name: 'poisoned-engines',
  shows:
    'an engine in disorder answers nobody before it has passed its self-test, and the service says so',
  control: 'the self-test is passed by whoever takes it',
  async run({ size, isGuarded }: SuiteOptions): Promise<FaultFigures> {
    const clips = distinctClips(CLIPS[size]);
    const draws = new SeededDraws(SEED);
    const plan = new LossPlan({ works: clips.length, chance: CHANCE, lossesInARow: 1, draws });
    const poison = new Poison(plan, { isFeltByTests: isGuarded });
    return withFaultyEngines({ fault: poison.fault, model: { engines: 1 } }, (service) =>
      figuresOf({ service, clips, poison }),
    );
  },
};

interface Scene {
  readonly service: TestService;
  readonly clips: readonly Buffer[];
  readonly poison: Poison;
}

async function figuresOf({ service, clips, poison }: Scene): Promise<FaultFigures> {
  const expected = await tagAll(service, clips, { atOnce: AT_ONCE });
  poison.act(async () => (await service.call('get', '/readyz')).status);
  const answers = await tagAll(service, clips, { atOnce: AT_ONCE });
  const answered = answers.filter(({ status }) => status === 200).length;
  const saidReady = poison.readiness.filter((status) => status !== 503).length;
  return [
    { name: 'clips', value: clips.length, atLeast: clips.length },
    { name: 'engines poisoned', value: poison.numPoisoned, atLeast: CHANCE * clips.length },
    { name: 'share answered', value: answered / clips.length, atLeast: 0.95 },
    { name: 'wrong answers', value: numWrong(answers, expected), atMost: 0 },
    { name: 'looks at readiness during self-tests', value: poison.readiness.length, atLeast: 1 },
    { name: 'of those, said to be ready', value: saidReady, atMost: 0 },
  ];
}

/** Poisons engines as the plan says. A fresh process is free of it. */
class Poison {
  /** What `/readyz` said while a poisoned engine was tested. */
  readonly readiness: number[] = [];
  numPoisoned = 0;
  readonly #plan: LossPlan;
  readonly #isFeltByTests: boolean;
  readonly #poisoned = new Set<number>();
  #readyStatus: (() => Promise<number>) | undefined;

  constructor(plan: LossPlan, { isFeltByTests }: { isFeltByTests: boolean }) {
    this.#plan = plan;
    this.#isFeltByTests = isFeltByTests;
  }

  /** From now on. */
  act(readyStatus: () => Promise<number>): void {
    this.#readyStatus = readyStatus;
  }

  readonly fault = async (
    engine: Engine,
    batch: Batch,
    run: () => Promise<BatchOutput>,
  ): Promise<BatchOutput> => {
    if (this.#readyStatus === undefined) return run();
    if (!isClip(batch)) return this.#test(engine, run);
    if (this.#poisoned.has(engine.pid)) return distorted(await run());
    if (!this.#plan.isLost(bytesOf(batch))) return run();
    this.#poisoned.add(engine.pid);
    this.numPoisoned += 1;
    if (this.numPoisoned % 3 === 0) throw new EngineRunError('CUDA error 700, said the session');
    return notFinite(await run());
  };

  async #test(engine: Engine, run: () => Promise<BatchOutput>): Promise<BatchOutput> {
    if (!this.#poisoned.has(engine.pid)) return run();
    if (this.#readyStatus) this.readiness.push(await this.#readyStatus());
    const output = await run();
    return this.#isFeltByTests ? distorted(output) : output;
  }
}

function notFinite({ windows, inferenceMs }: BatchOutput): BatchOutput {
  return { windows: windows.map(({ rows }) => ({ rows, values: {}, finite: false })), inferenceMs };
}

/** Finite, plausible and wrong. */
function distorted({ windows, inferenceMs }: BatchOutput): BatchOutput {
  const bent = windows.map((window) => ({
    ...window,
    values: Object.fromEntries(
      Object.entries(window.values).map(([name, values]) => [name, values.map((x) => x / 2 + 1)]),
    ),
  }));
  return { windows: bent, inferenceMs };
}
