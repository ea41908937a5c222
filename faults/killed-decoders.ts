import { setEnvironmentData } from 'node:worker_threads';
import { openDecoder } from '../src/audio/open-decoder.js';
import { loadConfig } from '../src/config.js';
import { entryPoint } from '../src/entry-point.js';
import { openWorkshop, startService, type TestService } from '../test/http/test-service.js';
import { distinctClips, numWrong, tagAll } from './breakage/asking.js';
import { DeathNotes } from './breakage/death-notes.js';
import { writeDyingFfmpeg } from './breakage/dying-ffmpeg.js';
import { lossesInShares } from './breakage/loss-plan.js';
import { type ChildInfo, numLeft } from './hostile/processes.js';
import { SeededDraws } from './seeded-draws.js';
import type { FaultFigures, FaultSuite, SuiteOptions } from './suite.js';

const CLIPS = { smoke: 25, full: 300 } as const;
const CHANCE = 0.2;
const SEED = 3;
const AT_ONCE = 4;
const TIMEOUT_MS = 30_000;

/** Decode threads that end, and ffmpeg children that are killed, with a clip in hand. */
export const killedDecoders: FaultSuite = {
  name: 'killed-decoders',
  shows: 'a clip whose decoder died is decoded once more, and nobody is answered wrongly',
  control: 'what is done once more is lost once more',
  async run({ size, isGuarded }: SuiteOptions): Promise<FaultFigures> {
    using notes = new DeathNotes();
    const clips = distinctClips(CLIPS[size]).map((clip, index) => (index % 2 ? clip : toAu(clip)));
    const workshop = await openWorkshop();
    const decoder = await openDyingDecoder(notes);
    const service = await startService(workshop, { decoder });
    try {
      return await figuresOf({ service, clips, notes, lossesInARow: isGuarded ? 1 : 2 });
    } finally {
      await service.close();
      await decoder.close();
      await workshop.close();
    }
  },
};

/** With ffmpeg where there is one; without it its clips are refused and count for nothing. */
async function openDyingDecoder({ folder }: DeathNotes) {
  const { ffmpegPath, prlimitPath } = loadConfig();
  setEnvironmentData('deaths folder', folder);
  return openDecoder({
    threads: 2,
    maxClipSeconds: 60,
    timeoutMs: TIMEOUT_MS,
    ffmpegPath: ffmpegPath && writeDyingFfmpeg(ffmpegPath, folder),
    prlimitPath,
    worker: entryPoint('./breakage/dying-decode-worker', import.meta.url),
  });
}

interface Scene {
  readonly service: TestService;
  readonly clips: readonly Buffer[];
  readonly notes: DeathNotes;
  readonly lossesInARow: number;
}

async function figuresOf(scene: Scene): Promise<FaultFigures> {
  const { service, notes, lossesInARow } = scene;
  const expected = await tagAll(service, scene.clips, { atOnce: AT_ONCE });
  const clips = scene.clips.filter((_, index) => expected[index]?.status === 200);
  const draws = new SeededDraws(SEED);
  const losses = lossesInShares({ works: clips.length, chance: CHANCE, lossesInARow, draws });
  clips.forEach((clip, index) => void notes.write(clip, Math.min(2, losses[index] ?? 0)));
  const answers = await tagAll(service, clips, { atOnce: AT_ONCE });
  const answered = (status: number) => answers.filter((answer) => answer.status === status).length;
  const others = answers.length - answered(200) - answered(422);
  const good = expected.filter(({ status }) => status === 200);
  return [
    { name: 'clips', value: clips.length, atLeast: CLIPS.smoke / 4 },
    { name: 'decoders killed', value: notes.numDeaths, atLeast: Math.floor(CHANCE * clips.length) },
    { name: 'share answered', value: answered(200) / clips.length, atLeast: 0.95 },
    { name: 'answered neither 200 nor 422', value: others, atMost: 0 },
    { name: 'wrong answers', value: numWrong(answers, good), atMost: 0 },
    { name: 'files left in the spool', value: service.spooled().length, atMost: 0 },
    { name: 'zombies, and programs left', value: await numLeft(isLeft), atMost: 0 },
  ];
}

const isLeft = ({ isZombie, command }: ChildInfo): boolean =>
  isZombie || command.includes('ffmpeg');

/** The same sound as a Sun audio file, which ffmpeg alone reads here. */
function toAu(wav: Buffer): Buffer {
  const samples = wav.subarray(wav.indexOf('data') + 8);
  const head = Buffer.alloc(24);
  head.write('.snd');
  [24, samples.length, 2, 8000, 1].forEach(
    (value, index) => void head.writeUInt32BE(value, 4 + 4 * index),
  );
  return Buffer.concat([head, samples.map((sample) => sample ^ 0x80)]);
}
