import type { Request } from 'express';
import type { Decoder } from '../analyze/hear.js';
import { ServiceError } from '../errors.js';
import type { Model } from '../inference/model.js';
import type { Metrics } from '../metrics.js';
import type { Lifecycle } from './lifecycle.js';
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
 */
export class Admission {
  readonly #options: AdmissionOptions;
  readonly #preparing = new Map<Model, number>();
  #uploads = 0;

  constructor(options: AdmissionOptions) {
    this.#options = options;
  }

  /** @throws ServiceError `draining`, `not_ready`, `file_too_large` or `overloaded` */
  assertOpen(request: Request, model: Model): void {
    this.#assertServing();
    this.#assertLength(request);
    this.assertWorkPlace(model);
  }

  /**
   * Asked again once the body is there: others may have taken the place meanwhile.
   *
   * @throws ServiceError `overloaded` or `engine_unavailable`
   */
  assertWorkPlace(model: Model): void {
    const { queuedWindows, queueMaxWindows } = model;
    const preparing = this.#preparing.get(model) ?? 0;
    if (preparing + queuedWindows >= queueMaxWindows) throw queueFull(queueMaxWindows);
    model.assertCanAdmit();
  }

  /**
   * The decoder, with each clip that it has in hand counted as a window on its way to `model`, until its first window
   * is there and counts for itself.
   */
  counting(decoder: Pick<Decoder, 'decode'>, model: Model): Pick<Decoder, 'decode'> {
    return {
      decode: async (path, plan, { onWindow, ...options }) => {
        const forget = this.#prepare(model);
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
   * @throws ServiceError `overloaded` when all are taken
   */
  async uploading(route: string, receive: () => Promise<void>): Promise<void> {
    const { maxUploads, metrics } = this.#options;
    if (this.#uploads >= maxUploads) throw uploadsFull(maxUploads);
    this.#uploads += 1;
    metrics.uploadStarted(route);
    try {
      await receive();
    } finally {
      this.#uploads -= 1;
      metrics.uploadFinished(route);
    }
  }

  /** Counts a clip that is on its way to `model`. Returns what ends that, once. */
  #prepare(model: Model): () => void {
    const add = (clips: number) =>
      this.#preparing.set(model, (this.#preparing.get(model) ?? 0) + clips);
    let isCounted = true;
    add(1);
    return () => {
      if (isCounted) add(-1);
      isCounted = false;
    };
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

function queueFull(queueMaxWindows: number): ServiceError {
  return new ServiceError('overloaded', `All ${queueMaxWindows} places in the queue are taken`, {
    retry_after_seconds: RETRY_AFTER_SECONDS,
    limits: { queue_max_windows: queueMaxWindows },
  });
}

function uploadsFull(maxUploads: number): ServiceError {
  return new ServiceError('overloaded', `Expected at most ${maxUploads} uploads at once`, {
    retry_after_seconds: RETRY_AFTER_SECONDS,
    limits: { max_uploads: maxUploads },
  });
}
