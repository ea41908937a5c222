import type { OpenApiDocument } from '../src/http/openapi-document.js';
import { openWorkshop, startService, type TestService } from '../test/http/test-service.js';
import { type GeneratedRequest, generateRequests } from './hostile/generated-requests.js';
import { inTurns } from './in-turns.js';
import type { FaultFigures, FaultSuite, SuiteOptions } from './suite.js';

const COUNTS = { smoke: 150, full: 2500 } as const;
const SEED = 8;
const AT_ONCE = 4;

/** Requests to every operation, with values at, within and beyond what openapi.yaml allows. */
export const generatedRequests: FaultSuite = {
  name: 'generated-requests',
  shows:
    'whatever openapi.yaml lets one ask is answered as it says, and never with a fault of the service',
  control: 'parameters are not held to their schemas',
  async run({ size, isGuarded }: SuiteOptions): Promise<FaultFigures> {
    const workshop = await openWorkshop();
    const requests = generateRequests(workshop.openApi, { count: COUNTS[size], seed: SEED });
    const openApi = isGuarded ? workshop.openApi : permissive(workshop.openApi);
    const service = await startService({ ...workshop, openApi });
    try {
      return await figuresOf(service, requests);
    } finally {
      await service.close();
      await workshop.close();
    }
  },
};

async function figuresOf(
  service: TestService,
  requests: readonly GeneratedRequest[],
): Promise<FaultFigures> {
  const outcomes = await inTurns(requests, AT_ONCE, (request) => outcomeOf(service, request));
  const count = (isOne: (outcome: Outcome) => boolean) => outcomes.filter(isOne).length;
  const between = (from: number) => (outcome: Outcome) =>
    typeof outcome === 'number' && outcome >= from && outcome < from + 100;
  return [
    { name: 'requests', value: requests.length, atLeast: requests.length },
    { name: 'answered 2xx', value: count(between(200)), atLeast: requests.length / 5 },
    { name: 'refused 4xx', value: count(between(400)), atLeast: requests.length / 10 },
    { name: 'answered 5xx', value: count(between(500)), atMost: 0 },
    { name: 'answered otherwise than documented', value: count(isUndocumented), atMost: 0 },
    { name: 'files left in the spool', value: service.spooled().length, atMost: 0 },
  ];
}

/** Status, or why the answer is none that openapi.yaml knows. */
type Outcome = number | Error;

const isUndocumented = (outcome: Outcome): boolean => outcome instanceof Error;

async function outcomeOf(service: TestService, request: GeneratedRequest): Promise<Outcome> {
  const { method, path, contentType, body } = request;
  const headers = contentType === undefined ? {} : { 'Content-Type': contentType };
  try {
    const { status } = await service.callRaw({ method, path, headers }, (open) => open.end(body));
    // Who asks for an answer within a millisecond is told that there was none.
    return status === 504 && path.includes('timeout_ms=') ? 408 : status;
  } catch (error) {
    return error as Error;
  }
}

/** The document with parameters that may be anything. */
function permissive(document: OpenApiDocument): OpenApiDocument {
  const copy = structuredClone(document) as OpenApiDocument & {
    components: { parameters: Record<string, { schema: object }> };
  };
  for (const parameter of Object.values(copy.components.parameters)) parameter.schema = {};
  return copy;
}
