import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { makeApiKey } from '../src/http/api-keys.js';
import { durationMs, withStatus } from './load/answers.js';
import { barks } from './load/clips.js';
import { closedLoop, openLoop } from './load/open-loop.js';
import { type Answered, send } from './load/requests.js';
import { ServiceProcess } from './load/service-process.js';
import { quantile } from './load/statistics.js';
import type { FaultFigures, FaultSuite, SuiteOptions } from './suite.js';

/**
 * In a full run a clip is long beside what a refusal costs, as work of large models is, and the modest send at a rate: of
 * the capacity, each. Without a rate they send one request after the other, which holds whatever else the machine does.
 */
const SCALES = {
  smoke: { barks: 1, capacityRequests: 12, modestRequests: 4, modestShare: undefined },
  full: { barks: 2, capacityRequests: 60, modestRequests: 67, modestShare: 0.1 },
} as const;
const SENDERS = 4;
const MODEST = ['anna', 'ben', 'carla'];
const GREEDY = 'greedy';
const GREEDY_SHARE = 10;
/** Of each client, before the rush. */
const CALM_REQUESTS = 12;
const LEAST_SUCCESS = 0.99;

/** One key asks for ten times what there is; the others for a small part each. */
export const fairness: FaultSuite = {
  name: 'fairness',
  shows: 'one key that asks for everything takes nothing from the others',
  control: 'one key for all of them',
  run: ({ size, isGuarded }: SuiteOptions): Promise<FaultFigures> =>
    withKeys([...MODEST, GREEDY], ({ path, keys }) =>
      ServiceProcess.during({ env: { API_KEYS_FILE: path } }, async ({ url }) => {
        const keyOf = (client: string) => keys.get(isGuarded ? client : GREEDY) ?? '';
        return figuresOf({ url, keyOf, ...SCALES[size] });
      }),
    ),
};

interface Scene {
  readonly url: string;
  readonly keyOf: (client: string) => string;
  readonly barks: number;
  readonly capacityRequests: number;
  /** Of each client. */
  readonly modestRequests: number;
  readonly modestShare: number | undefined;
}

async function figuresOf(scene: Scene): Promise<FaultFigures> {
  const { url, keyOf, capacityRequests, modestRequests } = scene;
  const clip = barks(scene.barks);
  const sendAs = (client: string) => () => send({ url, clip, apiKey: keyOf(client) });
  const perSecond = await capacityOf(sendAs(GREEDY), capacityRequests);
  const sendModestly = async (requests: number) => {
    const flow = { share: scene.modestShare, perSecond, requests };
    const flows = MODEST.map((client) => modestFlow(flow, sendAs(client)));
    return (await Promise.all(flows)).flat();
  };
  const calm = await sendModestly(Math.min(modestRequests, CALM_REQUESTS));
  let isOver = false;
  const requestsPerSecond = GREEDY_SHARE * perSecond;
  const greedy = openLoop({ requestsPerSecond, sendOne: sendAs(GREEDY), isOver: () => isOver });
  const modest = await sendModestly(modestRequests);
  isOver = true;
  return compare({ calm, modest, greedy: await greedy });
}

function modestFlow(
  { share, perSecond, requests }: Flow,
  sendOne: () => Promise<Answered>,
): Promise<Answered[]> {
  const isOver = (count: number) => count >= requests;
  if (share === undefined) return closedLoop({ senders: 1, sendOne, isOver });
  return openLoop({ requestsPerSecond: share * perSecond, sendOne, isOver });
}

interface Flow {
  /** Of the capacity; undefined: one request after the other. */
  readonly share: number | undefined;
  readonly perSecond: number;
  readonly requests: number;
}

async function capacityOf(sendOne: () => Promise<Answered>, requests: number): Promise<number> {
  const startMs = performance.now();
  const isOver = (count: number) => count >= requests;
  const answers = await closedLoop({ senders: SENDERS, sendOne, isOver });
  return (1000 * withStatus(answers, 200).length) / (performance.now() - startMs);
}

function compare({
  calm,
  modest,
  greedy,
}: Readonly<Record<'calm' | 'modest' | 'greedy', readonly Answered[]>>): FaultFigures {
  const success = withStatus(modest, 200).length / modest.length;
  const median = (answers: readonly Answered[]) =>
    quantile(withStatus(answers, 200).map(durationMs), 0.5);
  const others = [...modest, ...greedy].filter(({ status }) => status !== 200 && status !== 429);
  return [
    { name: 'requests of the modest', value: modest.length, atLeast: 1 },
    { name: 'requests of the greedy', value: greedy.length, atLeast: 1 },
    { name: 'greedy refused', value: withStatus(greedy, 429).length, atLeast: 1 },
    { name: 'modest answered, share', value: success, atLeast: LEAST_SUCCESS },
    { name: 'neither 200 nor 429', value: others.length, atMost: 0 },
    { name: 'modest median, times that in calm', value: median(modest) / median(calm) },
  ];
}

/** A file of keys for the time of `work`. */
async function withKeys<T>(
  clients: readonly string[],
  work: (access: { path: string; keys: ReadonlyMap<string, string> }) => Promise<T>,
): Promise<T> {
  const folder = mkdtempSync(join(tmpdir(), 'earshot-keys-'));
  const made = clients.map((client) => makeApiKey({ client }));
  const path = join(folder, 'keys.jsonl');
  writeFileSync(path, made.map(({ line }) => `${line}\n`).join(''));
  try {
    return await work({ path, keys: new Map(made.map(({ key }, i) => [clients[i] ?? '', key])) });
  } finally {
    rmSync(folder, { recursive: true });
  }
}
