import type { OutputName } from '../inference/batch.js';
import type { ModelCard } from '../inference/model-card.js';
import { type AggregateMethod, createAggregate } from '../outputs/aggregate.js';
import { toUnitLength } from '../outputs/embedding.js';
import { type GroupScore, type LabelGroup, planGroups, scoreGroups } from '../outputs/groups.js';
import { type Peak, Peaks } from '../outputs/peaks.js';
import { createMean, type Pool } from '../outputs/pool.js';
import { toScores } from '../outputs/scores.js';
import { pickTags, planTags, type Tag, type TagOptions, type TagPlan } from '../outputs/tags.js';
import {
  type AnalysisDeps,
  type ClipFile,
  type HeardClip,
  type HeardWindow,
  type Hearing,
  hearClip,
  timed,
} from './hear.js';

/** What an answer about tags may hold beside them. */
export type TagExtra = 'windows' | 'peaks' | 'embedding';

export interface TaggingOptions extends TagOptions {
  readonly hearing: Omit<Hearing, 'outputs'>;
  /** `mean_logit` unless told otherwise. */
  readonly aggregate?: AggregateMethod;
  readonly groups?: readonly LabelGroup[];
  readonly include?: readonly TagExtra[];
}

/** A tag of a clip; with `peaks` it says when it is strongest. */
export interface ClipTag extends Tag {
  readonly peak: Peak | undefined;
}

export interface TaggedWindow extends Pick<HeardWindow, 'index' | 'startSeconds' | 'endSeconds'> {
  readonly tags: readonly Tag[];
}

export interface TaggedChannel {
  /** As `HeardWindow.channel` names it. */
  readonly channel: number;
  readonly tags: readonly ClipTag[];
  readonly groups: readonly GroupScore[];
  /** With `windows`. */
  readonly windows: readonly TaggedWindow[] | undefined;
  /** With `embedding`: (embedding dim), of unit length. */
  readonly embedding: Float32Array | undefined;
}

export interface TaggedClip extends HeardClip {
  /** One for each channel that was heard, in their order. */
  readonly tagged: readonly TaggedChannel[];
}

/**
 * What can be heard in a clip, over all of it. What is kept while it is heard does not grow with its
 * length, but for the tags of `windows`.
 *
 * @throws ServiceError that says what is wrong with the clip, or why it could not be run
 */
export async function tagClip(
  clip: ClipFile,
  options: TaggingOptions,
  deps: AnalysisDeps,
): Promise<TaggedClip> {
  const { card } = deps.model;
  const plans = toPlans(card, options);
  const taggers = new Map<number, ChannelTagger>();
  const hearing = { ...options.hearing, outputs: outputsFor(options) };
  const onWindow = (window: HeardWindow) => {
    const tagger = taggers.get(window.channel) ?? new ChannelTagger(card, plans, options);
    taggers.set(window.channel, tagger);
    tagger.add(window);
  };
  const heard = await hearClip(clip, hearing, onWindow, deps);
  const tagged = timed('postprocess', deps.observer, () =>
    [...taggers]
      .toSorted(([a], [b]) => a - b)
      .map(([channel, tagger]) => ({ channel, ...tagger.answer() })),
  );
  return { ...heard, tagged };
}

function outputsFor({ include = [] }: TaggingOptions): OutputName[] {
  return [
    'clip_logits',
    ...(include.includes('peaks') ? (['row_logits'] as const) : []),
    ...(include.includes('embedding') ? (['clip_embedding'] as const) : []),
  ];
}

interface Plans {
  readonly tags: TagPlan;
  readonly groups: readonly LabelGroup[];
}

const toPlans = ({ labels }: ModelCard, options: TaggingOptions): Plans => ({
  tags: planTags(labels, options),
  groups: planGroups(labels, options.groups ?? [], options.below),
});

/** Gathers the windows of one channel. */
class ChannelTagger {
  readonly #plans: Plans;
  readonly #activation: ModelCard['activation'];
  readonly #aggregate: Pool;
  readonly #windows: TaggedWindow[] | undefined;
  readonly #peaks: Peaks | undefined;
  readonly #embedding: Pool | undefined;

  constructor(
    { labels, activation }: ModelCard,
    plans: Plans,
    { aggregate = 'mean_logit', include = [] }: TaggingOptions,
  ) {
    this.#plans = plans;
    this.#activation = activation;
    this.#aggregate = createAggregate(aggregate, activation);
    if (include.includes('windows')) this.#windows = [];
    if (include.includes('peaks')) this.#peaks = new Peaks(labels.length, activation);
    if (include.includes('embedding')) this.#embedding = createMean();
  }

  add({ index, startSeconds, endSeconds, firstRow, rows, values }: HeardWindow): void {
    const { clip_logits: logits, row_logits: rowLogits, clip_embedding: embedding } = values;
    if (logits === undefined) throw new Error('Expected clip_logits of every window');
    this.#aggregate.add(logits, rows);
    if (rowLogits) this.#peaks?.add(rowLogits, firstRow);
    if (embedding) this.#embedding?.add(embedding, rows);
    if (this.#windows) {
      const tags = pickTags(toScores(logits, this.#activation), this.#plans.tags);
      this.#windows.push({ index, startSeconds, endSeconds, tags });
    }
  }

  answer(): Omit<TaggedChannel, 'channel'> {
    const scores = this.#aggregate.result();
    const tags = pickTags(scores, this.#plans.tags);
    return {
      tags: tags.map((tag) => ({ ...tag, peak: this.#peaks?.of(tag.sources) })),
      groups: scoreGroups(scores, this.#plans.groups),
      windows: this.#windows,
      embedding: this.#embedding && toUnitLength(this.#embedding.result()),
    };
  }
}
