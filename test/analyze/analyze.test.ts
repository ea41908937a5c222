import { afterAll, beforeAll, expect, test } from 'vitest';
import { embedClip } from '../../src/analyze/embed-clip.js';
import { type AnalysisDeps, WHOLE_CLIP } from '../../src/analyze/hear.js';
import { tagClip } from '../../src/analyze/tag-clip.js';
import { splitIntoWindows } from '../../src/audio/window.js';
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

test('tags are the sigmoid of the mean over all rows of the clip', async () => {
  const { deps } = depsWith();
  const { tags, windows } = await tagClip(
    { path: CLIP, bytes: 1 },
    { topK: 'all', threshold: 0, hearing: WHOLE_CLIP },
    deps,
  );
  // The same by another way: row by row, from the timeline.
  const { waveform } = await workshop.decoder.decode(CLIP, {});
  const split = splitIntoWindows(waveform, model.card);
  const outputs = await model.run(split, { outputs: ['row_logits'] });
  expect(windows).toBe(outputs.length);
  const numLabels = model.card.labels.length;
  const rows = outputs.reduce((sum, output) => sum + output.rows, 0);
  for (const { class_index: classIndex, score } of tags) {
    let sum = 0;
    for (const { values } of outputs) {
      const logits = values.row_logits ?? new Float32Array();
      for (let i = classIndex; i < logits.length; i += numLabels) sum += logits[i] ?? Number.NaN;
    }
    expect(score).toBeCloseTo(1 / (1 + Math.exp(-sum / rows)), 5);
  }
  expect(tags).toHaveLength(model.card.labels.filter(({ trained }) => trained).length);
});

test('a clip of several windows weighs them by their rows', async () => {
  const { deps } = depsWith();
  const { waveform, format } = await workshop.decoder.decode(CLIP, {});
  // Twice the clip and a bit: 9.92 s are the first window's, the rest is shorter.
  const samples = new Float32Array(waveform.samples.length * 2 + 20_000);
  samples.set(waveform.samples);
  samples.set(waveform.samples, waveform.samples.length);
  const long = { samples, sampleRate: waveform.sampleRate };
  const decoder = {
    decode: async () => ({ waveform: long, format, decodeMs: 1, resampleMs: 1 }),
  };
  const { embedding, windows } = await embedClip(
    { path: CLIP, bytes: 1 },
    { normalize: false, hearing: WHOLE_CLIP },
    { ...deps, decoder },
  );
  const split = splitIntoWindows(long, model.card);
  expect(windows).toBe(2);
  const outputs = await model.run(split, { outputs: ['row_embeddings'] });
  const dim = model.card.embeddingDim;
  const all = outputs.flatMap(({ values }) => [...(values.row_embeddings ?? [])]);
  embedding.forEach((value, i) => {
    const column = all.filter((_, at) => at % dim === i);
    expect(value).toBeCloseTo(column.reduce((a, b) => a + b, 0) / column.length, 4);
  });
});

test('the stages are told in their order', async () => {
  const { deps, heard } = depsWith();
  await embedClip({ path: CLIP, bytes: 1 }, { normalize: true, hearing: WHOLE_CLIP }, deps);
  expect(heard).toEqual([
    'enter decode',
    'spent decode',
    'spent resample',
    'decoded',
    'enter inference',
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
