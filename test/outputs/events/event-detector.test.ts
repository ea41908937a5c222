import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Label } from '../../../src/inference/model-card.js';
import {
  type DetectedEvent,
  type DetectorOptions,
  EventDetector,
} from '../../../src/outputs/events/event-detector.js';
import { toEventThresholds } from '../../../src/outputs/events/event-thresholds.js';
import type { Row } from '../../../src/outputs/events/row-smoother.js';

const ROW_SECONDS = 0.16;

function labelOf(classIndex: number, change: Partial<Label> = {}): Label {
  const [mid, name] = [`/m/${classIndex}`, `Label ${classIndex}`];
  const known = { trained: true, positives: 1, averagePrecision: null, threshold: null };
  return { classIndex, mid, name, ...known, ...change };
}

type Options = Partial<Omit<DetectorOptions, 'thresholds'>> & { on?: number; off?: number };

function optionsOf({ on = 0.5, off, ...change }: Options = {}): DetectorOptions {
  const labels = change.labels ?? [labelOf(0)];
  return {
    labels,
    thresholds: toEventThresholds(labels, { on, off }),
    smoothSeconds: 0,
    mergeGapSeconds: 0,
    minDurationSeconds: 0,
    minLevelDbfs: -200,
    rowSeconds: ROW_SECONDS,
    ...change,
  };
}

function toRows(
  scores: readonly (readonly number[])[],
  { levelsDbfs = [], firstRow = 0 }: { levelsDbfs?: readonly number[]; firstRow?: number } = {},
): Row[] {
  return scores.map((row, i) => ({
    scores: Float32Array.from(row),
    levelDbfs: levelsDbfs[i] ?? 0,
    startSeconds: (firstRow + i) * ROW_SECONDS,
    endSeconds: (firstRow + i + 1) * ROW_SECONDS,
  }));
}

/** All rows at once. */
function detect(options: DetectorOptions, rows: readonly Row[], endSeconds = Infinity) {
  const detector = new EventDetector(options);
  return [...detector.push(rows), ...detector.finish({ endSeconds })];
}

/** Rows [first, end) of the events of one label, from the scores of one label. */
function spans(scores: readonly number[], options: Options = {}): [number, number][] {
  const rows = toRows(scores.map((score) => [score]));
  return detect(optionsOf(options), rows).map((event) => [
    Math.round(event.start_seconds / ROW_SECONDS),
    Math.round(event.end_seconds / ROW_SECONDS),
  ]);
}

describe('one label', () => {
  test('starts at a score that reaches on and ends before one below off', () => {
    expect(spans([0.49, 0.5, 0.3, 0.25, 0.24, 0.49, 0.24])).toEqual([[1, 4]]);
    expect(spans([0.5, 0.3, 0.5], { off: 0.4 })).toEqual([
      [0, 1],
      [2, 3],
    ]);
    expect(spans([1, 1])).toEqual([[0, 2]]);
    expect(spans([])).toEqual([]);
  });

  test('merges over a gap that is not longer than allowed, then drops what is too short', () => {
    const scores = [1, 0, 0, 1, 0, 0, 0, 1];
    expect(spans(scores, { mergeGapSeconds: 0.32 })).toEqual([
      [0, 4],
      [7, 8],
    ]);
    expect(spans(scores, { mergeGapSeconds: 0.31 })).toHaveLength(3);
    const merged = { mergeGapSeconds: 0.32, minDurationSeconds: 0.64 };
    expect(spans(scores, merged)).toEqual([[0, 4]]);
    expect(spans(scores, { ...merged, minDurationSeconds: 0.65 })).toEqual([]);
  });

  test('holds the smoothed score to the thresholds, and tells the scores of the rows', () => {
    const rows = toRows([0, 0, 0.9, 0, 0, 0.6, 0.9, 0.6, 0].map((score) => [score]));
    const [event, ...others] = detect(optionsOf({ smoothSeconds: 0.48 }), rows);
    expect(others).toEqual([]);
    // Means of three: 0, 0.3, 0.3, 0.3, 0.2, 0.5, 0.7, 0.5, 0.3
    expect(event).toMatchObject({ start_seconds: 5 * ROW_SECONDS, end_seconds: 9 * ROW_SECONDS });
    expect(event?.score).toBeCloseTo(0.9, 6);
    expect(event?.score_mean).toBeCloseTo((0.6 + 0.9 + 0.6) / 4, 6);
  });

  test('ends with the clip, which may end within the last row', () => {
    const [event] = detect(optionsOf(), toRows([[1]]), 0.1);
    expect(event).toMatchObject({ start_seconds: 0, end_seconds: 0.1 });
  });

  test('is not found where it is quieter than the least level, unless it is silence itself', () => {
    const labels = [labelOf(0), labelOf(1, { mid: '/m/028v0c', name: 'Silence' })];
    const rows = toRows(
      [
        [1, 1],
        [1, 1],
        [1, 1],
      ],
      { levelsDbfs: [-10, -81, -200] },
    );
    const events = detect(optionsOf({ labels, minLevelDbfs: -80 }), rows);
    expect(events.map(({ label, end_seconds }) => [label, end_seconds])).toEqual([
      ['Label 0', ROW_SECONDS],
      ['Silence', 3 * ROW_SECONDS],
    ]);
  });
});

test('times are those of the rows', () => {
  const rows = [0, 1, 1, 0].map((one, i) => {
    return {
      scores: Float32Array.of(one),
      levelDbfs: 0,
      startSeconds: i ** 2,
      endSeconds: (i + 1) ** 2,
    };
  });
  const [event] = detect(optionsOf(), rows);
  expect(event).toMatchObject({ start_seconds: 1, end_seconds: 9 });
});

test('thresholds: the label’s own, one for all, half of it to end, never above it', () => {
  const labels = [labelOf(0, { threshold: 0.1 }), labelOf(1)];
  const auto = toEventThresholds(labels, { on: 'auto' });
  expect([...auto.on, ...auto.off]).toEqual([0.1, 0.5, 0.05, 0.25]);
  expect([...toEventThresholds(labels, { on: 'auto', off: 0.3 }).off]).toEqual([0.1, 0.3]);
  expect([...toEventThresholds(labels, { on: 0.8 }).off]).toEqual([0.4, 0.4]);
});

/** The same by definition, from lists of whole clips. */
function reference(
  scores: readonly number[],
  options: Required<Pick<Options, 'on' | 'off'>> & { half: number; gap: number; min: number },
) {
  const { on, off, half, gap, min } = options;
  const smooth = scores.map((_, row) => {
    const around = scores.slice(Math.max(0, row - half), row + half + 1);
    return Math.fround(around.reduce((a, b) => a + b, 0) / around.length);
  });
  const isOn: boolean[] = [];
  for (const [row, score] of smooth.entries()) isOn.push(score >= (isOn[row - 1] ? off : on));
  let found: { first: number; end: number }[] = [];
  for (const [row, on] of isOn.entries()) {
    if (on && !isOn[row - 1]) found.push({ first: row, end: row });
    const last = found.at(-1);
    if (on && last) last.end = row + 1;
  }
  for (let i = 1; i < found.length; i++) {
    const [before, after] = [found[i - 1], found[i]];
    if (!before || !after || after.first - before.end > gap) continue;
    found = found.toSpliced(i - 1, 2, { first: before.first, end: after.end });
    i -= 1;
  }
  return found
    .filter(({ first, end }) => end - first >= min)
    .map(({ first, end }) => {
      const own = scores.slice(first, end);
      return {
        first,
        end,
        score: Math.max(...own),
        mean: own.reduce((a, b) => a + b, 0) / own.length,
      };
    });
}

const score = fc.integer({ min: 0, max: 10 }).map((tenths) => Math.fround(tenths / 10));
const cases = fc.record({
  rows: fc.array(fc.tuple(score, score, score), { maxLength: 60 }),
  on: fc.constantFrom(0.3, 0.5, 0.8),
  offShare: fc.constantFrom(0.5, 0.8, 1),
  half: fc.integer({ min: 0, max: 3 }),
  gap: fc.integer({ min: 0, max: 4 }),
  min: fc.integer({ min: 0, max: 5 }),
  pieces: fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 1, maxLength: 10 }),
});

test('streamed in any pieces = the whole = the definition; ordered by end', () => {
  const labels = [0, 1, 2].map((i) => labelOf(i));
  fc.assert(
    fc.property(cases, ({ rows: scores, on, offShare, half, gap, min, pieces }) => {
      const off = on * offShare;
      const options = optionsOf({
        ...{ labels, on, off },
        smoothSeconds: (2 * half + 1) * ROW_SECONDS,
        mergeGapSeconds: gap * ROW_SECONDS,
        minDurationSeconds: min * ROW_SECONDS,
      });
      const rows = toRows(scores);
      const detector = new EventDetector(options);
      const streamed: DetectedEvent[] = [];
      for (let start = 0, i = 0; start < rows.length; i++) {
        const numRows = pieces[i % pieces.length] ?? 1;
        streamed.push(...detector.push(rows.slice(start, start + numRows)));
        start += numRows;
      }
      streamed.push(...detector.finish({ endSeconds: Infinity }));
      expect(streamed).toEqual(detect(options, rows));
      const ends = streamed.map((event) => event.end_seconds);
      expect(ends).toEqual(ends.toSorted((a, b) => a - b));
      for (const [i] of labels.entries()) {
        const column = scores.map((row) => row[i] ?? 0);
        const expected = reference(column, { on, off, half, gap, min });
        const own = streamed.filter((event) => event.class_index === i);
        expect(own.map((event) => Math.round(event.start_seconds / ROW_SECONDS))).toEqual(
          expected.map(({ first }) => first),
        );
        expect(own.map((event) => Math.round(event.end_seconds / ROW_SECONDS))).toEqual(
          expected.map(({ end }) => end),
        );
        for (const [place, { score: largest, mean }] of expected.entries()) {
          expect(own[place]?.score).toBe(largest);
          expect(own[place]?.score_mean).toBeCloseTo(mean, 9);
        }
      }
    }),
    { numRuns: 400 },
  );
});
