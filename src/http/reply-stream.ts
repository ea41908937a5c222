import { once } from 'node:events';
import type { Request, Response } from 'express';
import { setContextHeaders } from './reply.js';

/** A reply of 200 whose body is sent piece by piece. Until the first piece, any other reply is possible. */
export class ReplyStream {
  readonly #request: Request;
  readonly #response: Response;
  readonly #mediaType: string;

  constructor(request: Request, response: Response, mediaType: string) {
    this.#request = request;
    this.#response = response;
    this.#mediaType = mediaType;
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
    this.#response.status(200).type(this.#mediaType);
  }
}
