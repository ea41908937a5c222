import { setTimeout as wait } from 'node:timers/promises';
import type { ServiceProcess } from './service-process.js';

/** What of past requests is still there when nobody asks for anything. */
export interface Rest {
  /** Files. */
  readonly spooled: number;
  readonly inHand: number;
  readonly uploads: number;
  /** Windows. */
  readonly waiting: number;
}

const CHECKS = 40;
const CHECK_MS = 100;

/** Looks until nothing is left, or something still is after some seconds. */
export async function restOf(service: ServiceProcess): Promise<Rest> {
  for (let check = 1; ; check++) {
    const rest = await lookAt(service);
    const isAtRest = Object.values(rest).every((count) => count === 0);
    if (isAtRest || check === CHECKS) return rest;
    await wait(CHECK_MS);
  }
}

async function lookAt(service: ServiceProcess): Promise<Rest> {
  // The question itself is in hand.
  const inHand = (await service.metric('earshot_active_requests')) - 1;
  const uploads = await service.metric('earshot_active_uploads');
  const waiting = await service.metric('earshot_queue_windows');
  return { spooled: service.spooled().length, inHand, uploads, waiting };
}
