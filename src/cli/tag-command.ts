import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import type { Writable } from 'node:stream';
import { type Config, loadToolConfig } from '../config.js';
import { loadOpenApi } from '../http/openapi-document.js';
import { type FoundModel, findModel } from '../inference/model-registry.js';
import { loadOntology } from '../ontology/load-ontology.js';
import { assertWanted } from './annotator.js';
import { checked, parseTagArguments, type TagArguments } from './arguments.js';
import { findClipPaths } from './clip-paths.js';
import { EmbeddingFiles } from './embedding-files.js';
import { EXIT } from './exit-codes.js';
import { ProgressBar } from './progress.js';
import { hasResults, openSink, type ResultSink } from './result-sink.js';
import { TagRun } from './tag-run.js';
import { UsageError } from './usage-error.js';

export interface Surroundings {
  readonly stdout: Writable;
  readonly stderr: NodeJS.WriteStream;
  /** Stops the run; what is done by then is kept. */
  readonly signal: AbortSignal;
}

/**
 * `earshot tag`: one result for each file, in the order of the files.
 *
 * @returns exit code
 * @throws UsageError when nothing can be begun
 */
export async function tagCommand(
  args: readonly string[],
  { stdout, stderr, signal }: Surroundings,
): Promise<number> {
  const given = parseTagArguments(args, await loadOpenApi());
  const config = loadToolConfig(given.model === undefined ? {} : { MODEL: given.model });
  const found = await findModel(config);
  const ontology = await loadOntology();
  const { wanted, quiet } = given;
  checked(() => assertWanted(wanted, found.card, ontology));
  const paths = await findClipPaths(given.paths);
  const name = runName(given, found, config);
  const isResumed = hasResults(given.out) && !given.overwrite;
  const sink = await openSink(given, { run: name, stdout });
  const embeddings = await openEmbeddings(given, { sink, isResumed, found });
  const bar = quiet ? undefined : new ProgressBar(stderr);
  const run = new TagRun({ name, wanted, ontology, found, config, sink, embeddings, bar, signal });
  return finish(run, { sink, embeddings, signal }, await run.heedEarlier(paths)).finally(() => {
    if (!quiet) stderr.write(`${run.summary()}\n`);
  });
}

async function finish(
  run: TagRun,
  {
    sink,
    embeddings,
    signal,
  }: { sink: ResultSink; embeddings: EmbeddingFiles | undefined; signal: AbortSignal },
  waiting: Awaited<ReturnType<TagRun['heedEarlier']>>,
): Promise<number> {
  try {
    await run.annotateAll(waiting);
    await sink.finish();
    return run.tally.failed > 0 ? EXIT.someFailed : EXIT.ok;
  } catch (error) {
    await sink.stop();
    if (!signal.aborted) throw error;
    return EXIT.interrupted;
  } finally {
    await embeddings?.close();
  }
}

/** The same for the same model, precision and options: the output of one run may be gone on with by another. */
function runName({ wanted }: TagArguments, { card }: FoundModel, config: Config): string {
  const { name, revision, graphs } = card;
  // All of them: which one `auto` takes is known only once it runs.
  const sha256 = Object.values(graphs.encoder).map((graph) => graph.sha256);
  const model = { name, revision, sha256: sha256.join() };
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
