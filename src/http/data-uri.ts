import type { ServiceError } from '../errors.js';
import { invalidValue } from './invalid-value.js';

const HEAD = /^data:[^,]*;base64$/i;
/** Of the part before the comma: a media type and its parameters are shorter. */
const MAX_HEAD_CHARACTERS = 200;
const BASE64 = /^[A-Za-z0-9+/]*={0,2}$/;
/** Characters that stand for three bytes. */
const GROUP = 4;

/**
 * Decodes `data:audio/wav;base64,...` as it comes, in pieces of any length. What media type it names
 * does not matter: the content decides.
 */
export class DataUriDecoder {
  readonly #parameter: string;
  /** The part before the comma, until that has come. */
  #head: string | undefined = '';
  /** Less than a group of characters, waiting for the others. */
  #rest = '';
  #isPadded = false;

  /** @param parameter where the URI stands, for errors */
  constructor(parameter: string) {
    this.#parameter = parameter;
  }

  /** @throws ServiceError `invalid_value` */
  decode(piece: string): Buffer {
    const text = this.#rest + this.#behindHead(piece);
    const whole = text.slice(0, text.length - (text.length % GROUP));
    this.#rest = text.slice(whole.length);
    return this.#toBytes(whole);
  }

  /**
   * The bytes of what is left; the padding may be missing.
   *
   * @throws ServiceError `invalid_value`
   */
  end(): Buffer {
    if (this.#head !== undefined) throw this.#notDataUri(this.#head);
    if (this.#rest.length === 1) throw this.#notBase64();
    return this.#toBytes(this.#rest);
  }

  #toBytes(text: string): Buffer {
    if (!BASE64.test(text) || (this.#isPadded && text !== '')) throw this.#notBase64();
    this.#isPadded ||= text.endsWith('=');
    return Buffer.from(text, 'base64');
  }

  #behindHead(piece: string): string {
    if (this.#head === undefined) return piece;
    const text = this.#head + piece;
    const comma = text.indexOf(',');
    this.#head = comma < 0 ? text : undefined;
    const head = comma < 0 ? text : text.slice(0, comma);
    if (head.length > MAX_HEAD_CHARACTERS || (comma >= 0 && !HEAD.test(head)))
      throw this.#notDataUri(head);
    return comma < 0 ? '' : text.slice(comma + 1);
  }

  #notDataUri(got: string): ServiceError {
    const expected = 'audio as a data URI, such as "data:audio/wav;base64,UklGR..."';
    const shown = JSON.stringify(got.slice(0, 40));
    return invalidValue(this.#parameter, `Expected ${expected}, got ${shown}`);
  }

  #notBase64(): ServiceError {
    return invalidValue(this.#parameter, 'Expected base64 behind the comma, got something else');
  }
}
