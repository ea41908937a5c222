/**
 * `npm run bench [-- --rounds N] [--only core,rivals,cores,training] [--out FILE]`: one table of ratios.
 *
 * A model of base size (12 x 768, random weights: they do for speed), its session, the service around
 * it, rivals and bare products of matrices take turns on the same clips; figures are quotients within a
 * round, of processor time unless they say otherwise. Linux (/proc, taskset), Python for the models.
 */
import { cpus } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { type Contender, measureRounds } from './contender.js';
import { openMatrix, openSession } from './contenders/onnxruntime.js';
import { type BenchedService, openHttpContender, startService } from './contenders/service.js';
import { measureCores } from './cores.js';
import { contenderName, coreFigures, PRECISIONS, rivalFigure } from './figures.js';
import { ensurePython, prepareClips, prepareMatrices, prepareModels } from './prepare.js';
import { type BenchResults, RESULTS_FILE, readResults, writeResults } from './results.js';
import { openRivals } from './rivals.js';
import { printed } from './tables.js';
import { measureTraining } from './training.js';

const HTTP_RUNS = { fp32: 2, int8: 4 } as const;
const SHORT_CLIPS_PER_LONG = 6;

const options = readOptions();
ensurePython();
const [clips, matrices, modelsDir] = [prepareClips(), prepareMatrices(), prepareModels()];
const clip = (name: string) => join(clips, name);

let results = readResults(options.out);
if (options.parts.has('core') || options.parts.has('rivals')) keep(await measureInTurns());
if (options.parts.has('cores')) {
  const [posted, waveform] = [clip('10s.mp3'), clip('10s.f32')];
  const modelFolder = join(modelsDir, 'base');
  const given = { modelsDir, modelFolder, matrices, clip: posted, waveform };
  const rows = await measureCores({ ...given, rounds: options.rounds });
  keep({ cores: { rounds: options.rounds, rows } });
}
if (options.parts.has('training')) {
  keep({ training: { rounds: options.rounds, rows: measureTraining(options.rounds) } });
}
console.log(printed(results));

/** Parts are kept as they come: a later one that fails takes none along. */
function keep(found: Partial<BenchResults>): void {
  const machine = `${cpus()[0]?.model.trim() ?? 'unknown processor'}, ${cpus().length} cores`;
  results = { ...results, machine, ...found };
  writeResults(results, options.out);
}

function readOptions() {
  const { values } = parseArgs({
    options: {
      rounds: { type: 'string', default: '5' },
      only: { type: 'string', default: 'core,rivals,cores,training' },
      out: { type: 'string' },
    },
  });
  const rounds = Number(values.rounds);
  if (!Number.isInteger(rounds) || rounds < 1)
    throw new Error(`Expected --rounds to be an integer from 1, got ${values.rounds}`);
  return { rounds, parts: new Set(values.only.split(',')), out: values.out ?? RESULTS_FILE };
}

/** The model, the service around it and the rivals, all open at once and run one at a time. */
async function measureInTurns(): Promise<Partial<BenchResults>> {
  const opened: { close(): Promise<void> }[] = [];
  try {
    const own = await openOwn(opened);
    const rivals = options.parts.has('rivals') ? await openRivals(clip('10s.f32')) : [];
    const contenders = rivals.flatMap((rival) => ('contender' in rival ? [rival.contender] : []));
    opened.push(...contenders);
    console.error(`all open, ${options.rounds} rounds`);
    const turns = await measureRounds([...own, ...contenders], options.rounds);
    const rows = rivals.map((rival) =>
      'contender' in rival ? rivalFigure(turns, rival.contender, rival.precision) : rival,
    );
    const { rounds } = options;
    return {
      core: { rounds, rows: coreFigures(turns) },
      ...(rows.length > 0 ? { rivals: { rounds, rows } } : {}),
    };
  } finally {
    // The last first: clients before their service.
    for (const each of opened.reverse()) await each.close();
  }
}

/** In the order of their turns; the products come twice, since all shares rest on them. */
async function openOwn(opened: { close(): Promise<void> }[]): Promise<Contender[]> {
  const keepOpen = <T extends { close(): Promise<void> }>(each: T): T => {
    opened.push(each);
    return each;
  };
  const products: Contender[] = [];
  const order: Contender[] = [];
  for (const precision of PRECISIONS) {
    products.push(keepOpen(await openMatrix(matrices, precision)));
    for (const seconds of [10, 1]) {
      const given = { precision, seconds };
      const folder = join(modelsDir, 'base');
      order.push(keepOpen(await openSession(folder, clip(`${seconds}s.f32`), given)));
    }
    const service = keepOpen(await startService({ modelsDir, precision, cores: 1 }));
    order.push(...(await openHttpContenders(service, precision)));
  }
  return [...products, ...order, ...products];
}

function openHttpContenders(
  service: BenchedService,
  precision: (typeof PRECISIONS)[number],
): Promise<Contender[]> {
  const runs = HTTP_RUNS[precision];
  const posted = [
    { format: 'mp3', seconds: 10, runsPerTurn: runs },
    { format: 'flac', seconds: 10, runsPerTurn: runs },
    { format: 'mp3', seconds: 1, runsPerTurn: runs * SHORT_CLIPS_PER_LONG },
  ];
  return Promise.all(
    posted.map(({ format, seconds, runsPerTurn }) =>
      openHttpContender(service, {
        name: contenderName.http(precision, format, seconds),
        clip: clip(`${seconds}s.${format}`),
        runsPerTurn,
      }),
    ),
  );
}
