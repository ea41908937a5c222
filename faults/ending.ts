import { realClip } from './load/clips.js';
import { type Answered, send } from './load/requests.js';
import { ServiceProcess } from './load/service-process.js';
import type { FaultFigures, FaultSuite, SuiteOptions } from './suite.js';

const ENDINGS = { smoke: 1, full: 20 };
const MIN_REQUESTS = { smoke: 30, full: 1000 };
const SENDERS = 4;
const PRE_STOP_MS = 500;
const MAX_AFTER_LAST_REPLY_MS = 250;

/** SIGTERM while clients send: those that stop when `/readyz` says so lose nothing. */
export const ending: FaultSuite = {
  name: 'ending',
  shows: 'SIGTERM under load loses no request',
  control: 'no time to be noticed and none to finish in',
  async run({ size, isGuarded }: SuiteOptions): Promise<FaultFigures> {
    const endings = isGuarded ? ENDINGS[size] : 1;
    const requests = Math.ceil(MIN_REQUESTS[size] / ENDINGS[size]);
    const runs: Ending[] = [];
    while (runs.length < endings) runs.push(await endUnderLoad(requests, isGuarded));
    const replies = runs.flatMap((run) => run.replies);
    const lost = replies.filter(({ status }) => status !== 200).length;
    const failedExits = runs.filter(({ exitCode }) => exitCode !== 0).length;
    const afterMs = Math.max(...runs.map(({ afterLastReplyMs }) => afterLastReplyMs));
    return [
      { name: 'endings', value: runs.length },
      { name: 'requests', value: replies.length, atLeast: endings * requests },
      { name: 'lost', value: lost, atMost: 0 },
      { name: 'exits with an error', value: failedExits, atMost: 0 },
      {
        name: 'exit after the last reply, most ms',
        value: Math.round(afterMs),
        atMost: MAX_AFTER_LAST_REPLY_MS,
        isTimed: true,
      },
    ];
  },
};

interface Ending {
  readonly replies: readonly Answered[];
  readonly exitCode: number | null;
  /** From the last reply, or the end of the time in which balancers notice, to the end of the process. */
  readonly afterLastReplyMs: number;
}

async function endUnderLoad(requests: number, isGuarded: boolean): Promise<Ending> {
  const preStopMs = isGuarded ? PRE_STOP_MS : 0;
  const limits = { PRE_STOP_MS: String(preStopMs), ...(!isGuarded && { DRAIN_TIMEOUT_MS: '0' }) };
  const service = await ServiceProcess.start({ env: limits });
  try {
    const load = new Load(service.url);
    await load.answered(requests);
    const endMs = performance.now();
    service.terminate();
    const stopped = whenNotReady(service.url).then(() => load.stop());
    const exitCode = await service.exitCode;
    const exitMs = performance.now();
    const replies = await stopped;
    const lastMs = Math.max(endMs + preStopMs, ...replies.map((reply) => reply.endMs));
    return { replies, exitCode, afterLastReplyMs: exitMs - lastMs };
  } finally {
    await service.stop();
  }
}

/** Several clients, each with one request after the other. */
class Load {
  readonly #url: string;
  readonly #clip = realClip('dog.ogg');
  readonly #replies: Answered[] = [];
  readonly #senders: Promise<void>[];
  #isStopped = false;
  #onReply: () => void = () => {};

  constructor(url: string) {
    this.#url = url;
    this.#senders = Array.from({ length: SENDERS }, () => this.#sendOn());
  }

  /** Comes back when so many requests were answered. */
  answered(count: number): Promise<void> {
    return new Promise((resolve) => {
      this.#onReply = () => {
        if (this.#replies.length >= count) resolve();
      };
    });
  }

  async stop(): Promise<readonly Answered[]> {
    this.#isStopped = true;
    await Promise.all(this.#senders);
    return this.#replies;
  }

  async #sendOn(): Promise<void> {
    while (!this.#isStopped) {
      this.#replies.push(await send({ url: this.#url, clip: this.#clip }));
      this.#onReply();
    }
  }
}

/** Asks as a balancer does, until the service says that it is going, or is gone. */
async function whenNotReady(url: string): Promise<void> {
  const isReady = async () => (await fetch(`${url}/readyz`).catch(() => undefined))?.ok ?? false;
  while (await isReady());
}
