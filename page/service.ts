import type { components } from '../src/http/openapi-types.js';
import { LineSplitter } from './lines.js';
import { type Posting, post } from './post.js';
import { isProblem, ProblemError, toProblemError } from './problem.js';

type Schemas = components['schemas'];
export type Tagging = Schemas['AudioTags'];
export type Tag = Schemas['Tag'];
export type SoundEvent = Schemas['EventLine'];
type EventsSummary = Schemas['EventsSummaryLine'];
export type Model = Schemas['Model'];
export type Label = Schemas['Label'];
export type Limits = Schemas['ServiceInfo']['limits'];

/** What is asked beside the sound. */
export interface Question {
  /** Undefined: the default one. */
  readonly model?: string | undefined;
  /** MIDs; empty: whatever is heard. */
  readonly labels: readonly string[];
}

type Sending = Omit<Posting, 'headers' | 'onText'>;

const TAG_PARAMETERS = {
  top_k: '5',
  include: 'peaks',
  // What fills a part of a long recording counts for that part.
  aggregate: 'mean',
};

/** URL of an operation as the page asks it, relative to the page's own. */
export function tagsUrl(question: Question): string {
  return withQuery('v1/tags', question, TAG_PARAMETERS);
}

export function eventsUrl(question: Question, responseFormat: 'ndjson' | 'svg' | 'json'): string {
  return withQuery('v1/events', question, { response_format: responseFormat });
}

function withQuery(
  path: string,
  { model, labels }: Question,
  more: Record<string, string>,
): string {
  const query = new URLSearchParams(more);
  if (model !== undefined) query.set('model', model);
  for (const mid of labels) query.append('labels', mid);
  return `${path}?${query}`;
}

/** The service that the page came from. Every method throws ProblemError when it refuses. */
export class Service {
  #headers: Readonly<Record<string, string>> = {};

  /** Where it answers only to those it knows. The key is kept in memory alone. */
  useKey(key: string): void {
    this.#headers = key === '' ? {} : { Authorization: `Bearer ${key}` };
  }

  get hasKey(): boolean {
    return 'Authorization' in this.#headers;
  }

  /** @throws NoReplyError, or the signal's reason */
  async askTags(question: Question, sending: Sending): Promise<Tagging> {
    return JSON.parse(await this.#post(tagsUrl(question), sending)) as Tagging;
  }

  /**
   * Hands on each event as soon as the service knows that it is over.
   *
   * @returns whether there were more than the service tells
   * @throws ProblemError also in the middle; NoReplyError, or the signal's reason
   */
  async streamEvents(
    question: Question,
    { onEvent, ...sending }: Sending & { onEvent: (event: SoundEvent) => void },
  ): Promise<boolean> {
    const lines = new LineSplitter();
    let failure: unknown;
    let isTruncated = false;
    const read = (line: string) => {
      const entry: unknown = JSON.parse(line);
      if (isProblem(entry)) failure ??= new ProblemError(entry);
      else if (isEvent(entry)) onEvent(entry);
      else if (isSummary(entry)) isTruncated = entry.truncated;
    };
    const onText = (piece: string) => lines.push(piece).forEach(read);
    await this.#post(eventsUrl(question, 'ndjson'), { ...sending, onText });
    lines.end().forEach(read);
    if (failure !== undefined) throw failure;
    return isTruncated;
  }

  /** Its own picture of a sound, as SVG: for what the browser cannot decode. */
  askPicture(question: Question, sending: Sending): Promise<string> {
    return this.#post(eventsUrl(question, 'svg'), sending);
  }

  async models(): Promise<readonly Model[]> {
    return (await this.#get<Schemas['ModelList']>('v1/models')).data;
  }

  /** Those that the model was trained on. */
  async labels(model: string | undefined): Promise<readonly Label[]> {
    const query = new URLSearchParams({ trained: 'true', ...(model !== undefined && { model }) });
    return (await this.#get<Schemas['LabelList']>(`v1/labels?${query}`)).data;
  }

  async limits(): Promise<Limits> {
    return (await this.#get<Schemas['ServiceInfo']>('v1/info')).limits;
  }

  async #post(url: string, posting: Omit<Posting, 'headers'>): Promise<string> {
    const reply = await post(url, { ...posting, headers: this.#headers });
    if (reply.status !== 200) throw toProblemError(reply);
    return reply.text;
  }

  async #get<T>(url: string): Promise<T> {
    const reply = await fetch(url, { headers: this.#headers });
    if (!reply.ok) throw toProblemError({ status: reply.status, text: await reply.text() });
    return (await reply.json()) as T;
  }
}

const isEvent = (entry: unknown): entry is SoundEvent => objectOf(entry) === 'audio.event';

const isSummary = (entry: unknown): entry is EventsSummary =>
  objectOf(entry) === 'audio.events.summary';

/** What the service says that a line is. */
const objectOf = (entry: unknown): unknown =>
  typeof entry === 'object' && entry !== null && 'object' in entry ? entry.object : undefined;
