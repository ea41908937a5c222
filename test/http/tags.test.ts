/** What POST /v1/tags answers to its parameters. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { longClip } from '../analyze/long-clip.js';
import { tone } from '../audio/signals.js';
import { writeWav } from '../audio/wav-writer.js';
import {
  clip,
  openWorkshop,
  startService,
  type TestService,
  type Workshop,
} from './test-service.js';

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

interface WireTag {
  label: string;
  mid: string;
  class_index: number;
  score: number;
  trained?: false;
  rolled_up_from?: string;
  peak?: { start_seconds: number; end_seconds: number; score: number };
}

type Parameters = Record<string, string | string[]>;

const DOG = clip('dog.ogg');
const LONG = longClip();

/** Posts parameters as form fields: so they may be long, and repeated. */
async function post(parameters: Parameters = {}, bytes: Buffer = DOG) {
  const request = service.call('post', '/v1/tags');
  for (const [name, value] of Object.entries(parameters)) {
    for (const each of [value].flat()) request.field(name, each);
  }
  return request.attach('file', bytes, 'x');
}

const answers = new Map<string, ReturnType<typeof post>>();

/** The reply to these parameters, asked for once. */
async function tag(parameters: Parameters = {}, bytes: Buffer = DOG) {
  const key = JSON.stringify([parameters, bytes.length]);
  const asked = answers.get(key) ?? post(parameters, bytes);
  answers.set(key, asked);
  const { status, body } = await asked;
  expect(status, body.detail).toBe(200);
  return body;
}

const allTags = async (parameters: Parameters = {}): Promise<WireTag[]> =>
  (await tag({ top_k: 'all', ...parameters })).tags;

const cardLabels = () => workshop.registry.get().card.labels;

describe('labels', () => {
  test('restrict before the best are counted; by name, MID, comma and repetition alike', async () => {
    const all = await allTags();
    const three = all.slice(30, 33);
    const names = three.map(({ label }) => label);
    const mids = three.map(({ mid }) => mid);
    const forms: Parameters[] = [
      { labels: names },
      { labels: names.join(',') },
      { labels: mids },
      { labels: [names[0]!.toUpperCase(), `${mids[1]},${names[2]}`] },
    ];
    for (const form of forms) expect((await tag(form)).tags).toEqual(three);
    expect((await tag({ labels: names, top_k: '2' })).tags).toEqual(three.slice(0, 2));
    const query = new URLSearchParams(names.map((name): [string, string] => ['labels', name]));
    const inQuery = await service
      .call('post', `/v1/tags?${query}`)
      .attach('file', clip('dog.ogg'), 'x');
    expect(inQuery.body.tags).toEqual(three);
  });

  test('are left out before the best are counted', async () => {
    const all = await allTags();
    const { tags } = await tag({ exclude_labels: [all[0]!.label, all[2]!.mid], top_k: '2' });
    expect(tags).toEqual([all[1], all[3]]);
  });

  test('that were not trained are answered when they are named, and flagged', async () => {
    const untrained = cardLabels().find(({ trained }) => !trained)!;
    const [only, ...others] = await allTags({ labels: untrained.name });
    expect(others).toEqual([]);
    expect(only).toMatchObject({ mid: untrained.mid, trained: false });
    expect((await allTags()).every(({ trained }) => trained === undefined)).toBe(true);
  });

  test('that nobody knows are refused, with what may have been meant', async () => {
    for (const parameter of ['labels', 'exclude_labels']) {
      const { status, body } = await post({ [parameter]: 'Dog,Syntesizer' });
      expect([status, body.code]).toEqual([422, 'invalid_value']);
      expect(body.errors).toMatchObject([{ parameter }]);
      expect(body.suggestions).toContain('Synthesizer');
    }
  });
});

describe('thresholds', () => {
  test('auto takes those of the card', async () => {
    const ownOf = new Map(cardLabels().map(({ mid, threshold }) => [mid, threshold ?? 0.5]));
    const all = await allTags();
    const expected = all.filter(({ mid, score }) => score >= ownOf.get(mid)!);
    expect(expected.length).toBeGreaterThan(0);
    expect(expected.length).toBeLessThan(all.length);
    expect(await allTags({ threshold: 'auto' })).toEqual(expected);
  });

  test('of single labels go before', async () => {
    const all = await allTags();
    const [best, second] = all;
    const thresholds = JSON.stringify({ [best!.label]: 1, [all.at(-1)!.mid]: 0 });
    const tags = await allTags({ threshold: String(second!.score - 1e-6), thresholds });
    expect(tags.map(({ mid }) => mid)).toEqual([second!.mid, all.at(-1)!.mid]);
  });

  test.each(['{', '[]', '{"Dog": 2}', '{"Dog": "0.5"}', '{"Dog": null}', '7', '{"Nothing": 0.5}'])(
    '%s is refused',
    async (thresholds) => {
      const { status, body } = await post({ thresholds });
      expect([status, body.errors[0].parameter]).toEqual([422, 'thresholds']);
    },
  );
});

test('roll-up: the same as from the scores of all labels and the ontology alone', async () => {
  const { ontology } = workshop;
  const own = new Map((await allTags()).map(({ mid, score }) => [mid, score]));
  const rolled = await allTags({ rollup: 'ancestors' });
  expect(rolled.length).toBeGreaterThan(own.size);
  for (const { mid, score, trained, rolled_up_from: from } of rolled) {
    const kinds = [mid, ...ontology.descendants(mid)].flatMap((each) => own.get(each) ?? []);
    expect(score).toBe(Math.max(...kinds));
    if (from !== undefined) expect(own.get(from)).toBe(score);
    expect(trained).toBe(own.has(mid) ? undefined : false);
  }
});

describe('groups', () => {
  test('have the largest score of their labels, whatever the thresholds', async () => {
    const all = await allTags();
    const groups = {
      mine: all.slice(4, 7).map(({ label }) => label),
      'more, of it': [all[2]!.mid],
    };
    const { groups: scored } = await tag({ groups: JSON.stringify(groups), threshold: '1' });
    const from = ({ label, mid, score }: WireTag) => ({ label, mid, score });
    expect(scored).toEqual([
      { name: 'mine', ...from(all[4]!) },
      { name: 'more, of it', ...from(all[2]!) },
    ]);
    expect(await tag()).not.toHaveProperty('groups');
  });

  test.each(['{"a": []}', '{"a": "Dog"}', '{"a": [1]}', '["Dog"]', '{"a": ["Nothing"]}'])(
    '%s is refused',
    async (groups) => {
      const { status, body } = await post({ groups });
      expect([status, body.errors[0].parameter]).toEqual([422, 'groups']);
    },
  );
});

describe('include', () => {
  test('windows, peaks and the embedding, as they are asked for', async () => {
    const plain = await tag({}, LONG);
    const full = await tag({ include: 'windows,peaks,embedding,audio' }, LONG);
    const withoutPeaks = full.tags.map(({ peak: _, ...rest }: WireTag) => rest);
    expect(withoutPeaks).toEqual(plain.tags);
    expect(
      full.windows.map(({ start_seconds: start }: { start_seconds: number }) => start),
    ).toEqual([0, 9.92, 19.84]);
    for (const { tags } of full.windows) expect(tags).toHaveLength(5);
    for (const { peak, score } of full.tags as WireTag[]) {
      expect(peak!.end_seconds - peak!.start_seconds).toBeCloseTo(0.16, 6);
      // The strongest row is at least as strong as the mean of them.
      expect(peak!.score).toBeGreaterThanOrEqual(score - 1e-6);
    }
    expect(Math.hypot(...full.embedding)).toBeCloseTo(1, 5);
    for (const part of ['windows', 'embedding']) expect(plain).not.toHaveProperty(part);
  });

  test('a window by itself has the tags that it has among others', async () => {
    const { windows } = await tag({ include: 'windows' }, LONG);
    const alone = await tag({ start_seconds: '0', end_seconds: '10' }, LONG);
    expect(alone.tags).toEqual(windows[0].tags);
  });

  test('anything else is refused', async () => {
    const { status, body } = await post({ include: 'windows,pictures' });
    expect([status, body.errors[0].parameter]).toEqual([422, 'include']);
  });
});

test('aggregate: max is the best window, and no other way is above it', async () => {
  const everything = { top_k: 'all', include: 'windows' };
  const scoresOf = async (aggregate: string): Promise<Map<string, number>> => {
    const { tags } = await tag({ ...everything, aggregate }, LONG);
    return new Map(tags.map(({ mid, score }: WireTag) => [mid, score]));
  };
  const { windows } = await tag(everything, LONG);
  const [max, mean, logit, or] = await Promise.all(
    ['max', 'mean', 'mean_logit', 'noisy_or'].map(scoresOf),
  );
  for (const [mid, score] of max!) {
    const own = windows.map(
      ({ tags }: { tags: WireTag[] }) => tags.find((each) => each.mid === mid)!.score,
    );
    expect(score).toBe(Math.max(...own));
    expect(mean!.get(mid)!).toBeLessThanOrEqual(score);
    expect(logit!.get(mid)!).toBeLessThanOrEqual(score);
    expect(or!.get(mid)!).toBeGreaterThanOrEqual(mean!.get(mid)! - 1e-6);
  }
});

test('channel=each: each channel as it would be alone', async () => {
  const each = await tag({ channel: 'each', include: 'windows,peaks' }, LONG);
  expect(each).not.toHaveProperty('tags');
  expect(each.channels.map(({ channel }: { channel: number }) => channel)).toEqual([0, 1]);
  const left = await tag({ channel: 'left', include: 'windows,peaks' }, LONG);
  const right = await tag({ channel: 'right', include: 'windows,peaks' }, LONG);
  expect(each.channels[0]).toEqual({ channel: 0, tags: left.tags, windows: left.windows });
  expect(each.channels[1]).toEqual({ channel: 1, tags: right.tags, windows: right.windows });
  expect(left.tags).not.toEqual(right.tags);
  expect(each.usage.windows).toBe(6);
});

test('a part of a recording has its peaks on the clock of the whole', async () => {
  const { tags } = await tag({ start_seconds: '12', include: 'peaks' }, LONG);
  for (const { peak } of tags as WireTag[]) expect(peak!.start_seconds).toBeGreaterThanOrEqual(12);
});

test('several sounds may be certain at once: scores are no shares of one', async () => {
  const tags = await allTags();
  expect(tags.filter(({ score }) => score > 0.5).length).toBeGreaterThan(1);
  expect(tags.reduce((sum, { score }) => sum + score, 0)).toBeGreaterThan(1);
});

test('silence is answered with finite scores', async () => {
  const silence = writeWav({
    kind: 's16',
    sampleRate: 16_000,
    channels: [tone({ hz: 1, amplitude: 0, sampleRate: 16_000, seconds: 1 })],
  });
  const { tags, audio } = await tag(
    { top_k: 'all', include: 'peaks', rollup: 'ancestors' },
    silence,
  );
  expect(tags.every(({ score }: WireTag) => Number.isFinite(score))).toBe(true);
  expect(audio).toMatchObject({ silent: true });
});
