import { stat } from 'node:fs/promises';
import { setImmediate } from 'node:timers/promises';
import type { AnalysisDeps, AnalysisObserver } from '../analyze/hear.js';
import { listEvents } from '../analyze/list-events.js';
import { tagClip } from '../analyze/tag-clip.js';
import { ServiceError } from '../errors.js';
import { toAudio, toUsage } from '../http/audio-reply.js';
import { type EventParameters, toListOptions } from '../http/event-options.js';
import { toEvent } from '../http/event-reply.js';
import type { ParametersOf } from '../http/parameters.js';
import { toServiceError } from '../http/problem.js';
import { toTaggingOptions } from '../http/tag-options.js';
import { toChannel } from '../http/tag-reply.js';
import type { ModelCard } from '../inference/model-card.js';
import type { Ontology } from '../ontology/ontology.js';
import type { FoundPath } from './clip-paths.js';
import type { AnswerEntry, Entry, EntryKey, ProblemEntry } from './entry.js';

/** What is wanted of each file; as the HTTP parameters say it. */
export interface Wanted {
  readonly tags: ParametersOf<'createTags'>;
  /** Undefined: no events. */
  readonly events: EventParameters | undefined;
  readonly withEmbeddings: boolean;
}

/** What became of a file. */
export type Annotated =
  | { readonly kind: 'done'; readonly entry: Entry; readonly embedding: Float32Array | undefined }
  /** Met in a folder, and no audio. */
  | { readonly kind: 'left_out' };

/** Wants nothing of the stages: nobody waits for a reply with times in it. */
export const silentAnalysis: AnalysisObserver = {
  enter() {},
  spent() {},
  decodeDone() {},
  decodeFailed() {},
};

/**
 * Checks what is wanted against the model, before any file is read.
 *
 * @throws ServiceError `invalid_value`
 */
export function assertWanted(wanted: Wanted, card: ModelCard, ontology: Ontology): void {
  toTaggingOptions(wanted.tags, card, ontology);
  if (wanted.events) toListOptions(wanted.events, card);
}

/**
 * Tags one file, and finds its events and its embedding where they are wanted. A bad file is an entry with
 * its problem.
 *
 * @throws the reason of the signal of `deps` once that is aborted
 */
export async function annotate(
  { path, isFromFolder }: FoundPath,
  options: { wanted: Wanted; run: string; ontology: Ontology },
  deps: AnalysisDeps,
): Promise<Annotated> {
  const key = await keyOf(path, options.run);
  try {
    if (key.failure) throw key.failure;
    return { kind: 'done', ...(await answer(key, options, deps)) };
  } catch (error) {
    // Ctrl-C in a terminal ends ffmpeg, too: what that leaves is no fault of the file.
    await setImmediate();
    deps.signal.throwIfAborted();
    const known = toServiceError(error);
    const { code, extensions } = known;
    const isNoAudio = code === 'unsupported_format' && extensions.container === 'unknown';
    if (isFromFolder && isNoAudio) return { kind: 'left_out' };
    return { kind: 'done', entry: toProblemEntry(key, known), embedding: undefined };
  }
}

interface Key extends EntryKey {
  readonly failure?: ServiceError;
}

/** Of a file that cannot be looked at, too. */
export async function keyOf(path: string, run: string): Promise<Key> {
  try {
    const stats = await stat(path);
    const failure = stats.isFile() ? {} : { failure: unreadable('is no file') };
    return { path, bytes: stats.size, modified_ms: Math.floor(stats.mtimeMs), run, ...failure };
  } catch (error) {
    const { code = 'unknown' } = error as NodeJS.ErrnoException;
    return { path, bytes: 0, modified_ms: 0, run, failure: unreadable(`cannot be read (${code})`) };
  }
}

const unreadable = (why: string): ServiceError =>
  new ServiceError('not_found', `Expected a file that can be read, this one ${why}`);

async function answer(
  { failure: _, ...key }: Key,
  { wanted, ontology }: { wanted: Wanted; ontology: Ontology },
  deps: AnalysisDeps,
): Promise<{ entry: AnswerEntry; embedding: Float32Array | undefined }> {
  const { card } = deps.model;
  const { include = [], ...tagging } = toTaggingOptions(wanted.tags, card, ontology);
  const extras = wanted.withEmbeddings ? [...new Set([...include, 'embedding' as const])] : include;
  const clip = await tagClip(key, { ...tagging, include: extras }, deps);
  const channels = clip.tagged.map(({ embedding, ...tagged }) => ({
    channel: tagged.channel,
    ...toChannel(
      { ...tagged, embedding: include.includes('embedding') ? embedding : undefined },
      wanted.tags.start_seconds,
    ),
  }));
  const [{ channel: __, ...only } = { channel: 0, tags: [] }] = channels;
  const entry: AnswerEntry = {
    ...key,
    status: 200,
    model: card.name,
    audio: toAudio(clip),
    ...(wanted.tags.channel === 'each' ? { channels } : only),
    ...(wanted.events && (await eventsOf(key, wanted.events, deps))),
    usage: toUsage([clip]),
  };
  const embedding = wanted.withEmbeddings ? clip.tagged[0]?.embedding : undefined;
  return { entry, embedding };
}

async function eventsOf(
  clip: EntryKey,
  parameters: EventParameters,
  deps: AnalysisDeps,
): Promise<Pick<AnswerEntry, 'events' | 'truncated'>> {
  const found = await listEvents(clip, toListOptions(parameters, deps.model.card), deps);
  return { events: found.events.map(toEvent), truncated: found.isTruncated };
}

function toProblemEntry({ failure: _, ...key }: Key, error: ServiceError): ProblemEntry {
  const { status, code, title, message: detail, extensions } = error;
  return { ...key, status, problem: { code, title, detail, ...extensions } };
}
