import { ending } from './ending.js';
import { hostileCorpus } from './hostile-files.js';
import type { FaultSuite } from './suite.js';

/** Every fault suite, in the order in which they run. */
export const suites: readonly FaultSuite[] = [ending, hostileCorpus];
