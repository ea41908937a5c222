import { existsSync, readFileSync } from 'node:fs';
import { beforeAll, describe, expect, it } from 'vitest';
import { loadOntology } from '../../src/ontology/load-ontology.js';
import { createOntology, type Ontology } from '../../src/ontology/ontology.js';
import { tinyCard } from '../inference/tiny-model.js';

const read = (path: string) => readFileSync(new URL(path, import.meta.url), 'utf8');
const ORIGINAL = new URL('../../../shared/data/audioset/ontology.json', import.meta.url);

const node = (mid: string, ...children: string[]) => ({
  mid,
  name: mid,
  description: '',
  children,
  restrictions: [],
});

describe('a small graph', () => {
  // a is above b and c, d is below both, e is below d and a.
  const graph = createOntology([
    node('a', 'b', 'c', 'e'),
    node('b', 'd'),
    node('c', 'd'),
    node('d', 'e'),
    node('e'),
    node('f'),
  ]);

  it('knows parents, also several', () => {
    expect(graph.get('d')?.parents).toEqual(['b', 'c']);
    expect(graph.get('e')?.parents.toSorted()).toEqual(['a', 'd']);
    expect(graph.get('a')?.parents).toEqual([]);
  });

  it('finds all that is above and below, by every way', () => {
    expect([...graph.ancestors('e')].toSorted()).toEqual(['a', 'b', 'c', 'd']);
    expect([...graph.descendants('a')].toSorted()).toEqual(['b', 'c', 'd', 'e']);
    expect(graph.descendants('f').size).toBe(0);
  });

  it('gives what it does not know no relatives', () => {
    expect(graph.get('x')).toBeUndefined();
    expect(graph.ancestors('x').size + graph.descendants('x').size).toBe(0);
  });

  it('refuses a circle and a child that is not there', () => {
    expect(() => createOntology([node('a', 'b'), node('b', 'a')])).toThrow('a is below itself');
    expect(() => createOntology([node('a', 'z')])).toThrow('a child z that is not there');
  });
});

describe("AudioSet's", () => {
  let ontology: Ontology;
  beforeAll(async () => {
    ontology = await loadOntology();
  });

  it('has the figures that are known of it', async () => {
    expect(ontology.nodes).toHaveLength(632);
    expect(ontology.nodes.filter(({ parents }) => parents.length === 0)).toHaveLength(7);
    expect(ontology.nodes.filter(({ parents }) => parents.length > 1)).toHaveLength(38);
    const { labels } = await tinyCard();
    const mids = new Set(labels.map(({ mid }) => mid));
    const withLabelledAncestor = labels.filter(({ mid }) =>
      [...ontology.ancestors(mid)].some((each) => mids.has(each)),
    );
    expect([labels.length, withLabelledAncestor.length]).toEqual([527, 401]);
  });

  it('calls every label of a model by its name', async () => {
    for (const { mid, name } of (await tinyCard()).labels) {
      expect.soft(ontology.get(mid)?.name).toBe(name);
    }
  });

  it('has the edges that training knows', () => {
    const [, ...rows] = read('../../training/earshot_training/labels/ontology_edges.csv')
      .trim()
      .split(/\r?\n/);
    const edges = ontology.nodes.flatMap(({ mid, children }) =>
      children.map((child) => `${mid},${child}`),
    );
    expect(edges.toSorted()).toEqual(rows.toSorted());
  });

  it('is what the script makes of the original', async ({ skip }) => {
    if (!existsSync(ORIGINAL)) skip("AudioSet's own ontology.json is not at hand");
    const script = new URL('../../scripts/build-ontology.mjs', import.meta.url);
    const { buildOntology } = await import(script.href);
    expect(read('../../ontology/audioset.json')).toBe(
      buildOntology(readFileSync(ORIGINAL, 'utf8')),
    );
  });

  it('is shipped with its licence', () => {
    expect(read('../../ontology/ATTRIBUTION.txt')).toContain('CC BY-SA 4.0');
    expect(read('../../NOTICE')).toContain('ontology/audioset.json');
  });
});
