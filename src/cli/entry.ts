import type { ProblemCode } from '../errors.js';
import type { components } from '../http/openapi-types.js';

type Schemas = components['schemas'];

/** Which file a result is of, and how it was made: a result counts while all of these are the same. */
export interface EntryKey {
  readonly path: string;
  readonly bytes: number;
  readonly modified_ms: number;
  /** Names model, precision and options; results of other runs are not mixed with it. */
  readonly run: string;
}

/** What a file was answered with: the parts of the HTTP replies, under their names. */
export interface AnswerEntry extends EntryKey {
  readonly status: 200;
  readonly model: string;
  readonly audio: Schemas['Audio'];
  readonly tags?: Schemas['Tag'][];
  readonly channels?: Schemas['TagChannels'];
  readonly events?: Schemas['Event'][];
  readonly truncated?: boolean;
  /** Row of the file of embeddings. */
  readonly embedding_row?: number;
  readonly usage: Schemas['Usage'];
}

export interface ProblemEntry extends EntryKey {
  readonly status: number;
  readonly problem: {
    readonly code: ProblemCode;
    readonly title: string;
    readonly detail: string;
    readonly [extension: string]: unknown;
  };
}

/** One result: of one file, one line of the output (in a table several). */
export type Entry = AnswerEntry | ProblemEntry;

/** What a later run needs to know of a result. */
export type EntryHead = EntryKey & Pick<Entry, 'status'> & { readonly embedding_row?: number };

/** Whether the failure may be gone next time: a run that resumes tries again. */
export const isPassing = ({ status }: Pick<Entry, 'status'>): boolean =>
  status === 429 || status >= 500;
