import type { Request } from 'express';
import type { Decoder } from '../analyze/hear.js';
import { ServiceError } from '../errors.js';
import type { Model } from '../inference/model.js';
import type { Metrics } from '../metrics.js';
import type { Lifecycle } from './lifecycle.js';
import { hasShare, Places } from './places.js';
import { fileTooLarge, maxBodyBytes } from './upload.js';

export interface AdmissionOptions {
  readonly maxUploads: number;
  readonly maxUploadBytes: number;
  readonly lifecycle: Lifecycle;
  readonly isReady: () => boolean;
  readonly metrics: Pick<Metrics, 'uploadStarted' | 'uploadFinished'>;
}

const RETRY_AFTER_SECONDS = 1;

/**
 * The gate before the body: a service that cannot take a request says so without reading it.
 *
 * Places for uploads and places for work are counted apart, so that slow senders hold no work back.
 * A clip that is being decoded, or waits for that, has a place in the queue of its model as one window.
 * Where clients are known each has its share of the places: none of them can take all.
 */
export class Admission {
  readonly #options: AdmissionOptions;
  readonly #preparing = new Map<Model, Places>();
  readonly #uploads = new Places();

  constructor(options: AdmissionOptions) {
    this.#options = options;
  }

  /**
   * @param client whose share of the places counts; undefined where no key is wanted
   * @throws ServiceError `draining`, `not_ready`, `file_too_large` or `overloaded`
   */
  assertOpen(request: Request, model: Model, client?: string): void {
    this.#assertServing();
    this.#assertLength(request);
    this.assertWorkPlace(model, client);
  }

  /**
   * Asked again once the body is there: others may have taken the place meanwhile.
   *
   * @throws ServiceError `overloaded` or `engine_unavailable`
   */
  assertWorkPlace(model: Model, client?: string): void {
    const { queueMaxWindows } = model;
    const preparing = this.#preparingFor(model);
    const free = queueMaxWindows - preparing.taken - model.queuedWindows;
    if (free <= 0) throw queueFull(model, `All ${queueMaxWindows} places in the queue are taken`);
    if (client !== undefined) {
      const held = preparing.takenBy(client) + model.queuedWindowsOf(client);
      if (!hasShare({ held, free })) throw queueFull(model, overShare('places in the queue', held));
    }
    model.assertCanAdmit();
  }

  /**
   * The decoder, with each clip that it has in hand counted as a window on its way to `model`, until its first window
   * is there and counts for itself.
   */
  counting(
    decoder: Pick<Decoder, 'decode'>,
    model: Model,
    client?: string,
  ): Pick<Decoder, 'decode'> {
    return {
      decode: async (path, plan, { onWindow, ...options }) => {
        const forget = this.#preparingFor(model).take(client);
        try {
          return await decoder.decode(path, plan, {
            ...options,
            onWindow(window) {
              const taken = onWindow(window);
              forget();
              return taken;
            },
          });
        } finally {
          forget();
        }
      },
    };
  }

  /**
   * Holds an upload place while `receive` runs.
   *
   * @throws ServiceError `overloaded` when all are taken, or all of the client's share
   */
  async uploading(
    { route, client }: { route: string; client?: string | undefined },
    receive: () => Promise<void>,
  ): Promise<void> {
    const { metrics } = this.#options;
    this.#assertUploadPlace(client);
    const leave = this.#uploads.take(client);
    metrics.uploadStarted(route);
    try {
      await receive();
    } finally {
      leave();
      metrics.uploadFinished(route);
    }
  }

  #assertUploadPlace(client: string | undefined): void {
    const { maxUploads } = this.#options;
    const free = maxUploads - this.#uploads.taken;
    if (free <= 0) throw uploadsFull(maxUploads, `Expected at most ${maxUploads} uploads at once`);
    if (client === undefined) return;
    const held = this.#uploads.takenBy(client);
    if (!hasShare({ held, free })) throw uploadsFull(maxUploads, overShare('uploads', held));
  }

  /** Clips on their way to `model`. */
  #preparingFor(model: Model): Places {
    const places = this.#preparing.get(model) ?? new Places();
    this.#preparing.set(model, places);
    return places;
  }

  #assertServing(): void {
    const { lifecycle, isReady } = this.#options;
    if (lifecycle.isDraining) throw draining();
    if (!isReady()) throw notReady();
  }

  #assertLength(request: Request): void {
    const { maxUploadBytes } = this.#options;
    const declaredBytes = Number(request.get('Content-Length') ?? 0);
    if (declaredBytes > maxBodyBytes(request, maxUploadBytes)) throw fileTooLarge(maxUploadBytes);
  }
}

/** The service is on its way out. */
export function draining(): ServiceError {
  return new ServiceError('draining', 'The service is shutting down', {
    retry_after_seconds: RETRY_AFTER_SECONDS,
  });
}

/** No engine runs at the moment. */
export function notReady(): ServiceError {
  return new ServiceError('not_ready', 'No engine is running at the moment', {
    retry_after_seconds: RETRY_AFTER_SECONDS,
  });
}

function queueFull({ queueMaxWindows, retryAfterSeconds }: Model, detail: string): ServiceError {
  return new ServiceError('overloaded', detail, {
    retry_after_seconds: retryAfterSeconds,
    limits: { queue_max_windows: queueMaxWindows },
  });
}

function uploadsFull(maxUploads: number, detail: string): ServiceError {
  return new ServiceError('overloaded', detail, {
    retry_after_seconds: RETRY_AFTER_SECONDS,
    limits: { max_uploads: maxUploads },
  });
}

const overShare = (places: string, held: number): string =>
  `Expected fewer ${places} of one client than are free, this one has ${held}`;
