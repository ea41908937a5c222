import fc from 'fast-check';
import { beforeAll, describe, expect, it } from 'vitest';
import type { Label } from '../../src/inference/model-card.js';
import { loadOntology } from '../../src/ontology/load-ontology.js';
import type { Ontology } from '../../src/ontology/ontology.js';
import { resolveLabels } from '../../src/outputs/label-choice.js';
import { labelsBelow } from '../../src/outputs/rollup.js';
import { pickTags, planTags, type TagOptions } from '../../src/outputs/tags.js';
import { tinyCard } from '../inference/tiny-model.js';

let labels: readonly Label[];
let ontology: Ontology;
beforeAll(async () => {
  labels = (await tinyCard()).labels;
  ontology = await loadOntology();
});

/** Scores that fall and rise over the labels, many of them equal. */
const scores = Float32Array.from({ length: 527 }, (_, i) => ((i * 7) % 50) / 50);

const pick = (options: Partial<TagOptions> = {}, from = scores) =>
  pickTags(from, planTags(labels, { topK: 'all', threshold: 0, ...options }));
const label = (name: string) => resolveLabels({ name: 'tiny', labels }, [name])[0]!;
const trained = () => labels.filter((each) => each.trained);

describe('pickTags', () => {
  it('gives the best first and breaks ties by class index', () => {
    const tags = pick();
    expect(tags.map((tag) => tag.label).toSorted((a, b) => a.classIndex - b.classIndex)).toEqual(
      trained(),
    );
    for (const [i, { score, label: one }] of tags.entries()) {
      expect(score).toBe(scores[one.classIndex]);
      const next = tags[i + 1];
      if (next === undefined) continue;
      const isTie = score === next.score && one.classIndex < next.label.classIndex;
      expect(score > next.score || isTie).toBe(true);
    }
  });

  it('leaves out labels that training never saw before it counts the best', () => {
    const untrained = labels.findIndex((each) => !each.trained);
    const loud = scores.slice();
    loud[untrained] = 1;
    const tags = pick({ topK: 10 }, loud);
    expect(tags).toHaveLength(10);
    expect(tags.every((tag) => tag.label.trained)).toBe(true);
    const named = pick({ topK: 10, labels: [labels[untrained]!] }, loud);
    expect(named.map((tag) => [tag.label.classIndex, tag.score])).toEqual([[untrained, 1]]);
  });

  it('keeps what reaches the threshold exactly, and nothing below', () => {
    const least = scores[6] as number;
    const expected = trained().filter(({ classIndex }) => scores[classIndex]! >= least);
    expect(expected.length).toBeLessThan(trained().length);
    expect(pick({ threshold: least })).toHaveLength(expected.length);
    expect(pick({ threshold: 1 })).toEqual([]);
  });

  it('holds each label to its own threshold with auto, and to that of the request before it', () => {
    const reaches = ({ classIndex, threshold }: Label) => scores[classIndex]! >= (threshold ?? 0.5);
    const mids = (options: Partial<TagOptions>) =>
      new Set(pick(options).map((tag) => tag.label.mid));
    const expected = trained().filter(reaches);
    expect(mids({ threshold: 'auto' })).toEqual(new Set(expected.map(({ mid }) => mid)));
    const [weak] = trained().filter((each) => !reaches(each));
    const [strong] = expected;
    const thresholds = new Map([
      [weak!, 0],
      [strong!, 1],
    ]);
    const changed = mids({ threshold: 'auto', thresholds });
    expect([changed.has(weak!.mid), changed.has(strong!.mid)]).toEqual([true, false]);
    expect(changed.size).toBe(expected.length);
  });

  it('restricts to labels, and leaves labels out, before it counts the best', () => {
    const [best, ...others] = pick();
    const three = others.slice(20, 23).map((tag) => tag.label);
    expect(pick({ labels: three, topK: 2 }).map((tag) => tag.label)).toEqual(three.slice(0, 2));
    const without = pick({ excludeLabels: [best!.label], topK: 2 });
    expect(without.map((tag) => tag.label)).toEqual(others.slice(0, 2).map((tag) => tag.label));
    expect(pick({ labels: three, excludeLabels: three })).toEqual([]);
  });

  it('refuses scores of another model', () => {
    expect(() => pick({}, scores.subarray(0, 3))).toThrow('got 3 scores');
  });
});

describe('with roll-up', () => {
  const rolled = (options: Partial<TagOptions> = {}, from = scores) =>
    pick({ below: labelsBelow(labels, ontology), ...options }, from);

  it('scores a label as the best of itself and all below it, and says whose score it is', () => {
    const tags = rolled();
    expect(tags.length).toBeGreaterThan(trained().length);
    for (const { label: one, score, rolledUpFrom } of tags) {
      const kinds = [one.mid, ...ontology.descendants(one.mid)];
      const counting = trained().filter(({ mid }) => kinds.includes(mid));
      const largest = Math.max(...counting.map(({ classIndex }) => scores[classIndex]!));
      expect(score).toBe(largest);
      if (rolledUpFrom === undefined) expect(scores[one.classIndex]).toBe(score);
      else
        expect([kinds.includes(rolledUpFrom.mid), scores[rolledUpFrom.classIndex]]).toEqual([
          true,
          score,
        ]);
    }
  });

  it('never scores a label below a kind of it, whatever the scores and what is named', () => {
    const values = fc.float32Array({ min: 0, max: 1, noNaN: true, minLength: 527, maxLength: 527 });
    fc.assert(
      fc.property(
        values,
        fc.option(fc.subarray([...labels]), { nil: undefined }),
        (from, named) => {
          const tags = rolled({ labels: named }, from);
          const scoreOf = new Map(tags.map((tag) => [tag.label.mid, tag.score]));
          for (const { label: one, score } of tags) {
            for (const above of ontology.ancestors(one.mid)) {
              expect(scoreOf.get(above) ?? 1).toBeGreaterThanOrEqual(score);
            }
          }
        },
      ),
      { numRuns: 30 },
    );
  });

  it('takes a label for present where a kind of it is, unless it has a threshold from the request', () => {
    const below = trained().find(({ mid }) => ontology.ancestors(mid).has('/m/0jbk'))!;
    const animal = label('Animal');
    const quiet = new Float32Array(527);
    quiet[below.classIndex] = 0.4;
    const thresholds = new Map([[below, 0.3]]);
    const names = (options: Partial<TagOptions>) =>
      rolled({ threshold: 0.5, labels: [below, animal], ...options }, quiet).map(
        (tag) => tag.label.name,
      );
    expect(names({ thresholds })).toEqual(['Animal', below.name]);
    expect(names({ thresholds: new Map([...thresholds, [animal, 0.45]]) })).toEqual([below.name]);
    expect(names({})).toEqual([]);
  });
});
