import { describe, expect, it } from 'vitest';
import type { ModelCard, Precision } from '../../src/inference/model-card.js';
import { choosePrecision } from '../../src/inference/precision.js';
import { recordingLog, startTiny, TinyCopy, wireGate } from './tiny-model.js';

type EncoderGraph = ModelCard['graphs']['encoder']['fp32'];

const gateOf = (passed: boolean): EncoderGraph['gate'] => ({
  passed,
  clips: 384,
  clipsSha256: 'a'.repeat(64),
  folds: [4],
  top1Agreement: 0.997,
  meanAbsoluteScoreDifference: 0.001,
  mapChange: -0.002,
  accuracyChange: 0.001,
});

/** A card with these graphs beside fp32; null: never gated. */
function cardWith(gates: Partial<Record<'int8' | 'fp16', boolean | null>>) {
  const graph = (precision: Precision, gate: EncoderGraph['gate']): EncoderGraph => {
    const file = `encoder.${precision}.onnx`;
    return { file, bytes: 1, sha256: '0'.repeat(64), externalData: null, gate };
  };
  const lower = Object.entries(gates).map(([precision, passed]) => [
    precision,
    graph(precision as Precision, passed === null ? null : gateOf(passed)),
  ]);
  const encoder = { fp32: graph('fp32', null), ...Object.fromEntries(lower) };
  return { name: 'some', graphs: { encoder, tokenizer: null } };
}

describe('choosePrecision', () => {
  it.each([
    ['cpu', {}, 'fp32', 'no_graph'],
    ['cpu', { int8: null }, 'fp32', 'not_gated'],
    ['cpu', { int8: false }, 'fp32', 'gate_failed'],
    ['cpu', { int8: true }, 'int8', undefined],
    ['cpu', { fp16: true }, 'fp32', 'no_graph'],
    ['cuda', {}, 'fp32', 'no_graph'],
    ['cuda', { fp16: null }, 'fp32', 'not_gated'],
    ['cuda', { fp16: false }, 'fp32', 'gate_failed'],
    ['cuda', { fp16: true, int8: false }, 'fp16', undefined],
    ['cuda', { int8: true }, 'fp32', 'no_graph'],
  ] as const)('takes under auto on %s with %o: %s (%s)', (provider, gates, active, reason) => {
    expect(choosePrecision(cardWith(gates), 'auto', provider)).toEqual({
      requested: 'auto',
      active,
      declined: reason && { cpu: 'int8', cuda: 'fp16' }[provider],
      reason,
    });
  });

  it('takes what was asked for, whatever the gate says, or names what there is', () => {
    const card = cardWith({ int8: false });
    const asked = { requested: 'int8', active: 'int8' };
    expect(choosePrecision(card, 'int8', 'cpu')).toEqual(asked);
    expect(choosePrecision(cardWith({ int8: true }), 'fp32', 'cpu').active).toBe('fp32');
    expect(() => choosePrecision(card, 'fp16', 'cuda')).toThrow(
      'Model some: expected an encoder graph in fp16, it has fp32, int8',
    );
  });
});

describe('a model with an int8 graph', () => {
  it('runs it under auto when it passed its gate, and only then', async () => {
    for (const [gate, active, reason] of [
      [wireGate(true), 'int8', undefined],
      [wireGate(false), 'fp32', 'gate_failed'],
      [undefined, 'fp32', 'not_gated'],
    ] as const) {
      await using copy = await TinyCopy.create();
      await copy.addGraph('int8', gate);
      const log = recordingLog();
      const registry = await startTiny({ ...copy, log, warmup: false });
      expect(registry.get().precision).toEqual({
        requested: 'auto',
        active,
        declined: reason && 'int8',
        reason,
      });
      expect(log.lines).toMatchObject([
        { text: 'model started', fields: { precision: active, precision_reason: reason } },
      ]);
      await registry.close();
    }
  });

  it('opens the file of the chosen precision, and no other', async () => {
    for (const passed of [true, false]) {
      await using copy = await TinyCopy.create();
      await copy.addGraph('int8', wireGate(passed));
      const wrong = 'b'.repeat(64);
      await copy.editCard(({ graphs }) => Object.assign(graphs.encoder.int8!, { sha256: wrong }));
      await copy.sign({ except: { 'encoder.int8.onnx': wrong } });
      const start = startTiny({ ...copy, warmup: false });
      if (passed)
        await expect(start).rejects.toThrow(/encoder\.int8\.onnx: expected .* sha256 bbb/);
      else await (await start).close();
    }
  });
});
