import { once } from 'node:events';
import { barks } from './load/clips.js';
import { open, type Sent } from './load/requests.js';
import { type Rest, restOf } from './load/rest.js';
import { ServiceProcess } from './load/service-process.js';
import type { FaultFigures, FaultSuite, SuiteOptions } from './suite.js';

const SCALES = {
  smoke: { aborts: 20, drops: 10 },
  full: { aborts: 200, drops: 100 },
} as const;
const CONTROL_SCALE = { aborts: 4, drops: 2 } as const;
/** What is compiled and kept for good is there then: after 4 rounds 6400 to 21 100 bytes for each client still came, after 12 3500 to 7300. */
const RUN_IN_ROUNDS = 12;
const AT_ONCE = 5;
/** What the service may keep open of its own accord: a socket or two that are just being closed. */
const MAX_MORE_FILES = 2;
/** Over many, a small part of what each had sent; over few, what the process keeps for good weighs more. */
const MAX_BYTES_EACH = { smoke: 20_480, full: 4096 } as const;

/** Clients that go: some once their clip is sent, some in the middle of it. */
export const departures: FaultSuite = {
  name: 'departures',
  shows: 'clients that go leave nothing behind: no file, no descriptor, no work, no place',
  control: 'nobody hears that a client has gone',
  async run({ size, isGuarded }: SuiteOptions): Promise<FaultFigures> {
    const planted = isGuarded ? [] : (['deaf'] as const);
    return ServiceProcess.during({ planted }, async (service) => {
      const scale = isGuarded ? SCALES[size] : CONTROL_SCALE;
      const request = { url: service.url, clip: barks(4) };
      // What is opened once and kept is open before anything is counted; without the guard nothing would come to rest.
      if (isGuarded) {
        await repeat(RUN_IN_ROUNDS * AT_ONCE, () => leaveAfterSending(request));
        await repeat(RUN_IN_ROUNDS * AT_ONCE, () => leaveHalfway(request));
        await restOf(service);
      }
      const before = await service.measure();
      await repeat(scale.aborts, () => leaveAfterSending(request));
      await repeat(scale.drops, () => leaveHalfway(request));
      const rest = await restOf(service);
      const after = await service.measure();
      return figuresOf(scale, rest, {
        files: after.openFiles - before.openFiles,
        bytesEach: (after.liveBytes - before.liveBytes) / (scale.aborts + scale.drops),
        maxBytesEach: MAX_BYTES_EACH[size],
      });
    });
  },
};

async function repeat(times: number, work: () => Promise<void>): Promise<void> {
  for (let done = 0; done < times; done += AT_ONCE) {
    await Promise.all(Array.from({ length: Math.min(AT_ONCE, times - done) }, work));
  }
}

/** The whole clip is on its way, then the client goes: the work has begun, or waits. */
async function leaveAfterSending(sent: Sent): Promise<void> {
  const request = open(sent);
  request.on('error', () => {});
  request.end(sent.clip);
  await once(request, 'finish');
  request.destroy();
}

async function leaveHalfway(sent: Sent): Promise<void> {
  const request = open(sent);
  request.on('error', () => {});
  const half = sent.clip.subarray(0, sent.clip.length / 2);
  await new Promise((resolve) => request.write(half, resolve));
  request.destroy();
}

function figuresOf(
  { aborts, drops }: { aborts: number; drops: number },
  rest: Rest,
  more: {
    readonly files: number;
    readonly bytesEach: number;
    readonly maxBytesEach: number;
  },
): FaultFigures {
  return [
    { name: 'gone after sending', value: aborts, atLeast: 1 },
    { name: 'gone while sending', value: drops, atLeast: 1 },
    { name: 'files left in the spool', value: rest.spooled, atMost: 0 },
    { name: 'requests still in hand', value: rest.inHand, atMost: 0 },
    { name: 'upload places still taken', value: rest.uploads, atMost: 0 },
    { name: 'windows still waiting', value: rest.waiting, atMost: 0 },
    { name: 'descriptors more than before', value: more.files, atMost: MAX_MORE_FILES },
    { name: 'live bytes more for each', value: more.bytesEach, atMost: more.maxBytesEach },
  ];
}
