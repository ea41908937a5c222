import { createHash } from 'node:crypto';
import { open, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ENCODER_OUTPUTS, toBatch } from '../../src/inference/batch.js';
import { graphSpecs } from '../../src/inference/graph-spec.js';
import { loadModelCard, type ModelCard } from '../../src/inference/model-card.js';
import { openGraphs } from '../../src/inference/session.js';
import {
  engineSpecOf,
  largestDifference,
  TINY_FOLDER,
  TINY_TOKEN_FOLDER,
  TinyCopy,
  tinyCard,
  windowOf,
} from './tiny-model.js';

describe('openGraphs', () => {
  it('refuses a graph of which any one bit was changed', async () => {
    await using copy = await TinyCopy.create();
    const spec = await engineSpecOf(copy.folder);
    const graph = spec.graphs[0]!.file;
    await using file = await open(join(copy.folder, graph.file), 'r+');
    const writeByte = (byte: number, position: number) =>
      file.write(Buffer.of(byte), 0, 1, position);
    const anywhere = fc.tuple(fc.nat({ max: graph.bytes - 1 }), fc.nat({ max: 7 }));
    const property = fc.asyncProperty(anywhere, async ([position, bit]) => {
      const byte = (await file.read(Buffer.alloc(1), 0, 1, position)).buffer.readUInt8();
      await writeByte(byte ^ (1 << bit), position);
      await expect(openGraphs(spec)).rejects.toThrow(
        /encoder\.fp32\.onnx: expected \d+ bytes with sha256 [0-9a-f]{64}, got \d+ with [0-9a-f]{64}/,
      );
      await writeByte(byte, position);
    });
    await fc.assert(property, { numRuns: 100 });
  });

  it('opens a changed graph when the card knows the change', async () => {
    // The control of the test above: nobody reads the name of the graph's maker.
    await using copy = await TinyCopy.create();
    const rename = (graph: Buffer) => {
      graph.write('EARSHOT', graph.indexOf('earshot'));
    };
    await copy.editGraph(rename, { card: 'follows' });
    const session = await openGraphs(await engineSpecOf(copy.folder));
    await session.release();
  });

  it('refuses a file of weights that is not the one of the card', async () => {
    await using copy = await TinyCopy.create();
    await writeFile(join(copy.folder, 'weights.bin'), 'abc');
    await copy.editCard(({ graphs }) => {
      const sha256 = createHash('sha256').update('abc').digest('hex');
      graphs.encoder.fp32.external_data = { file: 'weights.bin', bytes: 3, sha256 };
    });
    const spec = await engineSpecOf(copy.folder);
    await writeFile(join(copy.folder, 'weights.bin'), 'abd');
    await expect(openGraphs(spec)).rejects.toThrow(/weights\.bin: expected 3 bytes with sha256/);
  });

  it('gives the same numbers whether the weights lie in the graph, beside it, or are shared there', async () => {
    await using copy = await TinyCopy.create();
    await copy.splitGraph();
    const beside = await engineSpecOf(copy.folder);
    expect(beside.graphs[0]?.file.bytes).toBeLessThan(
      (beside.graphs[0]?.file.externalData?.bytes ?? 0) / 10,
    );
    const window = windowOf(10);
    const batch = toBatch([window], { size: 1, samples: window.samples.length }, 2800);
    const outputs = [];
    for (const spec of [
      await engineSpecOf(TINY_FOLDER),
      beside,
      { ...beside, sharesWeights: true },
    ]) {
      const session = await openGraphs(spec);
      outputs.push((await session.run(batch, ENCODER_OUTPUTS)).windows[0]?.values);
      await session.release();
    }
    const [within, ...others] = outputs;
    for (const other of others) {
      for (const name of ENCODER_OUTPUTS)
        expect(largestDifference(within?.[name], other?.[name])).toBeLessThan(1e-5);
    }
  });

  it('refuses a graph with another output', async () => {
    await using copy = await TinyCopy.create();
    const rename = (graph: Buffer) => {
      for (let at = graph.indexOf('clip_logits'); at >= 0; at = graph.indexOf('clip_logits')) {
        graph.write('clip_nonsen', at);
      }
    };
    await copy.editGraph(rename, { card: 'follows' });
    await expect(openGraphs(await engineSpecOf(copy.folder))).rejects.toThrow(
      /expected the outputs clip_embedding, clip_logits, row_embeddings, row_logits, got .*clip_nonsen/,
    );
  });

  it('refuses a graph with another number of labels or another embedding', async () => {
    const [spec, card] = [await engineSpecOf(TINY_FOLDER), await tinyCard()];
    const openAs = (change: Partial<ModelCard>) =>
      openGraphs({ ...spec, graphs: graphSpecs({ ...card, ...change }, 'fp32') });
    await expect(openAs({ labels: card.labels.slice(1) })).rejects.toThrow(
      /clip_logits to be float32 of rank 2 and width 526, got float32 \[\w+, 527\]/,
    );
    await expect(openAs({ embeddingDim: 768 })).rejects.toThrow(
      /clip_embedding to be .* width 768, got .*32\]/,
    );
  });

  it('refuses a tokenizer graph that was changed, or that is an encoder', async () => {
    const spec = await engineSpecOf(TINY_TOKEN_FOLDER);
    const [encoder, tokenizer] = spec.graphs;
    const changed = { ...tokenizer!, file: { ...tokenizer!.file, sha256: '0'.repeat(64) } };
    await expect(openGraphs({ ...spec, graphs: [encoder!, changed] })).rejects.toThrow(
      /tokenizer\.fp32\.onnx: expected \d+ bytes with sha256 0{64}/,
    );
    const swapped = { ...tokenizer!, file: encoder!.file };
    await expect(openGraphs({ ...spec, graphs: [swapped] })).rejects.toThrow(
      /encoder\.fp32\.onnx: expected the outputs tokens, got clip_embedding/,
    );
  });

  it('refuses ids that the card does not know, and outputs of two graphs in one run', async () => {
    const card = await loadModelCard(TINY_TOKEN_FOLDER);
    const spec = await engineSpecOf(TINY_TOKEN_FOLDER);
    const graphs = graphSpecs({ ...card, tokens: { codebookSize: 2, bands: 8 } }, 'fp32');
    const session = await openGraphs({ ...spec, graphs });
    const batch = toBatch([windowOf(1)], { size: 1, samples: 16_000 }, 2800);
    await expect(session.run(batch, ['tokens'])).rejects.toThrow(/ids from 0 to 1, got \d+/);
    await expect(session.run(batch, ['tokens', 'clip_logits'])).rejects.toThrow('of one graph');
    await expect(session.run(batch, [])).rejects.toThrow('of one graph, got none');
    expect((await session.run(batch, ['clip_logits'])).windows[0]?.values.clip_logits).toHaveLength(
      12,
    );
    await session.release();
  });
});
