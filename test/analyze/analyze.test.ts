import { afterAll, beforeAll, expect, test } from 'vitest';
import { embedClip } from '../../src/analyze/embed-clip.js';
import { type AnalysisDeps, WHOLE_CLIP } from '../../src/analyze/hear.js';
import { tagClip } from '../../src/analyze/tag-clip.js';
import type { Model } from '../../src/inference/model-registry.js';
import { openWorkshop, type Workshop } from '../http/test-service.js';

const CLIP = new URL('../fixtures/clips/rooster.ogg', import.meta.url).pathname;

let workshop: Workshop;
let model: Model;
beforeAll(async () => {
  workshop = await openWorkshop();
  model = workshop.registry.get();
});
afterAll(() => workshop.close());

function depsWith(change: Partial<AnalysisDeps> = {}) {
  const heard: string[] = [];
  const observer = {
    enter: (stage: string) => heard.push(`enter ${stage}`),
    spent: (stage: string, ms: number) => heard.push(`${ms >= 0 ? 'spent' : 'negative'} ${stage}`),
    decodeDone: () => heard.push('decoded'),
    decodeFailed: () => heard.push('decode failed'),
  };
  const { signal } = new AbortController();
  const deps: AnalysisDeps = { decoder: workshop.decoder, model, observer, signal, ...change };
  return { deps, heard };
}

test('the stages are told in their order', async () => {
  const { deps, heard } = depsWith();
  await embedClip({ path: CLIP, bytes: 1 }, { normalize: true, hearing: WHOLE_CLIP }, deps);
  expect(heard).toEqual([
    'enter decode',
    'enter inference',
    'spent decode',
    'spent resample',
    'decoded',
    'spent queue',
    'spent inference',
    'enter postprocess',
    'spent postprocess',
  ]);
});

test('an empty file is refused before anyone decodes it', async () => {
  const { deps, heard } = depsWith();
  const tagging = tagClip(
    { path: CLIP, bytes: 0 },
    { topK: 5, threshold: 0, hearing: WHOLE_CLIP },
    deps,
  );
  await expect(tagging).rejects.toMatchObject({ code: 'empty_audio' });
  expect(heard).toEqual(['enter decode', 'decode failed']);
});

test('an aborted signal ends the work with its reason', async () => {
  const reason = new Error('enough');
  const { deps } = depsWith({ signal: AbortSignal.abort(reason) });
  const tagging = tagClip(
    { path: CLIP, bytes: 1 },
    { topK: 5, threshold: 0, hearing: WHOLE_CLIP },
    deps,
  );
  await expect(tagging).rejects.toBe(reason);
});
