import { once } from 'node:events';
import type { Request, Response } from 'express';
import { setContextHeaders } from './reply.js';

/** What a body is. */
export interface ReplyForm {
  readonly mediaType: string;
  readonly headers?: Readonly<Record<string, string>>;
}

/** A reply of 200 whose body is sent piece by piece. Until the first piece, any other reply is possible. */
export class ReplyStream {
  readonly #request: Request;
  readonly #response: Response;
  readonly #form: ReplyForm;

  constructor(request: Request, response: Response, form: ReplyForm) {
    this.#request = request;
    this.#response = response;
    this.#form = form;
  }

  get hasBegun(): boolean {
    return this.#response.headersSent;
  }

  /**
   * Sends a piece, and waits where the client reads more slowly than it is written.
   *
   * @throws the signal's reason
   */
  async write(piece: string | Uint8Array, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    this.#begin();
    if (this.#response.write(piece)) return;
    await once(this.#response, 'drain', { signal }).catch((error: unknown) => {
      signal.throwIfAborted();
      throw error;
    });
  }

  /** Sends the last piece, if there is one more, and ends the reply. */
  end(piece = ''): void {
    this.#begin();
    this.#response.end(piece);
  }

  #begin(): void {
    if (this.hasBegun) return;
    setContextHeaders(this.#request, this.#response);
    const { mediaType, headers = {} } = this.#form;
    this.#response.status(200).set({ ...headers, 'Content-Type': mediaType });
  }
}
