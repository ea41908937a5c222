import type { Answered } from './requests.js';

/** What an answer about a clip says, whatever request it belongs to; undefined for what is no answer. */
export function saidIn({ status, body }: Answered): string | undefined {
  if (status !== 200) return undefined;
  const { id: _id, ...said } = JSON.parse(body) as { id: string };
  return JSON.stringify(said);
}

export const withStatus = (answers: readonly Answered[], status: number): Answered[] =>
  answers.filter((answer) => answer.status === status);

export const durationMs = ({ startMs, endMs }: Answered): number => endMs - startMs;
