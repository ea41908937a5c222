import { decompressionBombs } from './bombs.js';
import { deadlines } from './deadlines.js';
import { departures } from './departures.js';
import { ending } from './ending.js';
import { fairness } from './fairness.js';
import { fullDisk } from './full-disk.js';
import { generatedRequests } from './generated-requests.js';
import { hostileCorpus } from './hostile-files.js';
import { hungEngines } from './hung-engines.js';
import { killedDecoders } from './killed-decoders.js';
import { killedEngines } from './killed-engines.js';
import { leaks } from './leaks.js';
import { liveness } from './liveness.js';
import { malformedMultipart } from './malformed-forms.js';
import { overload } from './overload.js';
import { poisonedEngines } from './poisoned-engines.js';
import { recovery } from './recovery.js';
import { slowSenders } from './slow-senders.js';
import { suddenEnds } from './sudden-ends.js';
import type { FaultSuite } from './suite.js';
import { tamperedModels } from './tampered-models.js';

/** More requests than there is time for, and clients that leave, hurry or want it all. */
export const loadSuites: readonly FaultSuite[] = [
  overload,
  recovery,
  liveness,
  fairness,
  deadlines,
  slowSenders,
  departures,
  ending,
  leaks,
];

/** What is sent to do harm, and what dies or lies inside. */
export const harmSuites: readonly FaultSuite[] = [
  hostileCorpus,
  decompressionBombs,
  malformedMultipart,
  generatedRequests,
  fullDisk,
  tamperedModels,
  killedDecoders,
  killedEngines,
  suddenEnds,
  hungEngines,
  poisonedEngines,
];

/** In the order in which they run. */
export const suites: readonly FaultSuite[] = [...loadSuites, ...harmSuites];
