import { describe, expect, test } from 'vitest';
import { EventList, type ListedEvent } from '../../../src/outputs/events/event-list.js';
import { toRowLevels } from '../../../src/outputs/events/row-levels.js';
import { toRowScores } from '../../../src/outputs/events/row-scores.js';

const eventOf = (classIndex: number, start: number, score: number): ListedEvent => ({
  ...{ label: `Label ${classIndex}`, mid: `/m/${classIndex}`, class_index: classIndex },
  ...{ start_seconds: start, end_seconds: start + 1, score, score_mean: score },
});

function listOf(events: readonly ListedEvent[], options: { maxEvents: number; topK?: number }) {
  const list = new EventList(options);
  for (const event of events) list.add(event);
  return list.finish();
}

describe('the events of a clip', () => {
  const events = [eventOf(0, 3, 0.5), eventOf(1, 2, 0.9), eventOf(2, 1, 0.6), eventOf(0, 0, 0.8)];

  test('stand in the order of their starts', () => {
    const { events: listed, isTruncated } = listOf(events, { maxEvents: 4 });
    expect(listed.map((event) => event.start_seconds)).toEqual([0, 1, 2, 3]);
    expect(isTruncated).toBe(false);
  });

  test('beyond their number are dropped, and that is said', () => {
    const { events: listed, isTruncated } = listOf(events, { maxEvents: 3 });
    expect(listed.map((event) => event.start_seconds)).toEqual([1, 2, 3]);
    expect(isTruncated).toBe(true);
  });

  test('may be those of the labels with the highest single scores, also where the best comes last', () => {
    const { events: listed } = listOf(events, { maxEvents: 4, topK: 2 });
    expect(listed.map((event) => event.class_index)).toEqual([0, 1, 0]);
    const few = listOf(events, { maxEvents: 2, topK: 1 });
    expect(few).toEqual({ events: [events[1]], isTruncated: false });
  });
});

describe('rows', () => {
  const chosen = [2, 0].map((classIndex) => ({ classIndex }) as never);
  const logits = Float32Array.of(0, 1, 2, -1, 0, 3);

  test('scores of chosen labels are those of all labels, in the order of the choice', () => {
    const columns = { numLabels: 3, chosen };
    const sigmoid = (logit: number) => 1 / (1 + Math.exp(-logit));
    const [first, second] = toRowScores(logits, { ...columns, activation: 'sigmoid' });
    expect([...first!, ...second!].map((x) => x.toFixed(6))).toEqual(
      [2, 0, 3, -1].map((logit) => sigmoid(logit).toFixed(6)),
    );
    const [shares] = toRowScores(logits, { ...columns, activation: 'softmax' });
    const sum = 1 + Math.E + Math.E ** 2;
    expect([...shares!].map((x) => x.toFixed(6))).toEqual(
      [Math.E ** 2 / sum, 1 / sum].map((x) => x.toFixed(6)),
    );
  });

  test('levels: a square wave of full scale is 0 dBFS, half of it 6 less, nothing is -200', () => {
    const samples = Float32Array.of(1, -1, 0.5, -0.5, 0, 0, 0.7);
    const [loud, half, none] = toRowLevels(samples, { rows: 3, rowSamples: 2 });
    expect(loud).toBeCloseTo(0, 9);
    expect(half).toBeCloseTo(-6.0206, 4);
    expect(none).toBe(-200);
  });
});
