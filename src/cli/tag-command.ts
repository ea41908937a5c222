import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import type { Writable } from 'node:stream';
import { openDecoder } from '../audio/open-decoder.js';
import { type Config, loadToolConfig } from '../config.js';
import { loadOpenApi } from '../http/openapi-document.js';
import { type ClosableModel, startModel } from '../inference/model.js';
import { type FoundModel, findModel } from '../inference/model-registry.js';
import { silentObserver } from '../inference/observer.js';
import { createLog } from '../log.js';
import { loadOntology } from '../ontology/load-ontology.js';
import type { Ontology } from '../ontology/ontology.js';
import { type Annotated, annotate, assertWanted, keyOf, silentAnalysis } from './annotator.js';
import { checked, parseTagArguments, type TagArguments } from './arguments.js';
import { type FoundPath, findClipPaths } from './clip-paths.js';
import { EmbeddingFiles } from './embedding-files.js';
import { type EntryHead, isPassing } from './entry.js';
import { inOrder } from './in-order.js';
import { ProgressBar, type Tally, toClock } from './progress.js';
import { hasResults, openSink, type ResultSink } from './result-sink.js';
import { UsageError } from './usage-error.js';

export interface Surroundings {
  readonly stdout: Writable;
  readonly stderr: NodeJS.WriteStream;
  /** Stops the run; what is done by then is kept. */
  readonly signal: AbortSignal;
}

/** Exit codes of a run; 2 is for arguments that make no sense. */
export const EXIT = { ok: 0, someFailed: 1, usage: 2, interrupted: 130 } as const;

/**
 * `earshot tag`: one result for each file, in the order of the files.
 *
 * @returns exit code
 * @throws UsageError when nothing can be begun
 */
export async function tagCommand(
  args: readonly string[],
  surroundings: Surroundings,
): Promise<number> {
  const given = parseTagArguments(args, await loadOpenApi());
  const config = loadToolConfig(given.model === undefined ? {} : { MODEL: given.model });
  const found = await findModel(config);
  const ontology = await loadOntology();
  checked(() => assertWanted(given.wanted, found.card, ontology));
  const run = runName(given, found, config);
  const paths = await findClipPaths(given.paths);
  const isResumed = hasResults(given.out) && !given.overwrite;
  const sink = await openSink(given, { run, stdout: surroundings.stdout });
  const embeddings = await openEmbeddings(given, { sink, isResumed, found });
  const job: Job = { given, run, ontology, sink, embeddings, found, config, surroundings };
  return await runJob(paths, job);
}

interface Job {
  readonly given: TagArguments;
  readonly run: string;
  readonly ontology: Ontology;
  readonly sink: ResultSink;
  readonly embeddings: EmbeddingFiles | undefined;
  readonly found: FoundModel;
  readonly config: Config;
  readonly surroundings: Surroundings;
}

/** The same for the same model, precision and options: the output of one run may be gone on with by another. */
function runName({ wanted }: TagArguments, { card }: FoundModel, config: Config): string {
  const { name, revision, graphs } = card;
  const model = { name, revision, sha256: graphs.encoder.fp32.sha256 };
  const parts = { version: 1, model, precision: config.precision, wanted };
  return createHash('sha256').update(JSON.stringify(parts)).digest('hex').slice(0, 12);
}

async function openEmbeddings(
  { embeddings: path, overwrite }: TagArguments,
  { sink, isResumed, found }: { sink: ResultSink; isResumed: boolean; found: FoundModel },
): Promise<EmbeddingFiles | undefined> {
  if (path === undefined) return undefined;
  if (existsSync(path) && !isResumed && !overwrite) {
    throw new UsageError(
      `${path}: is there already, and no results that go with it; add --overwrite`,
    );
  }
  return EmbeddingFiles.open(path, { dim: found.card.embeddingDim, done: sink.done.values() });
}

async function runJob(paths: readonly FoundPath[], job: Job): Promise<number> {
  const { sink, embeddings, run, surroundings } = job;
  const todo: FoundPath[] = [];
  const tally = { total: paths.length, done: 0, failed: 0, leftOut: 0, before: 0, audioSeconds: 0 };
  for (const path of paths) {
    const earlier = await unchangedResult(path, { sink, run });
    if (earlier === undefined) todo.push(path);
    else countEarlier(tally, earlier);
  }
  try {
    if (todo.length > 0) await annotateAll(todo, job, tally);
    await sink.finish();
    return tally.failed > 0 ? EXIT.someFailed : EXIT.ok;
  } catch (error) {
    await sink.stop();
    if (!surroundings.signal.aborted) throw error;
    return EXIT.interrupted;
  } finally {
    await embeddings?.close();
    if (!job.given.quiet) surroundings.stderr.write(`${toSummary(tally, surroundings.signal)}\n`);
  }
}

/** What an earlier run said of the file, if it is still the same file. */
async function unchangedResult(
  { path }: FoundPath,
  { sink, run }: { sink: ResultSink; run: string },
): Promise<EntryHead | undefined> {
  const earlier = sink.done.get(path);
  if (earlier === undefined || isPassing(earlier)) return undefined;
  const { bytes, modified_ms } = await keyOf(path, run);
  const isSame = bytes === earlier.bytes && modified_ms === earlier.modified_ms;
  return isSame ? earlier : undefined;
}

type Counts = { -readonly [Name in keyof Tally]: Tally[Name] };

function countEarlier(tally: Counts, { status }: EntryHead): void {
  tally.done += 1;
  tally.before += 1;
  if (status !== 200) tally.failed += 1;
}

async function annotateAll(todo: readonly FoundPath[], job: Job, tally: Counts): Promise<void> {
  const { config, surroundings, given } = job;
  const { signal, stderr } = surroundings;
  const bar = new ProgressBar(stderr);
  const show = () => {
    if (!given.quiet) bar.update(tally);
  };
  const model = await startOneModel(job);
  const decoder = await openDecoder({
    ...config,
    threads: config.decodeConcurrency,
    timeoutMs: config.decodeTimeoutMs,
  });
  const deps = { decoder, model, observer: silentAnalysis, signal };
  const { wanted } = given;
  const work = (path: FoundPath) => annotate(path, { ...job, wanted }, deps);
  const atOnce = 2 * model.engines * model.maxBatchWindows;
  try {
    show();
    for await (const annotated of inOrder(todo, work, { atOnce })) {
      await take(annotated, job, { tally, print: (line) => bar.print(line) });
      show();
    }
  } finally {
    bar.clear();
    await Promise.all([decoder.close(), model.close({ graceMs: 0 })]);
  }
}

/** No other model is started, and no file waits for a place: this run alone asks for work. */
function startOneModel({ found, config }: Job): Promise<ClosableModel> {
  return startModel(found.folder, {
    ...config,
    card: found.card,
    provider: config.executionProvider,
    queueMaxWindows: Number.MAX_SAFE_INTEGER,
    log: createLog({ level: 'error' }),
    observer: silentObserver,
  });
}

/** A result is written only after its embedding: a row without a result is cut off by the next run. */
async function take(
  annotated: Annotated,
  { sink, embeddings, given }: Job,
  { tally, print }: { tally: Counts; print: (line: string) => void },
): Promise<void> {
  tally.done += 1;
  if (annotated.kind === 'left_out') {
    tally.leftOut += 1;
    return;
  }
  const { entry, embedding } = annotated;
  if ('problem' in entry) {
    tally.failed += 1;
    if (!given.quiet) print(`${entry.path}: ${entry.problem.title}. ${entry.problem.detail}`);
    await sink.append(entry);
    return;
  }
  tally.audioSeconds += entry.usage.audio_seconds;
  const row = embedding && (await embeddings?.append(entry.path, embedding));
  await sink.append(row === undefined ? entry : { ...entry, embedding_row: row });
}

function toSummary(tally: Tally, signal: AbortSignal): string {
  const { done, failed, leftOut, before, audioSeconds, total } = tally;
  const parts = [
    `${done - failed - leftOut} of ${total} files answered`,
    ...(failed > 0 ? [`${failed} failed`] : []),
    ...(leftOut > 0 ? [`${leftOut} left out, no audio`] : []),
    ...(before > 0 ? [`${before} of them by an earlier run`] : []),
    `${toClock(audioSeconds)} of sound heard`,
  ];
  return `${parts.join(', ')}${signal.aborted ? '; stopped' : ''}`;
}
