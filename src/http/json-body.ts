import { type Duplex, finished, Readable } from 'node:stream';
import parser from 'stream-json/parser.js';
import { ServiceError } from '../errors.js';
import { DataUriDecoder } from './data-uri.js';
import { invalidValue } from './invalid-value.js';

export interface JsonBodyOptions {
  /** Takes a recording; comes back when it is kept. */
  readonly store: (bytes: Readable) => Promise<void>;
  readonly maxFiles: number;
  readonly maxFields: number;
}

type Fields = Record<string, string | number | boolean>;
type Token = { readonly name: string; readonly value?: unknown };

const INPUT = 'input';
const MAX_NAME_CHARACTERS = 100;
const MAX_VALUE_CHARACTERS = 16_384;

/**
 * Reads a JSON object whose `input` is a recording as a data URI, or a list of them, and whose other
 * members are parameters. It is read as a stream: recordings are stored while they come, and neither
 * length nor depth costs memory.
 *
 * @returns the parameters; `null` is taken for a parameter that was not given
 * @throws ServiceError `malformed_json`, `invalid_value`, `conflicting_parameters` or
 *   `too_many_files`; what `store` throws
 */
export async function readJsonBody(body: Readable, options: JsonBodyOptions): Promise<Fields> {
  const tokens = parser.asStream({ packValues: false, streamValues: true });
  finished(body, { writable: false }, (error) => error && tokens.destroy(error));
  body.pipe(tokens);
  try {
    return await new JsonBodyReader(tokens, options).read();
  } finally {
    // What still comes is dropped, so that the request can be answered.
    body.unpipe(tokens);
    tokens.destroy();
    body.resume();
  }
}

class JsonBodyReader {
  readonly #tokens: AsyncIterator<Token>;
  readonly #options: JsonBodyOptions;
  #numFiles = 0;

  constructor(tokens: Duplex, options: JsonBodyOptions) {
    this.#tokens = tokens[Symbol.asyncIterator]();
    this.#options = options;
  }

  async read(): Promise<Fields> {
    const first = await this.#next();
    if (first.name !== 'startObject') throw malformed('Expected a JSON object');
    const names = new Set<string>();
    const fields: Fields = Object.create(null);
    while ((await this.#next()).name !== 'endObject') {
      const name = await this.#readText('endKey', MAX_NAME_CHARACTERS);
      if (names.has(name)) throw givenTwice(name);
      if (names.add(name).size > this.#options.maxFields) throw malformed('Too many members');
      if (name === INPUT) await this.#readInput();
      else await this.#readField(name, fields);
    }
    return fields;
  }

  async #readInput(): Promise<void> {
    const first = await this.#next();
    if (first.name === 'startString') return this.#storeClip(INPUT);
    if (first.name !== 'startArray') throw notAudio(INPUT);
    for (let token = await this.#next(); token.name !== 'endArray'; token = await this.#next()) {
      const place = `${INPUT}[${this.#numFiles}]`;
      if (token.name !== 'startString') throw notAudio(place);
      await this.#storeClip(place);
    }
  }

  async #storeClip(place: string): Promise<void> {
    this.#numFiles += 1;
    if (this.#numFiles > this.#options.maxFiles)
      throw new ServiceError('too_many_files', 'Too many recordings in one request');
    await this.#options.store(Readable.from(this.#bytes(place)));
  }

  async *#bytes(place: string): AsyncGenerator<Buffer> {
    const decoder = new DataUriDecoder(place);
    for (let token = await this.#next(); token.name !== 'endString'; token = await this.#next()) {
      yield decoder.decode(String(token.value));
    }
    yield decoder.end();
  }

  async #readField(name: string, fields: Fields): Promise<void> {
    const { name: kind, value } = await this.#next();
    if (kind === 'startString') fields[name] = await this.#readText('endString');
    else if (kind === 'startNumber') fields[name] = Number(await this.#readText('endNumber'));
    else if (typeof value === 'boolean') fields[name] = value;
    else if (kind !== 'nullValue')
      throw invalidValue(name, 'Expected text, a number, true or false, got a list or an object');
  }

  async #readText(end: string, maxCharacters = MAX_VALUE_CHARACTERS): Promise<string> {
    let text = '';
    for (let token = await this.#next(); token.name !== end; token = await this.#next()) {
      text += token.value;
      if (text.length > maxCharacters) throw malformed('A name or a value is too long');
    }
    return text;
  }

  async #next(): Promise<Token> {
    const { value, done } = await this.#tokens.next().catch((error: unknown) => {
      const isOurs = error instanceof Error && error.message.startsWith('Parser');
      throw isOurs ? malformed(error.message) : error;
    });
    if (done) throw malformed('Expected a whole JSON object, got a part of it');
    return value;
  }
}

const malformed = (detail: string) => new ServiceError('malformed_json', detail);

const notAudio = (place: string) =>
  invalidValue(place, 'Expected audio as a data URI, or a list of them, got something else');

const givenTwice = (name: string) =>
  new ServiceError('conflicting_parameters', `Expected ${JSON.stringify(name)} once, got it twice`);
