/** What GET /v1/labels answers. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { openWorkshop, startService, type TestService, type Workshop } from './test-service.js';

let workshop: Workshop;
let service: TestService;

beforeAll(async () => {
  workshop = await openWorkshop();
  service = await startService(workshop);
});
afterAll(async () => {
  await service.close();
  await workshop.close();
});

interface WireLabel {
  label: string;
  mid: string;
  class_index: number | null;
  trained: boolean;
  parents: string[];
  children: string[];
}
interface WireNode extends Omit<WireLabel, 'parents' | 'children'> {
  children: WireNode[];
}

async function list(query = '') {
  const { status, body } = await service.call('get', `/v1/labels${query}`);
  expect(status, body.detail).toBe(200);
  return body;
}

const namesOf = (labels: WireLabel[]) => labels.map(({ label }) => label);

describe('as a list', () => {
  test('all labels, in the order of their class indices, as the card has them', async () => {
    const { data, total } = await list();
    const { labels } = workshop.registry.get().card;
    expect(total).toBe(527);
    expect(data.map(({ mid }: WireLabel) => mid)).toEqual(labels.map(({ mid }) => mid));
    expect(data[0]).toMatchObject({
      label: 'Speech',
      threshold: 0.2,
      positives: 8,
      average_precision: 0.5,
    });
  });

  test('parents and children are the same edges from both ends', async () => {
    const { data } = (await list()) as { data: WireLabel[] };
    const byMid = new Map(data.map((label) => [label.mid, label]));
    const dog = byMid.get('/m/0bt9lr')!;
    expect(dog.children).toContain('/m/05tny_');
    for (const { mid, children, parents } of data) {
      for (const child of children) expect(byMid.get(child)?.parents ?? [mid]).toContain(mid);
      for (const parent of parents) expect(byMid.get(parent)?.children ?? [mid]).toContain(mid);
    }
    expect(data.filter(({ parents }) => parents.length > 1).length).toBeGreaterThan(20);
  });

  test.each([
    ['?q=dog', ['Dog', 'Whimper (dog)', 'Canidae, dogs, wolves']],
    ['?q=D%C3%B4g%20whi', ['Whimper (dog)']],
    ['?q=/m/0bt9lr', ['Dog']],
    ['?mid=/m/0bt9lr', ['Dog']],
    ['?mid=/m/nothing', []],
    ['?q=speech&trained=true', ['Speech', 'Child speech, kid speaking']],
  ])('%s', async (query, names) => {
    const { data, total } = await list(query);
    expect(namesOf(data)).toEqual(names);
    expect(total).toBe(names.length);
  });
});

describe('as a tree', () => {
  const flatten = (nodes: WireNode[]): WireNode[] =>
    nodes.flatMap((node) => [node, ...flatten(node.children)]);

  test('every label stands under each of its parents, up to the seven roots', async () => {
    const { object, total, data } = await list('?tree=1');
    expect([object, total, data.length]).toEqual(['tree', 527, 7]);
    const all = flatten(data);
    const { ontology } = workshop;
    const labels = workshop.registry.get().card.labels.map(({ mid }) => mid);
    expect(new Set(all.map(({ mid }) => mid))).toEqual(
      new Set([...labels, ...labels.flatMap((mid) => [...ontology.ancestors(mid)])]),
    );
    for (const mid of labels) {
      const above = all.filter(({ children }) => children.some((child) => child.mid === mid));
      expect(new Set(above.map((node) => node.mid))).toEqual(new Set(ontology.get(mid)!.parents));
    }
  });

  test('holds only what leads to a label that is wanted', async () => {
    const { data, total } = await list('?tree=true&q=whimper%20dog');
    expect(total).toBe(1);
    for (const node of flatten(data)) {
      const isOnTheWay = flatten(node.children).some(({ class_index: index }) => index !== null);
      expect(node.class_index !== null || isOnTheWay).toBe(true);
    }
    expect(flatten(data).filter(({ class_index: index }) => index !== null)[0]?.label).toBe(
      'Whimper (dog)',
    );
    expect((await list('?tree=1&q=nothing%20of%20the%20kind')).data).toEqual([]);
  });

  test('has labels that AudioSet does not know at its end', async () => {
    const model = workshop.registry.get();
    const [first] = model.card.labels;
    const stranger = { ...first!, mid: '/x/tannoy', name: 'Tannoy' };
    const card = { ...model.card, labels: [stranger] };
    const registry = { ...workshop.registry, get: () => ({ ...model, card }) };
    const own = await startService(workshop, { registry });
    const { body } = await own.call('get', '/v1/labels?tree=1');
    expect(body.data).toEqual([
      { label: 'Tannoy', mid: '/x/tannoy', class_index: 0, trained: true, children: [] },
    ]);
    const { body: flat } = await own.call('get', '/v1/labels');
    expect(flat.data[0]).toMatchObject({ description: null, parents: [], children: [] });
    await own.close();
  });

  test('tree=yes is refused', async () => {
    const { status, body } = await service.call('get', '/v1/labels?tree=yes');
    expect([status, body.code]).toEqual([422, 'invalid_value']);
  });
});
