import { tone } from '../test/audio/signals.js';
import { writeWav } from '../test/audio/wav-writer.js';
import { openWorkshop, startService, type TestService } from '../test/http/test-service.js';
import { cpuMs, enginePids } from '../test/inference/tiny-model.js';
import { bombs, wideBombs } from './hostile/bombs.js';
import type { NamedFile } from './hostile/forgeries.js';
import type { FaultFigures, FaultSuite, SuiteOptions } from './suite.js';

/** Longest clip that is let in. */
const CAP_SECONDS = { smoke: 5, full: 60 } as const;
/** What the bombs hold, times the longest clip. */
const TIMES_TOO_LONG = 10;
const UNGUARDED_SECONDS = 3600;
/** Each file is sent so often, and its least cost counts: code that runs for the first time is slow, whatever it decodes. */
const TIMES_SENT = { smoke: 1, full: 2 } as const;
/** Of the longest clip: what is let in, and read to its end. */
const HONEST_SHARE = 0.95;

/** Kilobytes that are many times as long as what is let in. */
export const decompressionBombs: FaultSuite = {
  name: 'decompression-bombs',
  shows:
    'a small file of hours of sound is refused, and costs no more than the longest honest clip',
  control: 'no limit of length',
  async run({ size, isGuarded }: SuiteOptions): Promise<FaultFigures> {
    const capSeconds = CAP_SECONDS[size];
    const maxClipSeconds = isGuarded ? capSeconds : UNGUARDED_SECONDS;
    const workshop = await openWorkshop({ maxClipSeconds });
    const service = await startService(workshop, { env: { REQUEST_TIMEOUT_MS: '120000' } });
    try {
      const times = TIMES_SENT[size];
      const longest = { name: 'honest', bytes: longestHonest(capSeconds) };
      const honest = await leastCost(service, longest, times);
      const seconds = TIMES_TOO_LONG * capSeconds;
      const makers = [bombs, ...(isGuarded ? [wideBombs] : [])];
      const filesOf = (length: number) => makers.flatMap((make) => make(length));
      const costs: Cost[] = [];
      for (const file of filesOf(seconds)) costs.push(await leastCost(service, file, times));
      const honestOfKind: Cost[] = [];
      for (const file of filesOf(HONEST_SHARE * capSeconds)) {
        honestOfKind.push(await leastCost(service, file, times));
      }
      return figuresOf({ honest, honestOfKind, costs });
    } finally {
      await service.close();
      await workshop.close();
    }
  },
};

function figuresOf({
  honest,
  honestOfKind,
  costs,
}: {
  honest: Cost;
  /** A file of each bomb's format, a tenth as large and just short enough. */
  honestOfKind: readonly Cost[];
  costs: readonly Cost[];
}): FaultFigures {
  const refused = costs.filter(({ code }) => code === 'clip_too_long').length;
  const ratios = costs.map(({ name, cpuMs }) => ({
    name: `${name}: processor time, honest clips of the greatest length`,
    value: cpuMs / honest.cpuMs,
    atMost: 1.5,
    isTimed: true,
  }));
  return [
    { name: 'bombs', value: costs.length, atLeast: costs.length },
    { name: 'bombs refused as too long', value: refused, atLeast: costs.length },
    ...ratios,
    {
      name: 'times an honest file of its format costs, most',
      value: Math.max(...costs.map((bomb, i) => bomb.cpuMs / (honestOfKind[i] as Cost).cpuMs)),
      atMost: 2,
      isTimed: true,
    },
  ];
}

interface Cost {
  readonly name: string;
  readonly code: string | undefined;
  readonly cpuMs: number;
}

async function leastCost(service: TestService, file: NamedFile, times: number): Promise<Cost> {
  const costs: Cost[] = [];
  while (costs.length < times) costs.push(await cost(service, file));
  return costs.reduce((least, each) => (each.cpuMs < least.cpuMs ? each : least));
}

/** Of this process, in which the decode threads are, and of the engines. */
async function cost(service: TestService, { name, bytes }: NamedFile): Promise<Cost> {
  const before = await usedMs();
  const headers = { 'Content-Type': 'application/octet-stream' };
  const { body } = await service.callRaw({ method: 'POST', path: '/v1/tags', headers }, (request) =>
    request.end(bytes),
  );
  const { code } = JSON.parse(body) as { code?: string };
  return { name, code, cpuMs: (await usedMs()) - before };
}

async function usedMs(): Promise<number> {
  const { user, system } = process.cpuUsage();
  const engines = await Promise.all(enginePids().map(cpuMs));
  return (user + system) / 1000 + engines.reduce((sum, ms) => sum + ms, 0);
}

/** Stereo at 48 kHz, uncompressed: the most common of the costly ones. */
function longestHonest(seconds: number): Buffer {
  const channel = tone({ hz: 440, amplitude: 0.5, sampleRate: 48_000, seconds });
  return writeWav({ kind: 's16', sampleRate: 48_000, channels: [channel, channel] });
}
