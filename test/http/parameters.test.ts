import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { beforeAll, describe, expect, test } from 'vitest';
import { parse as parseYaml } from 'yaml';
import { ServiceError } from '../../src/errors.js';
import {
  type JsonSchema,
  loadOpenApi,
  type OpenApiDocument,
  type OpenApiParameter,
  operationsOf,
  resolveReference,
} from '../../src/http/openapi-document.js';
import { createParameterParser, type ParseParameters } from '../../src/http/parameters.js';

const OPENAPI = new URL('../../openapi.yaml', import.meta.url);

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

describe('whatever comes, the answer is values in range or the fault of who sent them', () => {
  const document = parseYaml(readFileSync(OPENAPI, 'utf8')) as OpenApiDocument;
  const all = operationsOf(document).flatMap(({ operation }) =>
    (operation.parameters ?? [])
      .map((each) => resolveReference(document, each) as OpenApiParameter)
      .filter((each) => each.in === 'query')
      .map(({ name, schema }) => ({
        operation: operation.operationId as 'createTags',
        name,
        schema,
      })),
  );
  const texts = fc.oneof(
    fc.string({ unit: 'binary' }),
    fc.double().map(String),
    fc.integer().map(String),
    fc.constantFrom(
      '',
      'true',
      'all',
      'auto',
      '1e999',
      '__proto__',
      '[]',
      '\0',
      'x'.repeat(20_000),
    ),
  );
  const values = fc.oneof({ arbitrary: texts, weight: 4 }, fc.array(texts, { maxLength: 4 }));

  test('there are many', () => expect(all.length).toBeGreaterThan(40));

  test.each(all)('$operation: $name', ({ operation, name, schema }) => {
    const isRight = (value: unknown) => isWithin(document, schema, value);
    fc.assert(
      fc.property(values, fc.boolean(), (value, isField) => {
        const given = { [name]: value };
        try {
          const parsed = isField ? parse(operation, {}, given) : parse(operation, given);
          expect((parsed as Record<string, unknown>)[name]).toSatisfy(isRight);
        } catch (error) {
          expect(error).toBeInstanceOf(ServiceError);
          expect([400, 422]).toContain((error as ServiceError).status);
        }
        expect('polluted' in {}).toBe(false);
      }),
      { numRuns: 200 },
    );
  });

  test('a value out of range would be noticed', () => {
    const range = { type: 'number', minimum: 0, maximum: 1 };
    for (const value of [1.5, -1, Number.NaN, Infinity, '0.5'])
      expect(isWithin(document, range, value)).toBe(false);
    expect(isWithin(document, range, 0.5)).toBe(true);
  });
});

/** Whether a value is what the document wants there: a check apart from the one that is tested. */
function isWithin(document: OpenApiDocument, node: JsonSchema, value: unknown): boolean {
  const schema = resolveReference(document, node) as JsonSchema;
  const choices = schema.anyOf ?? schema.oneOf;
  if (Array.isArray(choices)) return choices.some((each) => isWithin(document, each, value));
  if ('const' in schema) return value === schema.const;
  if (Array.isArray(schema.enum)) return schema.enum.includes(value);
  if (schema.type === 'boolean') return typeof value === 'boolean';
  if (schema.type === 'array') {
    const items = schema.items as JsonSchema;
    return Array.isArray(value) && value.every((item) => isWithin(document, items, item));
  }
  if (schema.type === 'string') {
    return typeof value === 'string' && value.length <= Number(schema.maxLength ?? Infinity);
  }
  const { minimum = -Infinity, maximum = Infinity } = schema;
  const isNumber = typeof value === 'number' && Number.isFinite(value);
  const isWhole = schema.type !== 'integer' || Number.isInteger(value);
  return isNumber && isWhole && value >= Number(minimum) && value <= Number(maximum);
}
