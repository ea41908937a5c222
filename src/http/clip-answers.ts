import type { ClipFile } from '../analyze/hear.js';
import type { Log } from '../log.js';
import { type Problem, toProblem, toServiceError } from './problem.js';

/** What became of one clip among several: its answer, or its own problem. */
export type ClipAnswer<T> =
  | { readonly index: number; readonly status: 200; readonly answer: T }
  | { readonly index: number; readonly status: number; readonly problem: Problem };

/**
 * Answers several clips, some at a time; the answers stand in the order of the clips.
 *
 * A bad clip never fails its mates. An aborted signal fails them all, with its reason.
 */
export async function answerEach<T>(
  clips: readonly ClipFile[],
  answer: (clip: ClipFile) => Promise<T>,
  options: { atOnce: number; signal: AbortSignal; requestId: string; log: Log },
): Promise<ClipAnswer<T>[]> {
  const answers: ClipAnswer<T>[] = [];
  const waiting = [...clips.entries()];
  const takeTurns = async () => {
    for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
      const [index, clip] = next;
      answers[index] = await answerOne({ index, clip }, answer, options);
    }
  };
  await Promise.all(Array.from({ length: options.atOnce }, takeTurns));
  return answers;
}

async function answerOne<T>(
  { index, clip }: { index: number; clip: ClipFile },
  answer: (clip: ClipFile) => Promise<T>,
  { signal, requestId, log }: { signal: AbortSignal; requestId: string; log: Log },
): Promise<ClipAnswer<T>> {
  try {
    return { index, status: 200, answer: await answer(clip) };
  } catch (error) {
    signal.throwIfAborted();
    const known = toServiceError(error);
    if (known !== error)
      log.error({ request_id: requestId, clip: index, err: error }, 'clip failed');
    return { index, status: known.status, problem: toProblem(known, requestId) };
  }
}
