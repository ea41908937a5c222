/** The columns of every model here are those of AudioSet's own list: a model with another order would name the wrong sounds. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { loadModelCard } from '../../src/inference/model-card.js';

const at = (path: string) => fileURLToPath(new URL(`../../${path}`, import.meta.url));
const MIDS: string[] = JSON.parse(readFileSync(at('test/golden/audioset-mids.json'), 'utf8'));

const folders = ['models', 'test/fixtures/models'].flatMap((parent) =>
  readdirSync(at(parent)).map((name) => join(parent, name)),
);

test.each(folders)('%s', async (folder) => {
  const { labels } = await loadModelCard(at(folder));
  // A model that was not fine-tuned has no labels.
  if (labels.length > 0) expect(labels.map(({ mid }) => mid)).toEqual(MIDS);
});

test('the list has all labels, each once, and those that everybody knows where they are', () => {
  expect(new Set(MIDS).size).toBe(527);
  expect([MIDS[0], MIDS[74], MIDS[137]]).toEqual(['/m/09x0r', '/m/0bt9lr', '/m/04rlf']);
});
