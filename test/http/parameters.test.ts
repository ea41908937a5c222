import fc from 'fast-check';
import { beforeAll, describe, expect, test } from 'vitest';
import { ServiceError } from '../../src/errors.js';
import { loadOpenApi } from '../../src/http/openapi-document.js';
import { createParameterParser, type ParseParameters } from '../../src/http/parameters.js';

let parse: ParseParameters;
beforeAll(async () => {
  parse = createParameterParser(await loadOpenApi());
});

/** The problem that parsing ends in. */
function problemOf(work: () => unknown): ServiceError {
  try {
    work();
  } catch (error) {
    if (error instanceof ServiceError) return error;
    throw error;
  }
  throw new Error('Expected a ServiceError, got a result');
}

/** Defaults that all operations with audio share. */
const HEARING = { start_seconds: 0, channel: 'mix', short: 'reject' };
const TAGGING = { rollup: 'none', aggregate: 'mean_logit' };

test('defaults come from openapi.yaml', () => {
  expect(parse('createTags', {})).toEqual({ ...HEARING, ...TAGGING, top_k: 5, threshold: 0 });
  expect(parse('createEmbeddings', {})).toEqual({
    ...HEARING,
    granularity: 'clip',
    pooling: 'mean',
    normalize: true,
    encoding_format: 'float',
    dtype: 'float32',
  });
});

test('text becomes what it stands for, from the query and from the form alike', () => {
  const numbers = { top_k: 12, threshold: 0.5, timeout_ms: 900 };
  const expected = { ...HEARING, ...TAGGING, ...numbers, model: '7' };
  const given = { top_k: '12', threshold: '0.5', timeout_ms: '900', model: '7' };
  expect(parse('createTags', given)).toEqual(expected);
  expect(parse('createTags', {}, given)).toEqual(expected);
  expect(parse('createTags', { top_k: 'all', model: 'Infinity' }).top_k).toBe('all');
  expect(parse('createEmbeddings', { normalize: 'false' }).normalize).toBe(false);
  expect(parse('createTags', { threshold: 'auto' }).threshold).toBe('auto');
  expect(parse('createTags', { include: 'windows,peaks' }).include).toEqual(['windows', 'peaks']);
  expect(parse('createTags', { labels: ['Dog', 'A, b'] }).labels).toEqual(['Dog', 'A, b']);
});

describe('refused', () => {
  test.each([
    ['top_k', '0'],
    ['top_k', '1.5'],
    ['top_k', 'ALL'],
    ['top_k', ''],
    ['threshold', '1.01'],
    ['threshold', 'NaN'],
    ['threshold', 'Infinity'],
    ['top_k', '1e999'],
    ['timeout_ms', '-1'],
    ['rollup', 'all'],
    ['aggregate', 'median'],
    ['model', ''],
  ])('%s=%s', (name, value) => {
    const problem = problemOf(() => parse('createTags', { [name]: value }));
    expect(problem.code).toBe('invalid_value');
    expect(problem.extensions.errors).toMatchObject([{ parameter: name }]);
    expect(problem.message).toContain(JSON.stringify(value));
  });

  test('every bad value is named, with what was expected', () => {
    const problem = problemOf(() => parse('createTags', { top_k: 'x', threshold: '7' }));
    expect(problem.extensions.errors).toEqual([
      { parameter: 'top_k', detail: 'Expected an integer from 1 or "all", got "x"' },
      { parameter: 'threshold', detail: 'Expected a number from 0 to 1 or "auto", got "7"' },
    ]);
  });

  test('an unknown parameter, with those there are', () => {
    const problem = problemOf(() => parse('createTags', { topk: '3' }));
    expect(problem.code).toBe('unknown_parameter');
    expect(problem.extensions.known_parameters).toEqual([
      'model',
      'top_k',
      'threshold',
      'thresholds',
      'labels',
      'exclude_labels',
      'rollup',
      'groups',
      'aggregate',
      'include',
      'start_seconds',
      'end_seconds',
      'channel',
      'short',
      'timeout_ms',
    ]);
    expect(problemOf(() => parse('getInfo', { x: '1' })).code).toBe('unknown_parameter');
  });

  test('a parameter twice: in the query, in the form, in both', () => {
    for (const work of [
      () => parse('createTags', { top_k: ['1', '2'] }),
      () => parse('createTags', {}, { top_k: ['1', '2'] }),
      () => parse('createTags', { top_k: '1' }, { top_k: '1' }),
    ]) {
      expect(problemOf(work).code).toBe('conflicting_parameters');
    }
  });
});

test('whatever comes, the answer is values in range or a ServiceError', () => {
  const names = fc.oneof(fc.constantFrom('top_k', 'threshold', 'model', 'timeout_ms'), fc.string());
  const values = fc.oneof(fc.string(), fc.double().map(String), fc.integer().map(String));
  fc.assert(
    fc.property(fc.dictionary(names, values), (query) => {
      try {
        const { top_k: topK, threshold } = parse('createTags', query);
        expect(threshold === 'auto' || (threshold >= 0 && threshold <= 1)).toBe(true);
        expect(topK === 'all' || (Number.isInteger(topK) && topK >= 1)).toBe(true);
      } catch (error) {
        expect(error).toBeInstanceOf(ServiceError);
      }
    }),
    { numRuns: 1000 },
  );
});
