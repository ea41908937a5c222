import type { LossReason } from './engine-process.js';
import type { FallbackReason, Provider } from './provider.js';
import type { RunEvent } from './run-meter.js';

/** A run that gave rows, and where. */
export interface BatchEvent extends RunEvent {
  readonly model: string;
  readonly provider: Provider;
  /** Index of the engine in its pool. */
  readonly engine: number;
}

/**
 * What inference tells the outside while it works; the metrics implement it.
 *
 * Every method is called synchronously and must not throw.
 */
export interface InferenceObserver {
  modelLoaded(event: {
    readonly model: string;
    readonly provider: Provider;
    readonly engines: number;
    readonly queueLimitWindows: number;
    /** From the first fork to the last engine ready, warm-up included. */
    readonly loadMs: number;
    /** Warm-up of the slowest engine. */
    readonly warmupMs: number;
  }): void;
  /** `auto` asked for CUDA and got the CPU. */
  providerFellBack(event: { readonly model: string; readonly reason: FallbackReason }): void;
  batchDone(event: BatchEvent): void;
  queueChanged(event: {
    readonly model: string;
    /** Windows that count against the limit. */
    readonly windows: number;
    /** All audio that waits, also what long clips hold back. */
    readonly audioSeconds: number;
  }): void;
  /** An engine was lost and a new one is on its way. */
  engineRestarted(event: { readonly model: string; readonly reason: LossReason }): void;
  /** Windows whose outputs were not finite; their requests fail. */
  nonfiniteWindows(event: { readonly model: string; readonly windows: number }): void;
}

/** Hears and says nothing. */
export const silentObserver: InferenceObserver = {
  modelLoaded() {},
  providerFellBack() {},
  batchDone() {},
  queueChanged() {},
  engineRestarted() {},
  nonfiniteWindows() {},
};
