import { ending } from './ending.js';
import { hostileCorpus } from './hostile-files.js';
import { hungEngines } from './hung-engines.js';
import { killedEngines } from './killed-engines.js';
import { poisonedEngines } from './poisoned-engines.js';
import type { FaultSuite } from './suite.js';

/** Every fault suite, in the order in which they run. */
export const suites: readonly FaultSuite[] = [
  ending,
  hostileCorpus,
  killedEngines,
  hungEngines,
  poisonedEngines,
];
