/** Clips that are all different, and what a service says of them. */
import { setTimeout as wait } from 'node:timers/promises';
import type { Batch } from '../../src/inference/batch.js';
import type { TestService } from '../../test/http/test-service.js';
import { toneClip } from '../../test/http/test-service.js';
import { inTurns } from '../in-turns.js';

const RETRY_MS = 50;
const CLIP_SECONDS = 0.5;
const MODEL_HZ = 16_000;
const LOWEST_HZ = 200;
const STEP_HZ = 7;

/** Tones of half a second, each higher than the one before. */
export const distinctClips = (count: number): Buffer[] =>
  Array.from({ length: count }, (_, index) =>
    toneClip(CLIP_SECONDS, { hz: LOWEST_HZ + STEP_HZ * index }),
  );

/** Whether a batch is one of the clips, and not the sound by which an engine is checked. */
export const isClip = ({ samples }: Batch): boolean => samples === CLIP_SECONDS * MODEL_HZ;

export interface Answer {
  readonly status: number;
  readonly code: string | undefined;
  /** Without what differs from reply to reply. */
  readonly tags: string;
}

/**
 * Tags all clips, so many at once. Turned away because no engine runs at the moment, a clip was not taken in: it is sent
 * again, as `Retry-After` asks.
 */
export function tagAll(
  service: TestService,
  clips: readonly Buffer[],
  { atOnce }: { atOnce: number },
): Promise<Answer[]> {
  return inTurns(clips, atOnce, async (clip) => {
    let answer = await tag(service, clip);
    while (answer.code === 'not_ready') {
      await wait(RETRY_MS);
      answer = await tag(service, clip);
    }
    return answer;
  });
}

async function tag(service: TestService, clip: Buffer): Promise<Answer> {
  const headers = { 'Content-Type': 'audio/wav' };
  const { status, body } = await service.callRaw(
    { method: 'POST', path: '/v1/tags', headers },
    (request) => request.end(clip),
  );
  const { code, tags } = JSON.parse(body) as { code?: string; tags?: unknown };
  return { status, code, tags: JSON.stringify(tags) };
}

/** How many were answered with 200 and yet otherwise than before. */
export function numWrong(answers: readonly Answer[], expected: readonly Answer[]): number {
  return answers.filter(
    ({ status, tags }, index) => status === 200 && tags !== expected[index]?.tags,
  ).length;
}
