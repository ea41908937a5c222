import { Ajv2020, type ValidateFunction } from 'ajv/dist/2020.js';
import { ServiceError } from '../errors.js';
import {
  type JsonSchema,
  type OpenApiDocument,
  type OpenApiParameter,
  operationsOf,
  resolveReference,
} from './openapi-document.js';
import type { operations } from './openapi-types.js';
import type { Fields } from './upload.js';

type Operation = keyof operations;
type QueryOf<Op extends Operation> = NonNullable<operations[Op]['parameters']['query']>;

/** Parameters that openapi.yaml gives a default: always there once parsed. */
interface Defaulted {
  createTags: 'top_k' | 'threshold' | 'rollup' | 'aggregate' | DefaultedOfHearing;
  createEmbeddings:
    | 'granularity'
    | 'pooling'
    | 'normalize'
    | 'encoding_format'
    | 'dtype'
    | DefaultedOfHearing;
  createTokens: 'encoding' | DefaultedOfHearing;
  createEvents:
    | 'on_threshold'
    | 'smooth_seconds'
    | 'merge_gap_seconds'
    | 'min_duration_seconds'
    | 'min_level_dbfs'
    | 'max_events'
    | 'timeline_encoding'
    | 'timeline_dtype'
    | DefaultedOfHearing;
}
type DefaultedOfHearing = 'start_seconds' | 'channel' | 'short';
type DefaultedOf<Op extends Operation> = Op extends keyof Defaulted
  ? Extract<Defaulted[Op], keyof QueryOf<Op>>
  : never;

export type ParametersOf<Op extends Operation> = QueryOf<Op> &
  Required<Pick<QueryOf<Op>, DefaultedOf<Op>>>;

/**
 * Reads the parameters of an operation from the query and, where there was a form, from its fields.
 *
 * @throws ServiceError `unknown_parameter`, `conflicting_parameters` or `invalid_value`
 */
export type ParseParameters = <Op extends Operation>(
  operation: Op,
  query: Fields,
  fields?: Fields,
) => ParametersOf<Op>;

const SHOWN_CHARACTERS = 60;

/** Compiles the checks of all operations from openapi.yaml, the only place where they are written. */
export function createParameterParser(document: OpenApiDocument): ParseParameters {
  // Values come as text, so "0.5" must pass for a number. That the schemas are schemas is for the tests to say: it takes
  // as long as all that they are compiled for.
  const isTrusted = { meta: false, validateSchema: false };
  const ajv = new Ajv2020({ coerceTypes: true, useDefaults: true, allErrors: true, ...isTrusted });
  const schemas = new Map<
    string,
    { properties: Record<string, JsonSchema>; check: ValidateFunction }
  >();
  for (const { operation } of operationsOf(document)) {
    const properties = propertiesOf(document, operation.parameters ?? []);
    schemas.set(operation.operationId, {
      properties,
      check: ajv.compile({ type: 'object', properties }),
    });
  }
  return <Op extends Operation>(operation: Op, query: Fields, fields: Fields = {}) => {
    const schema = schemas.get(operation);
    if (schema === undefined) throw new Error(`openapi.yaml: no operation ${operation}`);
    const given = merge(query, fields, schema.properties);
    const values = { ...given };
    const isValid = schema.check(values);
    const faulty = isValid ? infinite(values) : named(schema.check.errors ?? []);
    if (faulty.length > 0) throw invalidValue(schema.properties, given, faulty);
    return values as unknown as ParametersOf<Op>;
  };
}

function propertiesOf(
  document: OpenApiDocument,
  parameters: readonly object[],
): Record<string, JsonSchema> {
  const queried = parameters
    .map((parameter) => resolveReference(document, parameter) as OpenApiParameter)
    .filter((parameter) => parameter.in === 'query');
  return Object.fromEntries(
    queried.map(({ name, schema }) => [name, resolveReference(document, schema) as JsonSchema]),
  );
}

function merge(
  query: Fields,
  fields: Fields,
  properties: Record<string, JsonSchema>,
): Record<string, unknown> {
  const known = Object.keys(properties);
  const merged: Record<string, unknown> = Object.create(null);
  for (const [name, value] of [...Object.entries(query), ...Object.entries(fields)]) {
    if (!known.includes(name)) throw unknownParameter(name, known);
    const isList = properties[name]?.type === 'array';
    if (name in merged || (Array.isArray(value) && !isList)) throw givenTwice(name);
    merged[name] = isList ? toList(value, properties[name]?.items as JsonSchema) : value;
  }
  return merged;
}

/** A list may repeat its name; words of a closed set, which hold no comma, may stand in one value. */
function toList(value: unknown, items: JsonSchema): unknown[] {
  const values = Array.isArray(value) ? value : [value];
  if (!Array.isArray(items.enum)) return values;
  return values.flatMap((each) => String(each).split(','));
}

function unknownParameter(name: string, known: readonly string[]): ServiceError {
  const list = known.length > 0 ? `one of ${known.join(', ')}` : 'no parameters';
  return new ServiceError('unknown_parameter', `Expected ${list}, got ${shown(name)}`, {
    known_parameters: known,
  });
}

function givenTwice(name: string): ServiceError {
  return new ServiceError('conflicting_parameters', `Expected ${name} once, got it more than once`);
}

function invalidValue(
  properties: Record<string, JsonSchema>,
  given: Record<string, unknown>,
  names: readonly string[],
): ServiceError {
  const faults = names.map((parameter) => {
    const expected = describe(properties[parameter] ?? {});
    return { parameter, detail: `Expected ${expected}, got ${shown(given[parameter])}` };
  });
  const detail = faults.map((fault) => `${fault.parameter}: ${fault.detail}`).join('; ');
  return new ServiceError('invalid_value', detail, { errors: faults });
}

/** Parameters that Ajv found fault with. */
function named(errors: readonly { instancePath: string }[]): string[] {
  return [...new Set(errors.map(({ instancePath }) => instancePath.split('/')[1] ?? ''))];
}

/** Ajv turns "Infinity" and "1e999" into a number, and then holds it to no limit. */
function infinite(values: Record<string, unknown>): string[] {
  return Object.keys(values).filter(
    (name) => values[name] === Infinity || values[name] === -Infinity,
  );
}

function shown(value: unknown): string {
  const text = JSON.stringify(value) ?? 'nothing';
  return text.length > SHOWN_CHARACTERS ? `${text.slice(0, SHOWN_CHARACTERS)}...` : text;
}

/** The schema of a parameter in words. */
function describe(schema: JsonSchema): string {
  const { type, anyOf, items, minimum, maximum, minLength, maxLength } = schema;
  if (Array.isArray(anyOf)) return anyOf.map(describe).join(' or ');
  if ('const' in schema) return JSON.stringify(schema.const);
  if (Array.isArray(schema.enum)) return schema.enum.map((each) => JSON.stringify(each)).join(', ');
  if (type === 'array') return `a list of ${describe(items as JsonSchema)}`;
  if (type === 'boolean') return 'true or false';
  if (type === 'string') return `${minLength} to ${maxLength} characters`;
  const kind = type === 'integer' ? 'an integer' : 'a number';
  return maximum === undefined
    ? `${kind} from ${minimum}`
    : `${kind} from ${minimum} to ${maximum}`;
}
