import { setMaxListeners } from 'node:events';
import type { Readable } from 'node:stream';
import type { Request, Response } from 'express';
import multer from 'multer';
import type { ClipFile } from '../analyze/hear.js';
import { ServiceError } from '../errors.js';
import type { Clock } from '../inference/clock.js';
import { abortable } from './abortable.js';
import { readJsonBody } from './json-body.js';
import { ClientGoneError } from './problem.js';
import type { Spool } from './spool.js';
import { UploadPace } from './upload-pace.js';

export interface UploadLimits {
  /** All files of a request together. */
  readonly maxUploadBytes: number;
  readonly maxFiles: number;
  readonly uploadTimeoutMs: number;
  readonly uploadMinBytesPerSecond: number;
}

/** A form field as it came; one that came twice is a list. */
export type Fields = Readonly<Record<string, unknown>>;

/** Room for form fields, part heads and boundaries beside the files. */
const FORM_OVERHEAD_BYTES = 512 * 1024;
const FILE_FIELDS = ['file', 'audio'];
const MAX_FIELDS = 24;

/** Most bytes of a body: base64, in which JSON carries files, is a third longer. */
export function maxBodyBytes(request: Request, maxUploadBytes: number): number {
  const maxFileBytes = isJson(request) ? Math.ceil((maxUploadBytes * 4) / 3) : maxUploadBytes;
  return maxFileBytes + FORM_OVERHEAD_BYTES;
}

/** The files of one request. `remove` must be called in every case. */
export class Upload {
  readonly #spool: Spool;
  readonly #maxBytes: number;
  readonly #files: { path: string; bytes: number }[] = [];
  readonly #writing: Promise<void>[] = [];
  #numBytes = 0;
  #fields: Fields = {};

  constructor(spool: Spool, maxBytes: number) {
    this.#spool = spool;
    this.#maxBytes = maxBytes;
  }

  /** In the order in which they came. */
  get clips(): readonly ClipFile[] {
    return this.#files;
  }

  get fields(): Fields {
    return this.#fields;
  }

  /**
   * Reads the body of a request into the spool, in time and within its limits.
   *
   * @param onBytes called with the length of each piece of the body
   * @throws ServiceError · ClientGoneError
   */
  async receive(request: Request, response: Response, options: ReceiveOptions): Promise<void> {
    const { limits, clock, takesJson, onBytes } = options;
    const maxBytes = maxBodyBytes(request, limits.maxUploadBytes);
    const stop = new AbortController();
    const timer = setTimeout(() => stop.abort(timedOut(limits)), limits.uploadTimeoutMs);
    const pace = new UploadPace({
      minBytesPerSecond: limits.uploadMinBytesPerSecond,
      clock,
      onTooSlow: (error) => stop.abort(error),
    });
    const signal = AbortSignal.any([options.signal, stop.signal]);
    // Every file that is being written listens to it.
    setMaxListeners(0, signal);
    const reading = { request, response, limits, takesJson, stop, signal };
    let numBodyBytes = 0;
    request.on('data', (piece: Buffer) => {
      numBodyBytes += piece.length;
      pace.received(piece.length);
      onBytes(piece.length);
      if (numBodyBytes > maxBytes) stop.abort(this.#tooLarge());
    });
    if (request.get('Expect')?.toLowerCase() === '100-continue') response.writeContinue();
    try {
      const read = isMultipart(request) ? this.#readForm(reading) : this.#readBody(reading);
      await abortable(read, signal);
    } catch (error) {
      stop.abort(error);
      throw toUploadError(error, request);
    } finally {
      clearTimeout(timer);
      pace.stop();
    }
    if (this.#files.length === 0) throw nothingSent();
  }

  /** Deletes the files, those half written too. */
  async remove(): Promise<void> {
    await Promise.allSettled(this.#writing);
    await Promise.all(this.#files.map(({ path }) => this.#spool.remove(path)));
  }

  async #readBody(reading: Reading): Promise<void> {
    const { request, takesJson, signal } = reading;
    if (isJson(request) && !takesJson) throw jsonSent();
    if (!hasBody(request)) throw nothingSent();
    if (isJson(request)) await this.#readJson(reading);
    else await this.#store(request, signal);
  }

  async #readJson({ request, limits: { maxFiles }, signal }: Reading): Promise<void> {
    const store = (bytes: Readable) => this.#store(bytes, signal);
    this.#fields = await readJsonBody(request, { store, maxFiles, maxFields: MAX_FIELDS });
  }

  async #readForm({ request, response, limits, stop, signal }: Reading): Promise<void> {
    const form = multer({
      storage: {
        _handleFile: (_request, file, done) => {
          this.#store(file.stream, signal).then(
            () => done(null),
            (error: unknown) => {
              // multer itself would answer only when the client has sent everything.
              stop.abort(error);
              done(error);
            },
          );
        },
        _removeFile: (_request, _file, done) => done(null),
      },
      fileFilter: (_request, file, done) => {
        if (!FILE_FIELDS.includes(file.fieldname)) stop.abort(unknownFileField(file.fieldname));
        done(null, !signal.aborted);
      },
      limits: formLimits(limits),
    });
    await new Promise<void>((resolve, reject) => {
      form.any()(request, response, (error) => (error ? reject(error) : resolve()));
    });
    this.#fields = request.body as Fields;
  }

  #store(source: Readable, signal: AbortSignal): Promise<void> {
    const file = { path: this.#spool.newPath(), bytes: 0 };
    this.#files.push(file);
    const written = this.#spool.write(source, file.path, {
      signal,
      onBytes: (bytes) => {
        file.bytes += bytes;
        this.#numBytes += bytes;
        if (this.#numBytes > this.#maxBytes) throw this.#tooLarge();
      },
    });
    this.#writing.push(written);
    return written;
  }

  #tooLarge(): ServiceError {
    return fileTooLarge(this.#maxBytes);
  }
}

interface ReceiveOptions {
  readonly limits: UploadLimits;
  readonly clock: Clock;
  /** Whether files may come as data URIs in JSON. */
  readonly takesJson: boolean;
  readonly signal: AbortSignal;
  readonly onBytes: (bytes: number) => void;
}

interface Reading {
  readonly takesJson: boolean;
  readonly request: Request;
  readonly response: Response;
  readonly limits: UploadLimits;
  readonly stop: AbortController;
  readonly signal: AbortSignal;
}

/** Whether the request brings a body at all, be it of unknown length. */
function hasBody(request: Request): boolean {
  return 'transfer-encoding' in request.headers || Number(request.get('Content-Length') ?? 0) > 0;
}

function isJson(request: Request): boolean {
  return Boolean(request.is(['json', '+json']));
}

function isMultipart(request: Request): boolean {
  return Boolean(request.is('multipart'));
}

/** Each has its reason in a fault of multer or busboy that needs it: none is infinite by default here. */
function formLimits({ maxUploadBytes, maxFiles }: UploadLimits): multer.Options['limits'] {
  return {
    fileSize: maxUploadBytes,
    files: maxFiles,
    fields: MAX_FIELDS,
    parts: maxFiles + MAX_FIELDS,
    fieldNameSize: 100,
    fieldSize: 16_384,
    headerPairs: 20,
    fieldNestingDepth: 0,
    fieldArrayIndexLimit: 0,
  };
}

/** `file_too_large` for a request whose files together exceed the limit. */
export function fileTooLarge(maxUploadBytes: number): ServiceError {
  return new ServiceError(
    'file_too_large',
    `Expected at most ${maxUploadBytes} bytes of files in a request, got more`,
    { limits: { max_upload_bytes: maxUploadBytes } },
  );
}

function timedOut({ uploadTimeoutMs }: UploadLimits): ServiceError {
  return new ServiceError(
    'upload_timeout',
    `Expected the whole body within ${uploadTimeoutMs} ms, got a part of it`,
  );
}

function nothingSent(): ServiceError {
  const expected = 'a multipart file field "file" or the bytes of an audio file as the body';
  return new ServiceError('missing_file', `Expected ${expected}, got neither`);
}

function jsonSent(): ServiceError {
  return new ServiceError(
    'unsupported_format',
    'Expected the bytes of an audio file, or a multipart form with them; got JSON',
    { container: 'json' },
  );
}

function unknownFileField(name: string): ServiceError {
  return new ServiceError(
    'unknown_parameter',
    `Expected files in the field "file", got one in ${JSON.stringify(name)}`,
    { known_parameters: FILE_FIELDS },
  );
}

/** multer and busboy say with plain errors that a body is malformed; those are the client's. */
function toUploadError(error: unknown, request: Request): unknown {
  if (error instanceof ServiceError || error instanceof ClientGoneError) return error;
  if (request.destroyed && !request.complete) return new ClientGoneError();
  if (isSystemError(error) || !(error instanceof Error)) return error;
  if (error instanceof multer.MulterError && (error.code as string) === 'LIMIT_FILE_COUNT') {
    return new ServiceError('too_many_files', 'Too many files in one request');
  }
  return new ServiceError('malformed_multipart', `The form cannot be read: ${error.message}`);
}

function isSystemError(error: unknown): boolean {
  return typeof (error as NodeJS.ErrnoException).syscall === 'string';
}
