import { appendFile, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { loadModelCard } from '../../src/inference/model-card.js';
import { TINY_FOLDER, TinyCopy, tinyCard, type WireCard } from './tiny-model.js';

describe('loadModelCard', () => {
  it('reads every label, limit and graph of the file', async () => {
    const card = await tinyCard();
    const wire = JSON.parse(await readFile(join(TINY_FOLDER, 'model.json'), 'utf8'));
    expect(card).toMatchObject({
      name: 'tiny',
      sampleRate: 16_000,
      minSamples: 2800,
      windowSeconds: 10,
      tokens: null,
    });
    expect(card.labels).toHaveLength(527);
    expect(card.embeddingDim).toBe(wire.embedding.dim);
    expect(card.rowsPerSecond).toBe(6.25);
    for (const [i, label] of wire.labels.entries()) {
      const { class_index: classIndex, average_precision: averagePrecision, ...same } = label;
      expect(card.labels[i]).toEqual({ ...same, classIndex, averagePrecision });
    }
    expect(card.graphs.encoder.fp32).toEqual({
      ...wire.graphs.encoder.fp32,
      externalData: null,
      gate: null,
    });
    expect(card.graphs.tokenizer).toBeNull();
    expect(card.training).toEqual(wire.training);
    expect(card.evaluation).toEqual(wire.evaluation);
  });

  const gate = {
    passed: true,
    clips: 400,
    clips_sha256: '0'.repeat(64),
    folds: [4],
    top1_agreement: 0.9975,
    mean_absolute_score_difference: 0.0004,
    map_change: -0.0002,
    accuracy_change: null as number | null,
  };

  it('reads how a smaller precision passed its gate, and that one has met none', async () => {
    await using copy = await TinyCopy.create();
    await copy.editCard(({ graphs: { encoder } }) => {
      Object.assign(encoder, { int8: { ...encoder.fp32, gate }, fp16: encoder.fp32 });
    });
    const { encoder } = (await loadModelCard(copy.folder)).graphs;
    expect(encoder.int8?.gate).toEqual({
      passed: true,
      clips: 400,
      clipsSha256: '0'.repeat(64),
      folds: [4],
      top1Agreement: 0.9975,
      meanAbsoluteScoreDifference: 0.0004,
      mapChange: -0.0002,
      accuracyChange: null,
    });
    expect(encoder.fp16?.gate).toBeNull();
  });

  it.each([
    ['without its verdict', { ...gate, passed: undefined }, /int8\.gate\.passed: /],
    ['of no clips', { ...gate, clips: 0 }, /int8\.gate\.clips: .*got 0/],
    ['with a share above 1', { ...gate, top1_agreement: 99 }, /top1_agreement: .*got 99/],
    ['with an unknown key', { ...gate, note: '' }, /int8\.gate: .*"note"/],
  ])('refuses a gate %s', async (_name, spoilt, message) => {
    await using copy = await TinyCopy.create();
    await copy.editCard(({ graphs: { encoder } }) => {
      Object.assign(encoder, { int8: { ...encoder.fp32, gate: spoilt } });
    });
    await expect(loadModelCard(copy.folder)).rejects.toThrow(message);
  });

  it('refuses a gate of fp32, which is what others are judged by', async () => {
    await using copy = await TinyCopy.create();
    await copy.editCard(({ graphs }) => Object.assign(graphs.encoder.fp32, { gate }));
    await expect(loadModelCard(copy.folder)).rejects.toThrow(/encoder\.fp32: .*"gate"/);
  });

  it('is frozen to the last label', async () => {
    const card = await tinyCard();
    expect(() => Object.assign(card.labels[5] ?? {}, { name: 'x' })).toThrow(TypeError);
    expect(() => Object.assign(card.evaluation, { score: 1 })).toThrow(TypeError);
  });

  const spoilt: [name: string, spoil: (card: WireCard) => void, message: RegExp][] = [
    ['an unknown key', (card) => Object.assign(card, { colour: 1 }), /model\.json: .*"colour"/],
    [
      'an unknown key of a label',
      ({ labels }) => Object.assign(labels[7]!, { hue: 1 }),
      /labels\.7: .*"hue"/,
    ],
    [
      'a missing key',
      (card) => delete card.license,
      /license: .*expected string, received undefined/,
    ],
    [
      'a wrong type',
      ({ labels }) => {
        labels[3]!.mid = 7 as never;
      },
      /labels\.3\.mid: .*expected string, received number/,
    ],
    [
      'a wrong rate',
      (card) => {
        card.sample_rate = 32_000;
      },
      /sample_rate: .*16000, got 32000/,
    ],
    [
      'an unknown activation',
      (card) => {
        card.activation = 'relu';
      },
      /activation: .*"sigmoid"\|"softmax", got "relu"/,
    ],
    [
      'another schema',
      (card) => {
        card.schema_version = 2;
      },
      /schema_version: .*1, got 2/,
    ],
    [
      'labels out of order',
      ({ labels }) => {
        labels[2]!.class_index = 3;
      },
      /labels\.2\.class_index: expected 2, got 3/,
    ],
    [
      'a MID given twice',
      ({ labels }) => {
        labels[2]!.mid = labels[1]!.mid;
      },
      /labels\.2\.mid: expected distinct MIDs, got \S+ twice/,
    ],
    [
      'no fp32 graph',
      ({ graphs }) => {
        graphs.encoder = {} as never;
      },
      /graphs\.encoder\.fp32: /,
    ],
    [
      'a file outside the folder',
      ({ graphs }) => {
        graphs.encoder.fp32.file = '../encoder.onnx';
      },
      /plain file name in the model folder, got "\.\.\/encoder\.onnx"/,
    ],
    [
      'tokens without a tokenizer',
      (card) => {
        card.tokens = { codebook_size: 1024, bands: 8 };
      },
      /tokens: expected tokens and graphs\.tokenizer both/,
    ],
    [
      'a missing file',
      ({ graphs }) => {
        graphs.encoder.fp32.file = 'other.onnx';
      },
      /other\.onnx: model\.json names this file, but it is missing/,
    ],
    [
      'a wrong size',
      ({ graphs }) => {
        graphs.encoder.fp32.bytes = 17;
      },
      /encoder\.fp32\.onnx: expected 17 bytes, got \d+/,
    ],
  ];
  it.each(spoilt)('refuses %s', async (_name, spoil, message) => {
    await using copy = await TinyCopy.create();
    await copy.editCard(spoil);
    await expect(loadModelCard(copy.folder)).rejects.toThrow(message);
  });

  it('refuses a file that the card does not name, and lets documents pass', async () => {
    await using copy = await TinyCopy.create();
    await writeFile(join(copy.folder, 'NOTES.md'), 'about the model');
    await expect(loadModelCard(copy.folder)).resolves.toMatchObject({ name: 'tiny' });
    await writeFile(join(copy.folder, 'weights.bin'), '');
    await expect(loadModelCard(copy.folder)).rejects.toThrow(/weights\.bin: unknown file/);
  });

  it('refuses a file that is not what the checksums say, whether the service reads it or not', async () => {
    for (const file of ['model.json', 'README.md']) {
      await using copy = await TinyCopy.create();
      await appendFile(join(copy.folder, file), ' ');
      await expect(loadModelCard(copy.folder)).rejects.toThrow(`${file}: expected sha256`);
      await rm(join(copy.folder, file));
      await expect(loadModelCard(copy.folder)).rejects.toThrow(/ENOENT/);
    }
  });

  it('refuses a graph that the card and the checksums do not agree on', async () => {
    await using copy = await TinyCopy.create();
    const path = join(copy.folder, 'SHA256SUMS');
    const sums = await readFile(path, 'utf8');
    const other = sums.replace(/^\w{64}(?= {2}encoder)/m, 'f'.repeat(64));
    await writeFile(path, other);
    await expect(loadModelCard(copy.folder)).rejects.toThrow('encoder.fp32.onnx: expected sha256');
  });

  it.each([
    ['none', undefined, /SHA256SUMS: expected the checksums.*ENOENT/],
    ['an empty one', '', /SHA256SUMS: expected whole lines/],
    ['other lines', 'model.json\n', /SHA256SUMS: line 1: expected a sha256/],
    ['one without the card', `${'0'.repeat(64)}  x\n`, /encoder\.fp32\.onnx: unknown file/],
  ])('refuses a folder whose file of checksums is no such: %s', async (_name, text, message) => {
    await using copy = await TinyCopy.create();
    const path = join(copy.folder, 'SHA256SUMS');
    if (text === undefined) await rm(path);
    else await writeFile(path, text);
    await expect(loadModelCard(copy.folder)).rejects.toThrow(message);
  });

  it('says which file it could not read', async () => {
    await using copy = await TinyCopy.create();
    await writeFile(join(copy.folder, 'model.json'), '{');
    await expect(loadModelCard(copy.folder)).rejects.toThrow(/model\.json: expected JSON/);
    await rm(join(copy.folder, 'model.json'));
    await expect(loadModelCard(copy.folder)).rejects.toThrow(
      /model\.json: expected a model card.*ENOENT/,
    );
  });
});
