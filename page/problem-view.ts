import { byId } from './elements.js';
import { TooLargeError } from './limits.js';
import { NoReplyError } from './post.js';
import { type Problem, ProblemError } from './problem.js';

/** What can be done about it, where the service's own words do not say so. */
const HINTS: Readonly<Record<string, string>> = {
  unsupported_format: 'Is it a sound? Export it as WAV, FLAC, MP3 or Ogg, and it will be heard.',
  undecodable_audio: 'The file seems to be damaged or cut off.',
  clip_too_long: 'Cut it, or ask with start_seconds and end_seconds.',
  overloaded: 'The service is busy.',
  deadline_exceeded: 'It took too long. A shorter recording is heard sooner.',
  not_ready: 'The service is starting.',
  draining: 'The service is about to stop.',
};

/** Statuses below 500 that another time may not meet. */
const TEMPORARY = new Set([408, 429]);

/** Says kindly why there is no answer. */
export class ProblemView {
  readonly #section = byId('problem', HTMLElement);
  readonly #title = byId('problem-title', HTMLHeadingElement);
  readonly #detail = byId('problem-detail', HTMLParagraphElement);
  readonly #hint = byId('problem-hint', HTMLParagraphElement);
  readonly #code = byId('problem-code', HTMLElement);
  readonly #again = byId('again', HTMLButtonElement);

  constructor(onAgain: () => void) {
    this.#again.addEventListener('click', onAgain);
  }

  hide(): void {
    this.#section.hidden = true;
  }

  show(error: unknown): void {
    const { title, detail, hint = '', code = '', mayPass = true } = toWords(error);
    this.#title.textContent = title;
    this.#detail.textContent = detail;
    this.#hint.textContent = hint;
    this.#code.textContent = code;
    this.#again.hidden = !mayPass;
    this.#section.hidden = false;
  }
}

interface Words {
  readonly title: string;
  readonly detail: string;
  readonly hint?: string;
  readonly code?: string;
  /** The same request may be answered later. */
  readonly mayPass?: boolean;
}

function toWords(error: unknown): Words {
  if (error instanceof ProblemError) return wordsOf(error.problem);
  const detail = error instanceof Error ? error.message : String(error);
  if (error instanceof TooLargeError) {
    return { title: 'The file is too large', detail, mayPass: false };
  }
  if (error instanceof NoReplyError) {
    const hint = 'Is it still running, and can it be reached from here?';
    return { title: 'No connection', detail: `${detail}.`, hint };
  }
  return { title: 'Something went wrong', detail };
}

function wordsOf(problem: Problem): Words {
  const { title, detail, code, instance, status, retry_after_seconds: waitSeconds } = problem;
  const wait = waitSeconds === undefined ? '' : ` Try again in ${waitSeconds} s.`;
  return {
    title,
    detail,
    hint: `${HINTS[code] ?? ''}${wait}`.trim(),
    code: `${code} · ${instance.replace('urn:request:', 'request ')}`,
    mayPass: status >= 500 || TEMPORARY.has(status),
  };
}
