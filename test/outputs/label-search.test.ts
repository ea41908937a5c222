import { beforeAll, describe, expect, it } from 'vitest';
import type { ModelCard } from '../../src/inference/model-card.js';
import { isFoundBy, nearLabels } from '../../src/outputs/label-search.js';
import { tinyCard } from '../inference/tiny-model.js';

let card: ModelCard;
beforeAll(async () => {
  card = await tinyCard();
});

describe('isFoundBy', () => {
  const found = (text: string) =>
    card.labels.filter((label) => isFoundBy(label, text)).map(({ name }) => name);

  it.each([
    ['dog', ['Dog', 'Whimper (dog)', 'Canidae, dogs, wolves']],
    ['WHÎMPER dôg', ['Whimper (dog)']],
    ['synth', ['Speech synthesizer', 'Synthetic singing', 'Synthesizer']],
    ['cry bab', ['Baby cry, infant cry']],
    ['/m/0bt9lr', ['Dog']],
    ['  saxophone ', ['Saxophone']],
    ['ylophon', []],
    [' , ', []],
  ])('%j finds %j', (text, names) => {
    expect(found(text)).toEqual(names);
  });

  it('knows no accents and no order of words', () => {
    expect(isFoundBy({ name: 'Fusión, café', mid: '/m/x' }, 'cafe fusion')).toBe(true);
  });
});

describe('nearLabels', () => {
  const near = (text: string) => nearLabels(card.labels, text).map(({ name }) => name);

  it.each([
    ['Saxofone', 'Saxophone'],
    ['Rooster crow', 'Crow'],
    ['Barc', 'Bark'],
  ])('for %s suggests %s', (text, name) => {
    expect(near(text)).toContain(name);
  });

  it('suggests little rather than anything', () => {
    expect(near('qqqqqqqq')).toEqual([]);
    expect(near('Crow').length).toBeLessThanOrEqual(3);
  });
});
