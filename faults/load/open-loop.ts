import { setTimeout as wait } from 'node:timers/promises';
import type { Answered } from './requests.js';

export interface OpenLoopOptions {
  readonly requestsPerSecond: number;
  readonly sendOne: () => Promise<Answered>;
  /** Asked before each request. */
  readonly isOver: (numSent: number) => boolean;
}

/**
 * Sends at a rate that replies have no part in, as strangers do: who waits for replies sends less the slower they are, and
 * never sees overload.
 *
 * @returns every answer, also those that came after the last request was sent
 */
export async function openLoop(options: OpenLoopOptions): Promise<Answered[]> {
  const { requestsPerSecond, sendOne, isOver } = options;
  const startMs = performance.now();
  const answers: Promise<Answered>[] = [];
  const dueMs = () => startMs + (1000 * answers.length) / requestsPerSecond;
  const isTimeToSend = () => !isOver(answers.length) && dueMs() <= performance.now();
  while (!isOver(answers.length)) {
    while (isTimeToSend()) answers.push(sendOne());
    await wait(Math.max(0, dueMs() - performance.now()));
  }
  return Promise.all(answers);
}

export interface ClosedLoopOptions {
  readonly senders: number;
  readonly sendOne: () => Promise<Answered>;
  /** Asked before each request. */
  readonly isOver: (numAnswered: number) => boolean;
}

/** Senders with one request after the other: what the service can do is what they get. */
export async function closedLoop(options: ClosedLoopOptions): Promise<Answered[]> {
  const { senders, sendOne, isOver } = options;
  const answers: Answered[] = [];
  const sendOn = async () => {
    while (!isOver(answers.length)) answers.push(await sendOne());
  };
  await Promise.all(Array.from({ length: senders }, sendOn));
  return answers;
}
