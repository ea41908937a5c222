/**
 * Where the service stands on its way out.
 *
 * `serving`: all is well · `leaving`: `/readyz` says 503 so that balancers turn away, requests are
 * still answered · `draining`: no more listening, requests on open connections are refused.
 */
export class Lifecycle {
  #phase: 'serving' | 'leaving' | 'draining' = 'serving';

  get isLeaving(): boolean {
    return this.#phase !== 'serving';
  }

  get isDraining(): boolean {
    return this.#phase === 'draining';
  }

  leave(): void {
    if (this.#phase === 'serving') this.#phase = 'leaving';
  }

  drain(): void {
    this.#phase = 'draining';
  }
}
