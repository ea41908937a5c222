import { describe, expect, it } from 'vitest';
import type { Label } from '../../src/inference/model-card.js';
import { createOntology } from '../../src/ontology/ontology.js';
import { planGroups, scoreGroups } from '../../src/outputs/groups.js';
import { labelsBelow, scoreSources } from '../../src/outputs/rollup.js';

const node = (mid: string, ...children: string[]) => ({
  mid,
  name: mid,
  description: '',
  children,
  restrictions: [],
});

// animal > (pet, wild) > dog by both ways; wild is no label; bark below dog; x is in no ontology.
const ontology = createOntology([
  node('animal', 'pet', 'wild'),
  node('pet', 'dog', 'cat'),
  node('wild', 'dog', 'wolf'),
  node('dog', 'bark'),
  node('cat'),
  node('wolf'),
  node('bark'),
]);

const TRAINED = ['dog', 'bark', 'wolf', 'x'];
const labels: Label[] = ['animal', 'pet', 'dog', 'bark', 'cat', 'wolf', 'x'].map(
  (mid, classIndex) => ({
    mid,
    name: mid,
    classIndex,
    trained: TRAINED.includes(mid),
    positives: 1,
    averagePrecision: null,
    threshold: null,
  }),
);
const byMid = (mid: string) => labels.find((label) => label.mid === mid)!;

const sourcesOf = (mids: string[], isRolledUp: boolean) => {
  const below = isRolledUp ? labelsBelow(labels, ontology) : undefined;
  const sources = scoreSources(labels, { named: new Set(mids.map(byMid)), below });
  return Object.fromEntries(sources.map((from, i) => [labels[i]!.mid, from.map(({ mid }) => mid)]));
};

describe('scoreSources', () => {
  it('is each trained label by itself without roll-up', () => {
    expect(sourcesOf([], false)).toEqual({
      animal: [],
      pet: [],
      dog: ['dog'],
      bark: ['bark'],
      cat: [],
      wolf: ['wolf'],
      x: ['x'],
    });
  });

  it('is all that is below, once each, also through what is no label', () => {
    expect(sourcesOf([], true)).toEqual({
      animal: ['dog', 'bark', 'wolf'],
      pet: ['dog', 'bark'],
      dog: ['dog', 'bark'],
      bark: ['bark'],
      cat: [],
      wolf: ['wolf'],
      x: ['x'],
    });
  });

  it('lets an untrained label count when it is named and nothing trained is below it', () => {
    expect(sourcesOf(['cat', 'animal'], true)).toMatchObject({
      animal: ['dog', 'bark', 'cat', 'wolf'],
      pet: ['dog', 'bark', 'cat'],
      cat: ['cat'],
    });
    expect(sourcesOf(['animal'], false).animal).toEqual(['animal']);
  });
});

describe('groups', () => {
  const scores = Float32Array.of(0.9, 0.8, 0.3, 0.4, 0.7, 0.2, 0.1);
  const scored = (mids: string[], isRolledUp = false) => {
    const group = { name: 'mine', labels: mids.map(byMid) };
    const below = isRolledUp ? labelsBelow(labels, ontology) : undefined;
    const [result] = scoreGroups(scores, planGroups(labels, [group], below));
    return [result?.name, result?.label.mid, Math.round(10 * result!.score)];
  };

  it.each([
    [['dog', 'x'], false, 'dog', 3],
    [['dog', 'x'], true, 'bark', 4],
    [['cat', 'wolf'], false, 'wolf', 2],
    [['cat'], false, 'cat', 7],
    [['animal'], true, 'bark', 4],
    [['animal', 'cat'], false, 'animal', 9],
  ])('%j, rolled up %s: the score of %s', (mids, isRolledUp, from, tenths) => {
    expect(scored(mids, isRolledUp)).toEqual(['mine', from, tenths]);
  });
});
