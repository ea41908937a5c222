import { ROW_SECONDS } from '../analyze/hear.js';
import type { ClipTag, TaggedChannel, TaggedWindow } from '../analyze/tag-clip.js';
import type { Label } from '../inference/model-card.js';
import type { GroupScore } from '../outputs/groups.js';
import type { Peak } from '../outputs/peaks.js';
import type { Tag } from '../outputs/tags.js';
import { DTYPES } from '../outputs/vector-encoding.js';
import { toThreeDecimals } from './audio-reply.js';
import type { components } from './openapi-types.js';

type Schemas = components['schemas'];

const SCORE_STEPS = 1e6;

/**
 * What a reply says of a channel: what was not asked for is not there.
 *
 * @param startSeconds where the hearing began: row 0 of the peaks
 */
export function toChannel(
  { tags, groups, windows, embedding }: TaggedChannel,
  startSeconds: number,
): Omit<Schemas['TagChannels'][number], 'channel'> {
  return {
    tags: tags.map((tag) => toClipTag(tag, startSeconds)),
    ...(groups.length > 0 && { groups: groups.map(toGroup) }),
    ...(windows && { windows: windows.map(toWindow) }),
    ...(embedding && { embedding: DTYPES.float32.numbers(embedding) }),
  };
}

function toClipTag({ peak, ...tag }: ClipTag, startSeconds: number): Schemas['Tag'] {
  return { ...toTag(tag), ...(peak && { peak: toPeak(peak, startSeconds) }) };
}

function toTag({ label, score, rolledUpFrom }: Tag): Schemas['Tag'] {
  return {
    label: label.name,
    mid: label.mid,
    class_index: label.classIndex,
    score: toSixDecimals(score),
    ...flagUntrained(label),
    ...(rolledUpFrom && { rolled_up_from: rolledUpFrom.mid }),
  };
}

function toPeak({ row, score }: Peak, startSeconds: number): Schemas['Peak'] {
  const start = startSeconds + row * ROW_SECONDS;
  return {
    start_seconds: toThreeDecimals(start),
    end_seconds: toThreeDecimals(start + ROW_SECONDS),
    score: toSixDecimals(score),
  };
}

function toGroup({ name, score, label }: GroupScore): Schemas['TagGroup'] {
  return {
    name,
    score: toSixDecimals(score),
    label: label.name,
    mid: label.mid,
    ...flagUntrained(label),
  };
}

function toWindow({ index, startSeconds, endSeconds, tags }: TaggedWindow): Schemas['TagWindow'] {
  return {
    index,
    start_seconds: toThreeDecimals(startSeconds),
    end_seconds: toThreeDecimals(endSeconds),
    tags: tags.map(toTag),
  };
}

const flagUntrained = ({ trained }: Label): { trained?: false } =>
  trained ? {} : { trained: false };

/** What is behind six decimals differs between machines. */
const toSixDecimals = (score: number): number => Math.round(score * SCORE_STEPS) / SCORE_STEPS;
