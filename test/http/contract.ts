/** Holds every reply of the tests to openapi.yaml. */
import { Ajv2020, type ValidateFunction } from 'ajv/dist/2020.js';
import {
  type OpenApiDocument,
  operationsOf,
  resolveReference,
} from '../../src/http/openapi-document.js';

export interface Exchange {
  readonly method: string;
  /** With or without a query. */
  readonly path: string;
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  /** As text. */
  readonly body: string;
}

interface DocumentedResponse {
  readonly headers?: Readonly<Record<string, unknown>>;
  readonly content?: Readonly<Record<string, { readonly schema: object }>>;
}

const PROBLEM = 'application/problem+json';
const NDJSON = 'application/x-ndjson';

export class Contract {
  readonly #document: OpenApiDocument;
  readonly #ajv = new Ajv2020({ strict: false, allErrors: true });
  readonly #checks = new Map<string, ValidateFunction>();
  readonly #seen = new Set<string>();

  constructor(document: OpenApiDocument) {
    this.#document = document;
    this.#ajv.addSchema(document, 'openapi');
  }

  /** `METHOD path status` of everything in the document that no reply has shown yet. */
  unseen(): string[] {
    return operationsOf(this.#document)
      .flatMap(({ path, method, operation }) =>
        Object.keys(operation.responses).map(
          (status) => `${method.toUpperCase()} ${path} ${status}`,
        ),
      )
      .filter((name) => !this.#seen.has(name));
  }

  /** @throws Error that says what the document does not allow */
  assertReply(exchange: Exchange): void {
    const { status, headers } = exchange;
    if (headers['x-request-id'] === undefined) throw new Error('Expected X-Request-Id, got none');
    const template = this.#templateOf(exchange.path);
    const method = exchange.method.toLowerCase();
    const operation = template && this.#document.paths[template]?.[method];
    if (!operation) {
      this.#assertNowhere(exchange);
      return;
    }
    const node = operation.responses[status];
    const name = `${exchange.method} ${template} ${status}`;
    if (node === undefined) throw new Error(`${name} is not documented: ${exchange.body}`);
    this.#seen.add(name);
    this.#assertDocumented(exchange, resolveReference(this.#document, node), name);
  }

  /** What openapi.yaml knows nothing of is refused, with a problem. */
  #assertNowhere(exchange: Exchange): void {
    const { status, path, method } = exchange;
    if (/^\/(docs|page)\//.test(path) && status === 200) return;
    const isRefused = /\/v1\//.test(path) && (status === 401 || status === 429);
    if (status !== 404 && status !== 405 && !isRefused)
      throw new Error(`${method} ${path}: ${status}`);
    const schema = { $ref: 'openapi#/components/schemas/Problem' };
    this.#assertBody(exchange, PROBLEM, this.#compile('nowhere', schema));
  }

  #assertDocumented(exchange: Exchange, response: DocumentedResponse, name: string): void {
    for (const header of Object.keys(response.headers ?? {})) {
      if (exchange.headers[header.toLowerCase()] === undefined) {
        throw new Error(`${name}: expected the header ${header}, got none`);
      }
    }
    const contents = Object.entries(response.content ?? {});
    // An operation may answer in several types: the reply says which one it is.
    const content = contents.find(([type]) => type === mediaTypeOf(exchange)) ?? contents[0];
    if (content === undefined) return;
    const [mediaType, { schema }] = content;
    const check = this.#compile(`${name} ${mediaType}`, this.#anchored(schema));
    this.#assertBody(exchange, mediaType, check);
  }

  #assertBody(exchange: Exchange, mediaType: string, check: ValidateFunction): void {
    const got = mediaTypeOf(exchange);
    if (got !== mediaType) throw new Error(`Expected ${mediaType}, got ${got}`);
    for (const value of valuesOf(exchange, mediaType)) {
      if (check(value)) continue;
      const errors = this.#ajv.errorsText(check.errors, { dataVar: 'body' });
      const text = JSON.stringify(value);
      throw new Error(`${exchange.method} ${exchange.path}: ${errors}\n${text}`);
    }
  }

  #compile(name: string, schema: object): ValidateFunction {
    const known = this.#checks.get(name);
    if (known) return known;
    const check = this.#ajv.compile(schema);
    this.#checks.set(name, check);
    return check;
  }

  /** References of the document, made to point into it from outside. */
  #anchored(schema: object): object {
    const text = JSON.stringify(schema).replaceAll('"$ref":"#/', '"$ref":"openapi#/');
    return JSON.parse(text) as object;
  }

  #templateOf(path: string): string | undefined {
    const [plain = ''] = path.split('?');
    const bare = plain.length > 1 ? plain.replace(/\/$/, '') : plain;
    return Object.keys(this.#document.paths).find((template) =>
      new RegExp(`^${template.replace(/\{\w+\}/g, '[^/]+')}$`).test(bare),
    );
  }
}

function mediaTypeOf({ headers }: Exchange): string {
  return String(headers['content-type']).split(';')[0] ?? '';
}

/** What the schema of a media type is about: the body, or each of its lines. */
function valuesOf({ body }: Exchange, mediaType: string): unknown[] {
  if (mediaType === NDJSON) {
    const lines = body.split('\n').slice(0, -1);
    return lines.map((line): unknown => JSON.parse(line));
  }
  return [mediaType.endsWith('json') ? JSON.parse(body) : body];
}
