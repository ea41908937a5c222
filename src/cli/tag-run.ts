import type { AnalysisDeps } from '../analyze/hear.js';
import { openDecoder } from '../audio/open-decoder.js';
import type { Config } from '../config.js';
import { type ClosableModel, startModel } from '../inference/model.js';
import type { FoundModel } from '../inference/model-registry.js';
import { silentObserver } from '../inference/observer.js';
import { createLog } from '../log.js';
import type { Ontology } from '../ontology/ontology.js';
import { type Annotated, annotate, keyOf, silentAnalysis, type Wanted } from './annotator.js';
import type { FoundPath } from './clip-paths.js';
import type { EmbeddingFiles } from './embedding-files.js';
import { type EntryHead, isPassing } from './entry.js';
import { inOrder } from './in-order.js';
import { type ProgressBar, type Tally, toClock } from './progress.js';
import type { ResultSink } from './result-sink.js';

export interface TagRunOptions {
  /** As results name it. */
  readonly name: string;
  readonly wanted: Wanted;
  readonly ontology: Ontology;
  readonly found: FoundModel;
  readonly config: Config;
  readonly sink: ResultSink;
  readonly embeddings: EmbeddingFiles | undefined;
  readonly bar: ProgressBar | undefined;
  readonly signal: AbortSignal;
}

type Counts = { -readonly [Name in keyof Tally]: Tally[Name] };

/** One run over many files: several at once, results in the order of the files. */
export class TagRun {
  readonly #options: TagRunOptions;
  readonly #tally: Counts = {
    total: 0,
    done: 0,
    failed: 0,
    leftOut: 0,
    before: 0,
    audioSeconds: 0,
  };

  constructor(options: TagRunOptions) {
    this.#options = options;
  }

  get tally(): Tally {
    return this.#tally;
  }

  /** @returns the files that earlier runs have left to do: new ones, changed ones, and those whose failure may be gone */
  async heedEarlier(paths: readonly FoundPath[]): Promise<FoundPath[]> {
    const waiting: FoundPath[] = [];
    for (const path of paths) {
      this.#tally.total += 1;
      const earlier = await this.#unchangedResult(path);
      if (earlier) this.#countEarlier(earlier);
      else waiting.push(path);
    }
    return waiting;
  }

  /** Starts engines and decode threads for as long as it takes; none where there is nothing to do. */
  async annotateAll(waiting: readonly FoundPath[]): Promise<void> {
    if (waiting.length === 0) return;
    const { config } = this.#options;
    const decoder = await openDecoder({
      ...config,
      threads: config.decodeConcurrency,
      timeoutMs: config.decodeTimeoutMs,
    });
    try {
      const model = await this.#startModel();
      await this.#annotate(waiting, { decoder, model }).finally(() => model.close({ graceMs: 0 }));
    } finally {
      await decoder.close();
    }
  }

  summary(): string {
    const { done, failed, leftOut, before, audioSeconds, total } = this.#tally;
    const parts = [
      `${done - failed - leftOut} of ${total} files answered`,
      ...(failed > 0 ? [`${failed} failed`] : []),
      ...(leftOut > 0 ? [`${leftOut} left out, no audio`] : []),
      ...(before > 0 ? [`${before} of them by an earlier run`] : []),
      `${toClock(audioSeconds)} of sound heard`,
    ];
    return `${parts.join(', ')}${this.#options.signal.aborted ? '; stopped' : ''}`;
  }

  async #annotate(
    waiting: readonly FoundPath[],
    { decoder, model }: Pick<AnalysisDeps, 'decoder' | 'model'>,
  ): Promise<void> {
    const { name: run, wanted, ontology, bar, signal } = this.#options;
    const deps = { decoder, model, observer: silentAnalysis, signal };
    const work = (path: FoundPath) => annotate(path, { run, wanted, ontology }, deps);
    const atOnce = 2 * model.engines * model.maxBatchWindows;
    try {
      bar?.update(this.#tally);
      for await (const annotated of inOrder(waiting, work, { atOnce })) {
        await this.#take(annotated);
        bar?.update(this.#tally);
      }
    } finally {
      bar?.clear();
    }
  }

  /** What an earlier run said of the file, if it is still the same file. */
  async #unchangedResult({ path }: FoundPath): Promise<EntryHead | undefined> {
    const { sink, name } = this.#options;
    const earlier = sink.done.get(path);
    if (earlier === undefined || isPassing(earlier)) return undefined;
    const { bytes, modified_ms } = await keyOf(path, name);
    const isSame = bytes === earlier.bytes && modified_ms === earlier.modified_ms;
    return isSame ? earlier : undefined;
  }

  #countEarlier({ status }: EntryHead): void {
    this.#tally.done += 1;
    this.#tally.before += 1;
    if (status !== 200) this.#tally.failed += 1;
  }

  /** No other model is started, and no file waits for a place: this run alone asks for work. */
  #startModel(): Promise<ClosableModel> {
    const { found, config } = this.#options;
    return startModel(found.folder, {
      ...config,
      card: found.card,
      provider: config.executionProvider,
      queueMaxWindows: Number.MAX_SAFE_INTEGER,
      queueMaxAudioSeconds: Infinity,
      // Not to standard output, which is for results.
      log: createLog({ level: 'error', destination: process.stderr }),
      observer: silentObserver,
    });
  }

  /** A result is written only after its vector: a row without a result is cut off by the next run. */
  async #take(annotated: Annotated): Promise<void> {
    const { sink, embeddings, bar } = this.#options;
    this.#tally.done += 1;
    if (annotated.kind === 'left_out') {
      this.#tally.leftOut += 1;
      return;
    }
    const { entry, embedding } = annotated;
    if ('problem' in entry) {
      this.#tally.failed += 1;
      bar?.print(`${entry.path}: ${entry.problem.title}. ${entry.problem.detail}`);
      await sink.append(entry);
      return;
    }
    this.#tally.audioSeconds += entry.usage.audio_seconds;
    const row = embedding && (await embeddings?.append(entry.path, embedding));
    await sink.append(row === undefined ? entry : { ...entry, embedding_row: row });
  }
}
