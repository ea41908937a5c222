import { open, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { openEncoder } from '../../src/inference/session.js';
import { engineSpecOf, TINY_FOLDER, TinyCopy } from './tiny-model.js';

describe('openEncoder', () => {
  it('refuses a graph of which any one bit was changed', async () => {
    await using copy = await TinyCopy.create();
    const spec = await engineSpecOf(copy.folder);
    await using file = await open(join(copy.folder, spec.graph.file), 'r+');
    const writeByte = (byte: number, position: number) =>
      file.write(Buffer.of(byte), 0, 1, position);
    const anywhere = fc.tuple(fc.nat({ max: spec.graph.bytes - 1 }), fc.nat({ max: 7 }));
    const property = fc.asyncProperty(anywhere, async ([position, bit]) => {
      const byte = (await file.read(Buffer.alloc(1), 0, 1, position)).buffer.readUInt8();
      await writeByte(byte ^ (1 << bit), position);
      await expect(openEncoder(spec)).rejects.toThrow(
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
    const session = await openEncoder(await engineSpecOf(copy.folder));
    await session.release();
  });

  it('refuses a file of weights that is not the one of the card', async () => {
    await using copy = await TinyCopy.create();
    await writeFile(join(copy.folder, 'weights.bin'), 'abc');
    await copy.editCard(({ graphs }) => {
      graphs.encoder.fp32.external_data = { file: 'weights.bin', bytes: 3, sha256: '0'.repeat(64) };
    });
    await expect(openEncoder(await engineSpecOf(copy.folder))).rejects.toThrow(
      /weights\.bin: expected 3 bytes with sha256 0{64}/,
    );
  });

  it('refuses a graph with another output', async () => {
    await using copy = await TinyCopy.create();
    const rename = (graph: Buffer) => {
      for (let at = graph.indexOf('clip_logits'); at >= 0; at = graph.indexOf('clip_logits')) {
        graph.write('clip_nonsen', at);
      }
    };
    await copy.editGraph(rename, { card: 'follows' });
    await expect(openEncoder(await engineSpecOf(copy.folder))).rejects.toThrow(
      /expected the outputs clip_embedding, clip_logits, row_embeddings, row_logits, got .*clip_nonsen/,
    );
  });

  it('refuses a graph with another number of labels or another embedding', async () => {
    const spec = await engineSpecOf(TINY_FOLDER);
    await expect(openEncoder({ ...spec, numLabels: 526 })).rejects.toThrow(
      /clip_logits to be float32 of rank 2 and width 526, got float32 \[\w+, 527\]/,
    );
    await expect(openEncoder({ ...spec, embeddingDim: 768 })).rejects.toThrow(
      /clip_embedding to be .* width 768, got .*32\]/,
    );
  });
});
