import {
  type AnalysisDeps,
  type ClipFile,
  type HeardClip,
  type HeardWindow,
  type Hearing,
  hearClip,
  timed,
} from './hear.js';

export interface TokenizedChannel {
  /** As `HeardWindow.channel` names it. */
  readonly channel: number;
  /** Rows of 160 ms. */
  readonly rows: number;
  /** (rows, bands), row after row: the code of each patch. */
  readonly tokens: Int16Array;
}

export interface TokenizedClip extends HeardClip {
  /** Start of the first row, on the source's clock. */
  readonly startSeconds: number;
  /** One for each channel that was heard, in their order. */
  readonly tokenized: readonly TokenizedChannel[];
}

/**
 * The codes that the tokenizer gives a clip: 100 bytes for each second of a channel.
 *
 * A code depends on the sound of its own window only, so the same sound elsewhere in a long clip may
 * have another.
 *
 * @throws ServiceError that says what is wrong with the clip, or why it could not be run
 */
export async function tokenizeClip(
  clip: ClipFile,
  hearing: Omit<Hearing, 'outputs'>,
  deps: AnalysisDeps,
): Promise<TokenizedClip> {
  const pieces = new Map<number, Int16Array[]>();
  let numBands = 0;
  const onWindow = ({ channel, rows, values: { tokens } }: HeardWindow) => {
    if (tokens === undefined) throw new Error('Expected tokens of every window');
    numBands = tokens.length / rows;
    pieces.set(channel, [...(pieces.get(channel) ?? []), tokens]);
  };
  const heard = await hearClip(clip, { ...hearing, outputs: ['tokens'] }, onWindow, deps);
  const tokenized = timed('postprocess', deps.observer, () =>
    [...pieces]
      .toSorted(([a], [b]) => a - b)
      .map(([channel, arrays]) => {
        const tokens = joined(arrays);
        return { channel, rows: tokens.length / numBands, tokens };
      }),
  );
  return { ...heard, startSeconds: hearing.startSeconds, tokenized };
}

function joined(arrays: readonly Int16Array[]): Int16Array {
  const whole = new Int16Array(arrays.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const array of arrays) {
    whole.set(array, at);
    at += array.length;
  }
  return whole;
}
